"""Judge routes at the time of reading: failing, behind the promise, unknown, locked, missing or in sync.

The time is a parameter, so a scheduler that stopped makes everything stale or unknown, although nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from registry_sync.routes.disabled import until_text
from registry_sync.state.destination import RouteFigures, disabled_at, enabled_again_at
from registry_sync.text_table import human_duration

Status = Literal["failing", "stale", "unknown", "paused", "locked", "missing", "disabled", "in_sync"]
"""The status of a route or destination.

``failing``: a tag, the route or the listing of routes fails. ``stale``: a tag is behind the promise. ``unknown``: not
compared, not looked at within the promise, or not readable. ``paused``: no runs start. ``locked``: the destination
refuses to move a tag. ``missing``: tags are missing or changed, within the promise. ``disabled``: the mirrors file has
``enabled: false``, so it is not due, whatever it lacks. ``in_sync``: none of these.
"""

SEVERITY: tuple[Status, ...] = ("failing", "stale", "unknown", "paused", "locked", "missing", "disabled", "in_sync")
"""All statuses, the worst first."""

BROKEN: frozenset[Status] = frozenset({"failing", "stale", "unknown"})
"""Statuses that need attention now: pages show them red, and commands end with exit code 1."""

CLOCK_SKEW = timedelta(minutes=5)
"""Times so far in the future count as now. Later times are wrong, and their status is ``unknown``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A status with its reason for people.

    :ivar since: when it began, where that is known.
    """

    status: Status
    reason: str = ""
    since: datetime | None = None

    @property
    def severity(self) -> int:
        """The position in :data:`SEVERITY`: the lowest is the worst."""
        return SEVERITY.index(self.status)


IN_SYNC = Judgement(status="in_sync")


def worst(judgements: Iterable[Judgement]) -> Judgement:
    """The worst judgement, the first of equally bad ones; in sync when there are none."""
    return min(judgements, key=lambda judgement: judgement.severity, default=IN_SYNC)


def age_seconds(time: datetime, now: datetime) -> float:
    """Seconds from ``time`` to ``now``; 0 for a time in the future."""
    return max(0.0, (now - time).total_seconds())


def lacking(figures: RouteFigures) -> int:
    """The number of selected tags that the destination should have, and has not."""
    return figures.missing + figures.changed + figures.failing + figures.locked


def last_look(figures: RouteFigures, listed_at: datetime | None) -> datetime:
    """Return the time of a route's last look. A run that listed all routes looked at those without a push as well."""
    return max(figures.looked_at, listed_at) if listed_at else figures.looked_at


def due_since(figures: RouteFigures, listed_at: datetime | None) -> datetime:
    """Return the time from which a route's next look is due: its last look, or the later end of its pause.

    A route that was disabled for a month is not behind at the moment in which it is enabled again.
    """
    looked_at, enabled_at = last_look(figures, listed_at), enabled_again_at(figures)
    return max(looked_at, enabled_at) if enabled_at else looked_at


def judge_route(figures: RouteFigures, listed_at: datetime | None, now: datetime) -> Iterator[Judgement]:
    """Judge one route by its row in the index: all its faults, the worst first.

    :param listed_at: when a run last listed all routes; ``None`` for a route that its run lost.
    """
    if disabled_at(figures, now):
        yield Judgement(status="disabled", reason=until_text(figures.disabled_until))
        return
    looked_at = last_look(figures, listed_at)
    if figures.failing or figures.failing_since:
        reason = f"{_tags(figures.failing)} cannot be copied" if figures.failing else "the route fails"
        yield Judgement(status="failing", reason=reason, since=figures.failing_since)
    if reason := broken_promise(figures, now):
        yield Judgement(status="stale", reason=reason, since=figures.oldest_lacking)
    if reason := _unknown(figures, looked_at, due_since(figures, listed_at), now):
        yield Judgement(status="unknown", reason=reason, since=looked_at)
    if figures.locked:
        yield Judgement(status="locked", reason=f"the destination refuses to move {_tags(figures.locked)}")
    if behind := figures.missing + figures.changed:
        yield Judgement(status="missing", reason=f"{_tags(behind)} missing or changed", since=figures.oldest_lacking)


def broken_promise(figures: RouteFigures, now: datetime) -> str:
    """The reason why a route is behind its promise; empty when it is not. A tag exactly at the promise keeps it."""
    if figures.fresh_within is None or not lacking(figures):
        return ""
    promise = human_duration(figures.fresh_within)
    if enabled_at := enabled_again_at(figures):
        age = age_seconds(enabled_at, now)
        again = f"lacks {_tags(lacking(figures))}, and was enabled again {human_duration(age)} ago"
        return f"{again}; the promise is {promise}" if age > figures.fresh_within else ""
    if figures.oldest_lacking is None or figures.oldest_lacking > now + CLOCK_SKEW:
        return f"lacks {_tags(lacking(figures))} of unknown age; the promise is {promise}"
    age = age_seconds(figures.oldest_lacking, now)
    if age <= figures.fresh_within:
        return ""
    return f"lacks a tag that the source has had for {human_duration(age)}; the promise is {promise}"


def _unknown(figures: RouteFigures, looked_at: datetime, due_since: datetime, now: datetime) -> str:
    """The reason why the state of a route is not known; empty when it is."""
    if looked_at > now + CLOCK_SKEW:
        return f"its last look is {human_duration((looked_at - now).total_seconds())} in the future; compare the clocks"
    if figures.complete_at is None:
        return "no run has compared all of its tags yet"
    compared = figures.in_sync + figures.kept + lacking(figures)
    if figures.selected > compared:
        return f"{_tags(figures.selected - compared)} of {figures.selected} were never compared"
    if figures.fresh_within is not None and age_seconds(due_since, now) > figures.fresh_within:
        age, promise = human_duration(age_seconds(looked_at, now)), human_duration(figures.fresh_within)
        return f"last looked at {age} ago; the promise is {promise}"
    return ""


def _tags(count: int) -> str:
    return f"{count} tag{'' if count == 1 else 's'}"
