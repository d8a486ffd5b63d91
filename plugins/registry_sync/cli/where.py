"""The command ``where``: print where an image is, and where it is missing. ``--live`` reads the registries as well."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any

from registry_sync.cli.arguments import FAILED, OK, WIDTH, cut_name
from registry_sync.cli.stored_states import open_states
from registry_sync.cli.where_live import LiveDigest, LiveDigests, read_live
from registry_sync.errors import ConfigurationError
from registry_sync.state.judging.freshness import BROKEN, age_seconds, lacking
from registry_sync.state.lookup.answers import find_answer
from registry_sync.state.lookup.find import Found, FoundRepository
from registry_sync.state.lookup.queries import find
from registry_sync.state.lookup.search_text import Search, parse_search
from registry_sync.state.lookup.tag_matrix import LACKS, Cell, Column, TagRow
from registry_sync.text import one_line
from registry_sync.text_table import human_duration, table

MAX_REPOSITORIES = 50
"""Maximum number of source repositories in an answer. A longer name finds fewer."""

_NAME, _TAG, _SHORT = 44, 24, 12
"""Widths of columns: whole names of repositories, tags, and the hexadecimal digits of short digests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of the command: the places of an image, and similar names.

    :ivar similar: source repositories with similar names, when there is none with this name.
    """

    text: str
    search: Search
    found: Found
    now: datetime
    live: LiveDigests = field(default_factory=dict)
    similar: tuple[str, ...] = ()

    @property
    def is_about_tags(self) -> bool:
        """True if the image has a tag or digest."""
        return self.search.tag is not None or self.search.digest is not None


def print_where(arguments: argparse.Namespace) -> int:
    """Print where an image is. The exit code is 1 when a destination lacks it, or when that is not known."""
    answer = _answer(arguments)
    if arguments.json:
        print(json.dumps(_document(answer), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_text(answer)))
    return OK if _is_everywhere(answer) else FAILED


def _answer(arguments: argparse.Namespace) -> Answer:
    """:raises ConfigurationError: when nothing can be searched for."""
    search, now = parse_search(arguments.image), datetime.now(UTC)
    if arguments.live and search.tag is None and search.digest is None:
        raise ConfigurationError("--live needs a tag or a digest: write IMAGE:TAG or IMAGE@DIGEST")
    with open_states() as reader:
        found = find(reader, now, arguments.image, exact=True, limit=MAX_REPOSITORIES)
        is_unknown = search.name and not found.page.items
        similar = find(reader, now, search.name, limit=5).page.items if is_unknown else ()
    return Answer(
        text=arguments.image,
        search=search,
        found=found,
        now=now,
        live=read_live(arguments.mirrors_file, found.page.items) if arguments.live else {},
        similar=tuple(item.source for item in similar),
    )


def _is_everywhere(answer: Answer) -> bool:
    """True if the image is known to be at all its destinations, and the registries agree."""
    page = answer.found.page
    if not page.items or page.total > len(page.items) or answer.found.notes:
        return False
    if not answer.is_about_tags:
        return not any(
            column.judgement.status in BROKEN or lacking(column.figures)
            for item in page.items
            for column in item.columns
        )
    if any(live.verdict in {"differs", "error"} for live in answer.live.values()):
        return False
    return all(
        item.rows and not any(_is_bad(*pair) for row in item.rows for pair in _pairs(item, row)) for item in page.items
    )


def _pairs(item: FoundRepository, row: TagRow) -> Iterator[tuple[Column, Cell]]:
    return zip(item.columns, row.cells, strict=True)


def _is_bad(column: Column, cell: Cell) -> bool:
    """True if a destination lacks the tag, or if what is known about it may be too old."""
    return cell.status in LACKS or cell.status == "unknown" or column.is_unknown


def _document(answer: Answer) -> dict[str, Any]:
    """The JSON of the page, with the digests that the registries returned."""
    document = find_answer(answer.text, answer.found)
    live = [
        {"repository": repository, "tag": tag, "digest": now.digest, "error": now.error, "verdict": now.verdict}
        for (repository, tag), now in answer.live.items()
    ]
    return {**document, "similar": list(answer.similar), "live": live}


def _text(answer: Answer) -> Iterator[str]:
    page = answer.found.page
    if not page.items:
        yield f"no mirrored repository has {one_line(answer.text)!r}"
        yield from (f"  similar: {name}" for name in answer.similar)
    for item in page.items:
        yield item.source
        yield from _tags(answer, item) if answer.is_about_tags else _routes(answer, item)
        yield ""
    if page.total > len(page.items):
        yield f"{page.total - len(page.items)} repositories more; write more of the name"
    for note in answer.found.notes:
        yield from wrap(f"note: {note}", WIDTH)


def _routes(answer: Answer, item: FoundRepository) -> Iterator[str]:
    headings = ("at", "status", "in sync", "missing", "failing", "locked", "looked at")
    rows = [
        (
            cut_name(column.repository, _NAME),
            column.judgement.status.replace("_", " "),
            f"{column.figures.in_sync + column.figures.kept}/{column.figures.selected}",
            str(column.figures.missing + column.figures.changed),
            str(column.figures.failing),
            str(column.figures.locked),
            f"{human_duration(age_seconds(column.looked_at, answer.now))} ago",
        )
        for column in item.columns
    ]
    yield table(headings, rows, right=frozenset({2, 3, 4, 5}))
    yield from _reasons(item)


def _tags(answer: Answer, item: FoundRepository) -> Iterator[str]:
    if not item.rows:
        yield f"  no selected tag of it is {one_line(answer.text)!r}"
        yield from _reasons(item)
        return
    headings = ("tag", "at", "status", "digest", *(("now", "verdict") if answer.live else ("arrived", "lag")))
    yield table(headings, list(_tag_lines(answer, item)))
    if item.total > len(item.rows):
        yield f"{item.total - len(item.rows)} tags more; write more of the tag or digest"
    yield from _reasons(item)
    yield from _problems(answer, item)


def _tag_lines(answer: Answer, item: FoundRepository) -> Iterator[tuple[str, ...]]:
    for row in item.rows:
        tag = cut_name(row.tag, _TAG)
        if live := answer.live.get((item.source, row.tag)):
            yield tag, cut_name(item.source, _NAME), "source", "", *_live(live)
        for column, cell in _pairs(item, row):
            known = (tag, cut_name(column.repository, _NAME), cell.status.replace("_", " "), _short(cell.digest))
            if answer.live:
                yield *known, *_live(answer.live[column.repository, row.tag])
            else:
                yield *known, _minute(cell.published_at), _lag(cell)


def _live(live: LiveDigest) -> tuple[str, str]:
    return "error" if live.error else _short(live.digest) if live.digest else "absent", live.verdict


def _short(digest: str | None) -> str:
    return digest.partition(":")[2][:_SHORT] if digest else "-"


def _minute(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}" if time else "-"


def _lag(cell: Cell) -> str:
    """The lag. Counted from a first sight, it is a lower bound."""
    if cell.lag_seconds is None:
        return "-"
    return f"{'' if cell.pushed_at else '≥ '}{human_duration(cell.lag_seconds)}"


def _reasons(item: FoundRepository) -> Iterator[str]:
    """Yield the reasons of destinations that are not in sync, and their unreadable parts."""
    for column in item.columns:
        for reason in (column.judgement.reason, *column.faults):
            if reason:
                yield from _indented(f"{column.repository}: {reason}")


def _problems(answer: Answer, item: FoundRepository) -> Iterator[str]:
    """Yield the problems of tags, and the errors of registries that returned no digest."""
    for row in item.rows:
        for column, cell in _pairs(item, row):
            if problem := cell.problem:
                since = f"for {human_duration(age_seconds(problem.since, answer.now))}, {problem.tries} tries"
                yield from _indented(f"{column.repository}:{row.tag} ({since}): {problem.reason}")
    for (repository, tag), live in answer.live.items():
        if live.error:
            yield from _indented(f"{repository}:{tag} now: {live.error}")


def _indented(text: str) -> Sequence[str]:
    return wrap(one_line(text), WIDTH, initial_indent="  ", subsequent_indent="    ")
