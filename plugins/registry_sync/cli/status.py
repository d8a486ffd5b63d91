"""The command ``status``: compare every destination with its promise. Reads Airflow's database, no registry."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from textwrap import wrap

from registry_sync.cli.arguments import FAILED, OK, WIDTH, cut_name
from registry_sync.cli.stored_states import event_notes, open_states
from registry_sync.errors import ConfigurationError
from registry_sync.state.judging.freshness import age_seconds
from registry_sync.state.lookup.answers import overview_answer
from registry_sync.state.lookup.failing import FailingRoute
from registry_sync.state.lookup.overview import OverviewRow
from registry_sync.state.lookup.queries import get_overview, list_failing, overview_notes
from registry_sync.state.pushes import PushesState
from registry_sync.state.runs import MirrorRuns, PushRuns
from registry_sync.state.store import StateReader
from registry_sync.text import one_line
from registry_sync.text_table import human_duration, table

_HEADINGS = ("mirror", "destination", "status", "in sync", "missing", "failing", "locked", "behind", "looked at")

_MAX_FAILING = 10
"""Failing routes that are listed; the page *Failing* has all."""


def print_status(arguments: argparse.Namespace) -> int:
    """Print the overview. The exit code is 1 when a destination needs somebody: failing, over its promise, unknown."""
    now = datetime.now(UTC)
    with open_states() as reader:
        rows, notes = get_overview(reader, now), overview_notes(reader)
        failing = _read_failing(reader, arguments.mirror)
    if arguments.mirror:
        rows = _of_mirrors(rows, arguments.mirror)
    shown = [*notes, *event_notes({row.mirror for row in rows})]
    if arguments.json:
        items = [overview_answer(row) for row in rows]
        print(json.dumps({"notes": shown, "total": len(items), "items": items}, indent=2, ensure_ascii=False))
    else:
        print("\n".join([*_text(rows, shown, now), *_failing_lines(failing, now)]))
    return FAILED if notes or not rows or any(row.is_broken for row in rows) else OK


def _read_failing(reader: StateReader, mirrors: Sequence[str] | None) -> list[FailingRoute]:
    """The routes that fail for the longest time."""
    found = [
        list_failing(reader, datetime.now(UTC), mirror=mirror, offset=0, limit=_MAX_FAILING)
        for mirror in mirrors or [""]
    ]
    routes = sorted((route for page in found for route in page.items), key=lambda route: route.since)
    return routes[:_MAX_FAILING]


def _failing_lines(routes: Sequence[FailingRoute], now: datetime) -> Iterator[str]:
    """Yield one line for the oldest problem of each failing route."""
    if routes:
        yield "\nFailing, the oldest first:"
    for route in routes:
        oldest = route.problems[0].problem if route.problems else None
        tag, reason = (oldest.tag, oldest.reason) if oldest else (None, "")
        more = f" (and {route.problem_count - 1} more)" if route.problem_count > 1 else ""
        line = (
            f"{route.source}{f':{tag}' if tag else ''} → {route.destination}, "
            f"for {human_duration(age_seconds(route.since, now))}: {reason}{more}"
        )
        yield from wrap(one_line(line), WIDTH, initial_indent="  ", subsequent_indent="    ")


def _of_mirrors(rows: Sequence[OverviewRow], names: Sequence[str]) -> list[OverviewRow]:
    """:raises ConfigurationError: for a name that Airflow has no mirror of."""
    known = sorted({row.mirror for row in rows})
    if unknown := [name for name in names if name not in known]:
        mirrors = f"its mirrors are {', '.join(known)}" if known else "it has no mirrors"
        raise ConfigurationError(f"Airflow has no mirror {unknown[0]!r}; {mirrors}")
    return [row for row in rows if row.mirror in names]


def _text(rows: Sequence[OverviewRow], notes: Sequence[str], now: datetime) -> Iterator[str]:
    if rows:
        yield table(_HEADINGS, [_row(row, now) for row in rows], right=frozenset({3, 4, 5, 6}))
    else:
        yield "Airflow has no mirrors: it has read no DAG of a mirrors file"
    for row in rows:
        yield from _reasons(row)
    runs = {row.mirror: row.runs for row in rows if row.runs}
    yield from event_lines({row.mirror: row.pushes for row in rows if row.pushes}, runs, now)
    yield from (line for note in notes for line in wrap(f"note: {note}", WIDTH))


def _row(row: OverviewRow, now: datetime) -> tuple[str, ...]:
    tags = row.tags
    return (
        cut_name(row.mirror, 20),
        cut_name(row.destination, 20),
        row.status.replace("_", " "),
        f"{tags.in_sync + tags.kept}/{tags.selected}",
        str(tags.missing + tags.changed),
        str(tags.failing),
        str(tags.locked),
        human_duration(row.oldest_lacking.age_seconds) if row.oldest_lacking else "-",
        f"{human_duration(age_seconds(row.looked_at, now))} ago" if row.looked_at else "never",
    )


def event_lines(pushes: Mapping[str, PushesState], runs: Mapping[str, MirrorRuns], now: datetime) -> Iterator[str]:
    """Yield a line for each mirror that events start: the age of its last event, and the number of tags without one."""
    if pushes:
        yield "\nEvents:"
    for mirror, state in sorted(pushes.items()):
        lost = state.lost.tags[0] if state.lost.tags else None
        named = f", the last {lost.repository}:{lost.tag}" if lost else ""
        tags = f"; tags that no event named: {state.lost.total}{named}" if state.lost.total else ""
        yield from wrap(
            one_line(f"{mirror}: last event {_last_event(state, now)}{_runs(runs.get(mirror), now)}{tags}"),
            WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
        )


def _last_event(state: PushesState, now: datetime) -> str:
    """The ages of the last event from the registry, and of the last from another mirror."""
    times = (state.events.received_at, state.events.chained_at) if state.events else (None, None)
    received, chained = (f"{human_duration(age_seconds(time, now))} ago" if time else "" for time in times)
    if chained:
        return f"{received}, from another mirror {chained}" if received else f"from another mirror, {chained}"
    return received or "none yet"


def _runs(runs: MirrorRuns | None, now: datetime) -> str:
    """The last run for pushes, and the next one of the schedule, which finds what events have missed."""
    if runs is None or runs.pushes is None:
        return ""
    return f"; {_last_run(runs.pushes, now)}; {_next_run(runs, now)}"


def _last_run(pushes: PushRuns, now: datetime) -> str:
    if pushes.is_paused:
        return f"{pushes.dag_id} is paused"
    if pushes.last is None or pushes.last.ended_at is None:
        return "no run for pushes yet"
    age = human_duration(age_seconds(pushes.last.ended_at, now))
    return f"last run for pushes {pushes.last.state}, {age} ago"


def _next_run(runs: MirrorRuns, now: datetime) -> str:
    if runs.disabled or runs.is_paused:
        return f"{runs.dag_id} is {runs.disabled or 'paused'}"
    if runs.running:
        return f"{runs.dag_id} is {runs.running.state}"
    if runs.next_run_at is None:
        return f"{runs.dag_id} has no schedule"
    due = human_duration(abs((runs.next_run_at - now).total_seconds()))
    return f"next scheduled run {f'in {due}' if runs.next_run_at > now else f'due {due} ago'}"


def _reasons(row: OverviewRow) -> Iterator[str]:
    """Yield the reasons of a row that is not in sync, and its oldest lacking tag."""
    oldest = row.oldest_lacking
    lines = list(row.reasons)
    if oldest:
        what = f"{oldest.source}:{oldest.tag}" if oldest.tag else f"a tag of {oldest.source}"
        lines.append(f"lacking for the longest time: {what}, for {human_duration(oldest.age_seconds)}")
    if lines:
        yield f"\n{row.mirror} → {row.destination}"
    for line in lines:
        yield from wrap(one_line(line), WIDTH, initial_indent="  ", subsequent_indent="    ")
