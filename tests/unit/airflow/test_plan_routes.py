"""Parameters of a run, and the number of routes that Airflow can map."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from registry_sync.airflow.operators.plan_routes import read_parameters, split_unmodified
from registry_sync.errors import ConfigurationError
from registry_sync.routes.discovery import FoundRoute
from registry_sync.sync.window import Window
from testkit.settings import route_settings
from tests.unit.config.test_model import a_route

DECLARED: dict[str, Any] = {"repositories": None, "destinations": [], "tags": None, "dry_run": False}


def context(**params: Any) -> Any:
    """A task's context: the declared parameters, and the rest of the run's conf."""
    return {"params": {**DECLARED, **params}, "dag": SimpleNamespace(params=DECLARED), "dag_run": None}


def test_parameters_are_read_and_blank_ones_dropped() -> None:
    given = {"repositories": ["a/b", " c/* ", "", "\n"], "dry_run": True}
    assert read_parameters(context(**given)) == {
        "repositories": ["a/b", "c/*"],
        "destinations": [],
        "tags": None,
        "dry_run": True,
    }


def test_a_parameter_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_parameters(context(tag=["v1"], dryrun=True))
    assert str(caught.value) == (
        "unknown parameters ['dryrun', 'tag']; there are ['destinations', 'dry_run', 'repositories', 'tags']"
    )


def test_a_repository_without_a_push_is_read_when_its_tags_may_have_come_of_age() -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    window = Window(why="scheduled", start=start, end=start + timedelta(days=1))
    modified_at = start - timedelta(days=30)
    ages = {older_than: route_settings(tags={"older_than": older_than}) for older_than in (None, "29d", "30d")}
    found = [
        FoundRoute(route=a_route(f"a/{older_than}".lower(), settings=settings), modified_at=modified_at)
        for older_than, settings in ages.items()
    ]
    work, unmodified = split_unmodified(found, window, "backfill", None, None)
    assert [route.source_repository.name for route, _ in work] == ["a/30d"]
    assert [route.source_repository.name for route in unmodified] == ["a/none", "a/29d"]
