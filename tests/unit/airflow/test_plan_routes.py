"""The number of routes that Airflow can map, and the routes that a window skips."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_sync.airflow.operators.plan_routes import check_length, split_unmodified
from registry_sync.config.settings import RouteSettings
from registry_sync.errors import ConfigurationError
from registry_sync.routes.discovery import FoundRoute
from registry_sync.sync.window import Window
from registry_sync.tags.rules import TagRules
from tests.unit.config.test_model import a_route


def test_more_routes_than_airflow_maps_are_refused() -> None:
    check_length(1024, "m")
    with pytest.raises(ConfigurationError) as caught:
        check_length(1025, "m")
    assert str(caught.value) == (
        "mirror 'm' has 1025 routes, Airflow maps 1024 at most: "
        "split the mirror, or set AIRFLOW__CORE__MAX_MAP_LENGTH higher for the API server and the workers"
    )


def test_a_repository_without_a_push_is_read_when_older_than_admits_its_tags_only_now() -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    window = Window(why="scheduled", start=start, end=start + timedelta(days=1))
    modified_at = start - timedelta(days=30)
    ages = {older_than: RouteSettings(tags=TagRules(older_than=older_than)) for older_than in (None, "29d", "30d")}
    found = [
        FoundRoute(route=a_route(f"a/{older_than}".lower(), settings=settings), modified_at=modified_at)
        for older_than, settings in ages.items()
    ]
    work, unmodified = split_unmodified(found, window, "backfill", None, None)
    assert [route.source_repository.name for route, _ in work] == ["a/30d"]
    assert [route.source_repository.name for route in unmodified] == ["a/none", "a/29d"]
