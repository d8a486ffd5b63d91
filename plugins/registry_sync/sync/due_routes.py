"""The routes that a run works on, each with its window, and those whose repository had no push in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest
from registry_sync.routes.discovery import FoundRoute
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.run_state import Watermark
from registry_sync.sync.window import RunInterval, Window, window_of_route


def split_unmodified(
    found: Iterable[FoundRoute], window: Window, run: RunInterval, watermark: Watermark | None, full_check: str | None
) -> tuple[list[tuple[Route, Window]], list[Route]]:
    """Split routes into those to work on, each with its window, and those whose repository had no push in it.

    A route that lacks attached artifacts tries them again in any case.
    """
    work: list[tuple[Route, Window]] = []
    unmodified: list[Route] = []
    for candidate in found:
        route = candidate.route
        own = window_of_route(window, run, route, watermark, full_check)
        changed_at = route.settings.tags.last_entry(candidate.modified_at)
        is_due = watermark is not None and route_key(route) in watermark.lacking
        if changed_at and own.since and changed_at < own.since and not is_due:
            unmodified.append(route)
        else:
            work.append((route, own))
    return work, unmodified


def widen_to_everything(
    work: Sequence[tuple[Route, Window]], unmodified: Sequence[Route], everything: Window
) -> list[tuple[Route, Window]]:
    """All routes, each with a window of everything: its own window if that is one, else ``everything``."""
    widened = [(route, own if own.is_everything else everything) for route, own in work]
    return widened + [(route, everything) for route in unmodified]


def check_accepted_are_compared(accepted: Mapping[str, Mapping[str, Digest]], unmodified: Iterable[Route]) -> None:
    """:raises ConfigurationError: when a tag is accepted in a repository that the run does not compare."""
    for route in unmodified:
        if tags := accepted.get(route_key(route)):
            raise ConfigurationError(
                f"accept names {', '.join(tags)} of {route.source_repository}, which had no push in the window of this "
                "run, so that it is not compared; write window: all"
            )
