"""The alerts of a mirror, of which messages are made: failures and broken promises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from registry_sync.state.destination import DestinationState, RouteFigures
from registry_sync.state.judging.freshness import age_seconds, broken_promise, due_since
from registry_sync.state.judging.judge_destination import listed_at
from registry_sync.state.messages.known_destination import KnownDestination, failing_routes
from registry_sync.state.names import destination_of, source_of
from registry_sync.state.route import Problem, RouteState
from registry_sync.state.stored_destination import StoredDestination, due_figures
from registry_sync.text_table import human_duration

AlertKind = Literal["failed", "stale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A failure or a broken promise.

    :ivar key: identifies it as long as it lasts, whatever its reason becomes.
    :ivar place: such as ``team/app:v1 → acr``.
    :ivar since: when it began, or was first seen.
    :ivar tries: number of runs that it failed in; 0 when it has none.
    :ivar count: number of tags, routes or runs that it stands for.
    """

    kind: AlertKind
    key: str
    place: str
    reason: str
    since: datetime
    tries: int = 0
    count: int = 1


def collect_alerts(destinations: Iterable[KnownDestination], now: datetime) -> list[Alert]:
    """The alerts of a mirror's destinations: failures first, each kind with the oldest first."""
    alerts = [alert for known in destinations for alert in _of_destination(known, now)]
    return in_order(alerts)


def in_order(alerts: Iterable[Alert]) -> list[Alert]:
    """Alerts with failures first, each kind with the oldest first."""
    return sorted(alerts, key=lambda alert: (alert.kind, alert.since, alert.place))


def file_alerts(problems: Iterable[str], now: datetime) -> list[Alert]:
    """The alerts about problems of the mirrors file. A problem that moves to another line stays the same.

    :param problems: as ``file:line: message``.
    """
    split = [problem.partition(": ") for problem in problems]
    return [_failure(message or place, place, message or place, now) for place, _, message in split]


def _of_destination(known: KnownDestination, now: datetime) -> Iterator[Alert]:
    name, state = known.stored.destination, known.stored.state
    for fault in known.faults:
        since = state.run_ended if state else now
        yield _failure(
            f"{name} state {fault}", f"state of {name}", f"{fault}; the next full check writes it again", since
        )
    if state is None or known.stored.disabled:
        return
    failures = [*_of_last_run(name, state, due_figures(known.stored, now)), *_of_routes(known, now)]
    if state.is_failed and not failures:
        failures = [_failure(f"{name} run", name, f"the last run failed: {state.summary}", state.run_ended)]
    yield from failures
    yield from _broken_promises(known.stored, now)


def _failure(key: str, place: str, reason: str, since: datetime, *, count: int = 1) -> Alert:
    return Alert(kind="failed", key=key, place=place, reason=reason, since=since, count=count)


def _of_last_run(name: str, state: DestinationState, due: Mapping[str, RouteFigures]) -> Iterator[Alert]:
    """Failures of the last run beside those of routes: of the list of routes, and of tasks that were killed."""
    if state.problem:
        yield _alert(state.problem, f"{name} list", f"list of routes → {name}")
    for route in (route for route in state.unreported if route in due):
        reason = "its task left no result (killed, out of memory, or rate-limited to the end?); see its log"
        yield _failure(f"{name} {route} task", _place(route, None, name), reason, state.run_ended)


def _of_routes(known: KnownDestination, now: datetime) -> Iterator[Alert]:
    name, figures = known.stored.destination, due_figures(known.stored, now)
    for route in failing_routes(figures):
        details = known.details.get(route)
        for problem in details.problems if details else ():
            yield _alert(problem, f"{name} {route} {problem.tag or ''}", _place(route, problem.tag, name))
        yield from _others(name, route, figures[route], details)


def _others(destination: str, route: str, figures: RouteFigures, details: RouteState | None) -> Iterator[Alert]:
    """The problems of a route beyond those that are stored with their reasons, or that were read."""
    if details and details.problems:
        rest, words = details.problem_count - len(details.problems), "more tags fail"
    else:
        rest, words = max(figures.failing + figures.locked, 1), "tags fail"
    if rest > 0:
        reason = f"{rest} {words}; see the route on the page Mirrors"
        since = figures.failing_since or figures.looked_at
        yield _failure(f"{destination} {route} *", _place(route, None, destination), reason, since, count=rest)


def _alert(problem: Problem, key: str, place: str) -> Alert:
    return Alert(kind="failed", key=key, place=place, reason=problem.reason, since=problem.since, tries=problem.tries)


def _place(route: str, tag: str | None, destination: str) -> str:
    """A route and a tag as people know them, such as ``team/app:v1 → acr/mirror/app``."""
    source, renamed = source_of(route), destination_of(route)
    return f"{source}{f':{tag}' if tag else ''} → {destination}{f'/{renamed}' if renamed != source else ''}"


def _broken_promises(stored: StoredDestination, now: datetime) -> Iterator[Alert]:
    """Routes that lack a tag for longer than promised, and the routes that no run looked at for longer."""
    unseen: list[tuple[datetime, float]] = []
    for route, row in due_figures(stored, now).items():
        if row.fresh_within is None:
            continue
        if reason := broken_promise(row, now):
            began = (row.oldest_lacking or row.looked_at) + timedelta(seconds=row.fresh_within)
            place, key = _place(route, None, stored.destination), f"{stored.destination} {route} stale"
            yield Alert(kind="stale", key=key, place=place, reason=reason, since=min(began, now))
        seen = due_since(row, listed_at(stored, route))
        if age_seconds(seen, now) > row.fresh_within:
            unseen.append((seen, row.fresh_within))
    if unseen:
        yield _unseen(stored.destination, len(unseen), *min(unseen), now)


def _unseen(destination: str, count: int, seen: datetime, promise: float, now: datetime) -> Alert:
    """One alert for all routes that no run looked at. Most often no run came at all."""
    age = human_duration(age_seconds(seen, now))
    return Alert(
        kind="stale",
        key=f"{destination} look",
        place=f"{count} {'route' if count == 1 else 'routes'} → {destination}",
        reason=f"not looked at for up to {age}; the promise is {human_duration(promise)}",
        since=seen + timedelta(seconds=promise),
        count=count,
    )


def minute(time: datetime) -> str:
    """A time for people, in UTC."""
    return f"{time:%Y-%m-%d %H:%M} UTC"
