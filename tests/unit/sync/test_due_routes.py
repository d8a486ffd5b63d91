"""The routes that a window skips, and those that a deep check adds again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from registry_sync.routes.discovery import FoundRoute
from registry_sync.sync.due_routes import split_unmodified, widen_to_everything
from registry_sync.sync.window import RunInterval, Window
from testkit.settings import route_settings
from tests.unit.config.test_entries import a_route


def test_a_repository_without_a_push_is_read_when_older_than_admits_its_tags_only_now() -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    window = Window(reason="scheduled", start=start, end=start + timedelta(days=1))
    run = RunInterval(run_type="backfill", start=window.start, end=window.end)
    modified_at = start - timedelta(days=30)
    ages = {older_than: route_settings(tags={"older_than": older_than}) for older_than in (None, "29d", "30d")}
    found = [
        FoundRoute(route=a_route(f"a/{older_than}".lower(), settings=settings), modified_at=modified_at)
        for older_than, settings in ages.items()
    ]
    work, unmodified = split_unmodified(found, window, run, None, None)
    assert [route.source_repository.name for route, _ in work] == ["a/30d"]
    assert [route.source_repository.name for route in unmodified] == ["a/none", "a/29d"]


def test_a_deep_check_looks_at_all_routes_and_tags() -> None:
    """A route keeps a window of everything that has another reason, such as a full check."""
    start = datetime(2026, 11, 24, tzinfo=UTC)
    hour = Window(reason="scheduled", start=start, end=start + timedelta(hours=1))
    full = Window(reason="full check, @daily", is_full_check=True)
    everything = Window(reason="deep check, @daily")
    one, two, three = (a_route(f"a/{name}") for name in ("one", "two", "three"))
    widened = widen_to_everything([(one, hour), (two, full)], [three], everything)
    assert widened == [(one, everything), (two, full), (three, everything)]
