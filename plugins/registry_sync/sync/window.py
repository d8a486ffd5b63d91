"""Windows: the push times of the tags that a run works on, by its data interval and by the watermark of earlier runs.

Pure: no clock and no Airflow. A registry knows only the latest push of a tag. So a window does not restore past tags:
it limits the present tags that are compared.
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
"""Windows start this much early, because the clock of a registry may be behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Push times from ``start`` up to ``end``, exclusive (aware UTC).

    :ivar reason: the origin of the window, for people.
    :ivar start: ``None`` has no lower bound.
    :ivar end: ``None`` has no upper bound.
    :ivar is_full_check: the run also looks for changes that have no push time, such as artifacts added later. A run
        that compares everything because it has no watermark does not.

    >>> Window(reason="full check").is_everything
    True
    """

    reason: str
    start: datetime | None = None
    end: datetime | None = None
    is_full_check: bool = False

    @property
    def is_everything(self) -> bool:
        return self.start is None and self.end is None

    @property
    def since(self) -> datetime | None:
        """The earliest push time that a listing has to reach."""
        return self.start - CLOCK_SKEW if self.start else None

    def holds(self, pushed_at: datetime | None, *, is_image_time: bool = False) -> bool:
        """Return whether a tag may be in the window. A tag without a push time always may.

        :param is_image_time: the tag was pushed then or later.
        """
        if pushed_at is None:
            return True
        is_too_early = self.since is not None and pushed_at < self.since and not is_image_time
        return not is_too_early and (self.end is None or pushed_at < self.end)

    def __str__(self) -> str:
        if self == PUSHED:
            return "the pushed tags"
        if self.is_everything:
            return f"everything ({self.reason})"
        return f"tags pushed {_format_range(self.start, self.end)} ({self.reason})"

    def to_json(self) -> dict[str, Any]:
        """The window as JSON-simple values."""
        return {
            "reason": self.reason,
            "start": _iso(self.start),
            "end": _iso(self.end),
            "is_full_check": self.is_full_check,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        return cls(
            reason=document["reason"],
            start=_parse_time(document["start"]),
            end=_parse_time(document["end"]),
            is_full_check=document["is_full_check"],
        )


ALL_TAGS = Window(reason="all tags")

PUSHED = Window(reason="pushed")
"""The window of runs for pushes, whose tags are chosen by name."""


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
    """The window of a run, without regard to earlier runs.

    :param full_check: a schedule; the run whose interval holds one of its ticks compares everything.
    :raises ConfigurationError: when the parameters contradict each other.
    """
    check_window_request(request)
    if request.window == "all":
        return Window(reason="requested", is_full_check=True)
    if request.window == "from_to":
        return Window(reason="requested", start=request.start, end=request.end)
    if run.run_type not in ("scheduled", "backfill") or run.start is None or run.end is None or run.start >= run.end:
        return Window(reason=f"{run.run_type} run")
    if run.run_type == "backfill":
        return Window(reason="backfill", start=run.start, end=run.end)
    if full_check and ticks_within(full_check, run.start, run.end):
        return Window(reason=f"full check, {full_check}", is_full_check=True)
    return Window(reason=run.run_type, start=run.start, end=run.end)


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
    run: Window, interval: RunInterval, route: Route, watermark: Watermark | None, full_check: str | None = None
) -> Window:
    """The window of one route: the run's window, extended back to the watermark where runs were missed.

    Only scheduled runs use the watermark. Everything is compared when it does not have the route, because no earlier
    run finished it. A full check that the route missed is made up for, also where every run compares everything: no
    other run tries the attached artifacts of images in sync.
    """
    if run.is_full_check or interval.run_type != "scheduled" or interval.start is None or interval.end is None:
        return run
    if watermark and (reason := _missed_full_check(interval.start, interval.end, route, watermark, full_check)):
        return Window(reason=reason, is_full_check=True)
    if run.is_everything:
        return run
    if watermark is None or route_key(route) not in watermark.routes:
        return Window(reason="first run of this route, or its last run did not finish")
    if watermark.until >= interval.start:
        return run
    return replace(run, start=watermark.until, reason=f"{run.reason}, with missed runs")


def _missed_full_check(
    start: datetime, end: datetime, route: Route, watermark: Watermark, full_check: str | None
) -> str:
    """The reason that a route needs a full check out of turn; empty when it needs none."""
    if _key_with_other_signatures(route) in watermark.routes:
        return "full check, because signatures was changed"
    if route_key(route) in watermark.unchecked:
        return "full check, because the last one broke off, or more attached artifacts failed than are stored"
    is_missed = full_check and watermark.until < start and ticks_within(full_check, watermark.until, end)
    return f"missed full check, {full_check}" if is_missed and route_key(route) in watermark.routes else ""


def compares_names(
    run: RunInterval, window: Window, route: Route, watermark: Watermark | None, full_check: str | None
) -> bool:
    """Return whether a run needs no digests of tags that ``on_moved_tag`` keeps, if the destination lists their names.

    It is a scheduled run, the route's last run finished, and no full check was due since then.
    """
    if run.run_type != "scheduled" or run.end is None or full_check is None or window.is_full_check:
        return False
    if watermark is None or route_key(route) not in watermark.routes:
        return False
    return not ticks_within(full_check, min(watermark.until, run.start or run.end), run.end)


def _key_with_other_signatures(route: Route) -> str:
    """The key that the route had before ``signatures`` was changed.

    Only a full check finds the signatures of images that are in sync.
    """
    signatures = not route.settings.signatures
    return route_key(replace(route, settings=replace(route.settings, signatures=signatures)))


def _format_range(start: datetime | None, end: datetime | None) -> str:
    """Two times as text, with the date once when it is the same."""
    if start is None or end is None:
        return f"from {start:%Y-%m-%d %H:%M}" if start else f"before {end:%Y-%m-%d %H:%M}"
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M}–{last} UTC"


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
