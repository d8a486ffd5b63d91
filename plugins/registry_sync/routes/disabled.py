"""Routes of mirrors and rules with ``enabled: false``: nothing of them is copied, deleted or verified."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from registry_sync.routes.discovery import Discovery
from registry_sync.routes.route import Route

MAX_IN_NOTE = 10
"""Repositories that a note names."""


def until_text(until: datetime | None) -> str:
    """The time up to which something is disabled, in words.

    >>> until_text(datetime(2026, 12, 24))
    'disabled until 2026-12-24 00:00 UTC'
    """
    return f"disabled until {until:%Y-%m-%d %H:%M} UTC" if until else "disabled"


def split_disabled(found: Discovery, now: datetime) -> tuple[Discovery, tuple[Route, ...]]:
    """The routes to work on at a time (aware UTC), and those that are disabled. Failures of disabled rules are dropped.

    The split comes after the names at the destination are given out: a disabled route keeps its own, so that no other
    rule writes or prunes what it left there.
    """
    enabled = tuple(entry for entry in found.routes if not entry.route.settings.is_disabled(now))
    disabled = tuple(entry.route for entry in found.routes if entry.route.settings.is_disabled(now))
    failures = tuple(failure for failure in found.failures if not failure.is_disabled(now))
    return replace(found, routes=enabled, failures=failures), disabled


def disabled_note(routes: Sequence[Route]) -> str:
    """A note about disabled routes, with the first of them."""
    shown = ", ".join(_named(routes[:MAX_IN_NOTE]))
    more = f" and {len(routes) - MAX_IN_NOTE} more" if len(routes) > MAX_IN_NOTE else ""
    count = f"{len(routes)} {'repository is' if len(routes) == 1 else 'repositories are'}"
    return f"{count} disabled, and nothing there is copied or deleted: {shown}{more}"


def _named(routes: Iterable[Route]) -> Iterable[str]:
    return (f"{route.source_repository.short_name} ({until_text(route.settings.until)})" for route in routes)
