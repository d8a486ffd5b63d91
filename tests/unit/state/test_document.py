"""State values as JSON and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from registry_sync.state.destination import RouteFigures, RouteIndex
from registry_sync.state.document import StateError, as_document, read_document
from registry_sync.state.route import KnownTag, Problem, RouteState, TagTable

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

ROUTE = RouteState(
    route="team/app",
    source="quay.io/team/app",
    destination="example.azurecr.io/team/app",
    run_id="scheduled__2026-03-01T12:00:00+00:00",
    task_id="to_acr",
    map_index=3,
    looked_at=NOON,
    selected=2,
    in_sync=1,
    failing=1,
    problems=(Problem(tag="v2", error_class="denied", reason="no rights", since=NOON),),
    problem_count=1,
)


@pytest.mark.parametrize(
    "value",
    [
        ROUTE,
        TagTable(tags=(KnownTag(tag="v1", status="in_sync", first_seen=NOON, published_at=NOON),), total=1),
        RouteIndex(routes={"team/app": RouteFigures(looked_at=NOON, selected=2)}),
    ],
)
def test_a_value_survives_json(value: object) -> None:
    assert read_document(type(value), json.loads(json.dumps(as_document(value)))) == value


@pytest.mark.parametrize(
    "document",
    [None, [], "text", {}, {"routes": {"team/app": {"looked_at": "yesterday"}}}, {"routes": ["team/app"]}],
)
def test_a_document_of_somebody_else_is_an_error(document: object) -> None:
    with pytest.raises(StateError, match=r"^the stored RouteIndex cannot be read: "):
        read_document(RouteIndex, document)
