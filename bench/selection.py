"""CPU time of a selection, by the number of tags and of ``names``. Names must not make it slower."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.scope import Scope
from bench.tables import Findings, Row, Table
from registry_sync.registry.client import ListedTag
from registry_sync.tags.rules import TagRule, TagRules
from registry_sync.tags.select import select_tags

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSelection:
    """CPU seconds of a selection, and their ratio to the same selection without names."""

    tags: int
    names: int
    cpu_seconds: float
    ratio: float


def measure(_: Scope) -> Findings:
    """The table."""
    title = "Selecting tags, by the number of names that the rules list:"
    headings = ("tags", "names", "CPU s", "× no names")
    return Findings(tables=[Table(title=title, headings=headings, rows=[*map(_row, measure_selections())], texts=0)])


def _row(measured: MeasuredSelection) -> Row:
    return (f"{measured.tags:,}", str(measured.names), f"{measured.cpu_seconds:.2f}", f"{measured.ratio:.1f}")


def measure_selections() -> list[MeasuredSelection]:
    """Select from a large repository, and from the largest that is read."""
    return [*_measure(20_000, (10, 100, 300)), *_measure(250_000, (50,))]


def _measure(tags: int, names: tuple[int, ...]) -> list[MeasuredSelection]:
    listed = [ListedTag(name=f"v1.{number}.0", pushed_at=NOON) for number in range(tags)]
    without = _cpu_seconds(listed, 0)
    seconds = {0: without, **{count: _cpu_seconds(listed, count) for count in names}}
    return [
        MeasuredSelection(tags=tags, names=count, cpu_seconds=spent, ratio=spent / without)
        for count, spent in seconds.items()
    ]


def _cpu_seconds(listed: list[ListedTag], names: int) -> float:
    """The least of three runs, because the first one warms up."""
    named = {f"v1.{number}.0": None for number in range(names)}
    rules = TagRules((TagRule(named=named, newest=100, newest_by="name"),))
    return min(_cpu_seconds_once(listed, rules) for _ in range(3))


def _cpu_seconds_once(listed: list[ListedTag], rules: TagRules) -> float:
    started = time.process_time()
    select_tags(listed, rules, now=NOON)
    return time.process_time() - started
