"""Which push times a run looks at: its data interval, or everything; and what earlier runs already brought into step.

Pure: no clock and no Airflow. A registry tells only the newest push of a tag, so a window never brings back the past;
it says which of today's tags are worth a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from registry_sync.config.schedule import ticks_within
from registry_sync.errors import ConfigurationError
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.run_state import Watermark

CLOCK_SKEW = timedelta(minutes=10)
"""So much before its start a window looks for tags, since a registry's clock may be behind ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Push times from ``start`` up to but without ``end`` (aware UTC), ``None`` being open; ``why`` is for people.

    ``is_full_check``: it is everything for the sake of what no push time tells, and not since there is nothing less.

    >>> Window(why="full check").is_everything
    True
    """

    why: str
    start: datetime | None = None
    end: datetime | None = None
    is_full_check: bool = False

    @property
    def is_everything(self) -> bool:
        return self.start is None and self.end is None

    @property
    def since(self) -> datetime | None:
        """How far back tags have to be read."""
        return self.start - CLOCK_SKEW if self.start else None

    def holds(self, pushed_at: datetime | None) -> bool:
        """Return whether a tag pushed then is to be looked at. One of unknown push time always is."""
        if pushed_at is None:
            return True
        return (self.since is None or pushed_at >= self.since) and (self.end is None or pushed_at < self.end)

    def __str__(self) -> str:
        if self.is_everything:
            return f"everything ({self.why})"
        return f"tags pushed {_shown(self.start, self.end)} ({self.why})"

    def to_json(self) -> dict[str, Any]:
        """The window as JSON-simple values, for XCom."""
        return {
            "why": self.why,
            "start": _iso(self.start),
            "end": _iso(self.end),
            "is_full_check": self.is_full_check,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(
            why=document["why"],
            start=_moment(document["start"]),
            end=_moment(document["end"]),
            is_full_check=document.get("is_full_check", False),
        )


ALL_TAGS = Window(why="all tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInterval:
    """A DAG run's Airflow type and data interval. A manual run may have no interval."""

    run_type: str
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRequest:
    """The run's parameters ``window``, ``window_from`` and ``window_to``."""

    window: str = "auto"
    start: datetime | None = None
    end: datetime | None = None


def window_of_run(run: RunInterval, request: WindowRequest, full_check: str | None) -> Window:
    """The window of a run, before it is known what earlier runs did.

    :param full_check: a schedule; the run whose interval holds one of its ticks compares everything.
    :raises ConfigurationError: when the parameters contradict each other.
    """
    check_window_request(request)
    if request.window == "all":
        return Window(why="asked for", is_full_check=True)
    if request.window == "from_to":
        return Window(why="asked for", start=request.start, end=request.end)
    if run.run_type not in ("scheduled", "backfill") or run.start is None or run.end is None or run.start >= run.end:
        return Window(why=f"{run.run_type} run")
    if run.run_type == "backfill":
        return Window(why="backfill", start=run.start, end=run.end)
    if full_check and ticks_within(full_check, run.start, run.end):
        return Window(why=f"full check, {full_check}", is_full_check=True)
    return Window(why=run.run_type, start=run.start, end=run.end)


def check_window_request(request: WindowRequest) -> None:
    """:raises ConfigurationError: when the parameters of a run's window contradict each other."""
    has_limits = request.start is not None or request.end is not None
    if request.window == "from_to" and not has_limits:
        raise ConfigurationError("window is from_to, but neither window_from nor window_to is given")
    if request.window != "from_to" and has_limits:
        raise ConfigurationError(f"window_from and window_to go with window: from_to, not with {request.window!r}")
    if request.start and request.end and request.start >= request.end:
        raise ConfigurationError(f"window_from {request.start} is not before window_to {request.end}")


def window_of_route(
    run: Window, run_type: str, route: Route, in_step: Watermark | None, full_check: str | None = None
) -> Window:
    """The window of one route: the run's own, longer where earlier runs were missed, or everything at first.

    Only scheduled runs build on each other. Without word of an earlier one that finished this route, all is compared,
    and so it is when a full check was among what was missed.
    """
    if run.is_everything or run_type != "scheduled" or run.start is None or run.end is None:
        return run
    if in_step and _with_other_signatures(route) in in_step.routes:
        return Window(why="full check, since signatures was changed", is_full_check=True)
    if in_step is None or route_key(route) not in in_step.routes:
        return Window(why="first run of this route, or the last one did not finish it")
    if in_step.until >= run.start:
        return run
    if full_check and ticks_within(full_check, in_step.until, run.end):
        return Window(why=f"full check, {full_check}, which was missed", is_full_check=True)
    return replace(run, start=in_step.until, why=f"{run.why}, and what was missed")


def _with_other_signatures(route: Route) -> str:
    """The key that the route had before that setting was changed. Only a full check finds those of what is in step."""
    signatures = not route.settings.signatures
    return route_key(replace(route, settings=replace(route.settings, signatures=signatures)))


def _shown(start: datetime | None, end: datetime | None) -> str:
    """Two moments as people write them, the day once when it is the same."""
    if start is None or end is None:
        return f"from {start:%Y-%m-%d %H:%M}" if start else f"before {end:%Y-%m-%d %H:%M}"
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M}–{last} UTC"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
