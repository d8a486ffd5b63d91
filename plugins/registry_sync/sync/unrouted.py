"""Reports of repositories that get no route, and so no task that reports them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from registry_sync.errors import ConfigurationError
from registry_sync.routes.discovery import FailedRepository
from registry_sync.sync.report import RouteReport

MAX_UNROUTED = 100
"""Maximum number of reports of repositories without a route, so that their XCom stays bounded."""


def unrouted_reports(mirror: str, destination: str, failures: Sequence[FailedRepository]) -> list[RouteReport]:
    """A report for each failure, at most :data:`MAX_UNROUTED` and one for all others."""
    shown = [
        RouteReport.of_unrouted(mirror, failure.source, destination, failure.error)
        for failure in failures[:MAX_UNROUTED]
    ]
    if others := len(failures) - len(shown):
        error = ConfigurationError("they are not mirrored either; the log of the task that lists the routes has them")
        shown.append(RouteReport.of_unrouted(mirror, f"{others} more repositories", destination, error))
    return shown
