"""The JSON twins of the pages, asked over HTTP at a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pages.conftest import Person

TAGS = {"selected", "in_sync", "missing", "changed", "failing", "locked", "kept"}
ROUTE = {
    *("mirror", "destination", "route", "repository", "status", "reason", "since", "tags", "looked_at", "complete_at"),
    *("oldest_lacking", "failing_since", "lag_seconds", "fresh_within_seconds", "is_disabled", "disabled_until"),
}
COLUMN = ROUTE | {"page_url", "problem_count", "problems", "run_id", "task_id", "map_index", "faults"}
PROBLEM = {"tag", "error_class", "reason", "since", "tries"}
CELL = {
    *("mirror", "destination", "repository", "status", "digest", "pushed_at", "first_seen", "published_at"),
    *("lag_seconds", "problem"),
}


def items(viewer: Person, path: str) -> list[dict[str, Any]]:
    answer = viewer.ask(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert {"total", "offset", "limit", "items"} <= document.keys()
    assert len(document["items"]) == min(document["limit"], max(0, document["total"] - document["offset"]))
    return list(document["items"])


def test_the_overview(viewer: Person) -> None:
    rows = items(viewer, "/api/overview")
    assert [row["status"] for row in rows] == ["failing"] * 4 + ["unknown"] * 3 + ["in_sync"]
    best = next(row for row in rows if (row["mirror"], row["destination"]) == ("giantswarm", "ghcr"))
    assert best["tags"] == {**dict.fromkeys(TAGS, 0), "selected": 1200, "in_sync": 1200}
    assert (best["routes"], best["routes_by_status"], best["oldest_lacking"]) == (40, {"in_sync": 40}, None)
    assert (best["fresh_within_seconds"], best["is_broken"], best["reasons"]) == (7200.0, False, [])
    assert best["dag"].keys() == {
        "dag_id",
        "is_paused",
        "is_gone",
        "disabled",
        "next_run_at",
        "last_run",
        "running",
        "pushes",
    }
    assert best["dag"]["last_run"].keys() == {"run_id", "state", "started_at", "ended_at"}
    assert rows[0]["oldest_lacking"].keys() == {"source", "route", "tag", "since", "age_seconds"}
    assert [row["mirror"] for row in items(viewer, "/api/overview?mirror=hub&destination=acr")] == ["hub"]


def test_routes(viewer: Person) -> None:
    failing = items(viewer, "/api/routes?mirror=giantswarm&destination=acr&status=failing")
    assert {row["status"] for row in failing} == {"failing"}
    assert failing[0].keys() == ROUTE | {"source"}
    assert failing[0]["tags"].keys() == TAGS
    assert len(items(viewer, "/api/routes?limit=7&offset=3")) == 7


def test_a_repository(viewer: Person) -> None:
    answer = viewer.ask("/api/repositories/quay.io/giantswarm/etcd?tag=v1.2&limit=2").json()
    assert (answer["source"], answer["total"], len(answer["items"])) == ("quay.io/giantswarm/etcd", 10, 2)
    assert answer["page_url"] == "https://quay.io/repository/giantswarm/etcd?tab=tags"
    assert [column["destination"] for column in answer["destinations"]] == ["harbor", "acr", "aliyun", "ghcr"]
    assert answer["destinations"][0].keys() == COLUMN
    assert answer["items"][0].keys() == {"tag", "is_lacking", "destinations"}
    assert [cell.keys() for cell in answer["items"][0]["destinations"]] == [CELL] * 4
    unknown = viewer.ask("/api/repositories/quay.io/no/such")
    detail = "There is no state of 'quay.io/no/such', or you may not read its mirror."
    assert (unknown.status_code, unknown.json()) == (404, {"detail": detail})


def test_find(viewer: Person) -> None:
    [hit, *_] = items(viewer, "/api/find?q=giantswarm/etcd:v1.2.9")
    assert hit.keys() == {"source", "page_url", "destinations", "tag_total", "tags"}
    assert (hit["source"], hit["tag_total"], [row["tag"] for row in hit["tags"]]) == (
        "quay.io/giantswarm/etcd",
        1,
        ["v1.2.9"],
    )
    digest = hit["tags"][0]["destinations"][0]["digest"]
    [by_digest] = items(viewer, f"/api/find?q={digest}")
    assert by_digest == hit


def test_changes(viewer: Person) -> None:
    day = viewer.ask("/api/changes?mirror=hub&destination=acr").json()
    week = viewer.ask("/api/changes?mirror=hub&destination=acr&hours=168&limit=3").json()
    assert (day["total"], week["total"], day["unreadable"]) == (20, 20, 0)
    event = week["items"][0]
    assert event.keys() == {"mirror", "destination", "host", "run_id", "at", "total", "changes"}
    assert event["changes"][0].keys() == {"repository", "tag", "kind", "digest", "old_digest", "accepted"}
    name = event["changes"][0]["repository"]
    for found in items(viewer, f"/api/changes?repository={name}&hours=168"):
        assert {change["repository"] for change in found["changes"]} == {name}


def test_failing(viewer: Person) -> None:
    routes = items(viewer, "/api/failing?limit=500")
    assert routes[0].keys() == {
        *("mirror", "destination", "route", "source", "repository", "since", "problem_count", "problems"),
        *("run_id", "task_id", "map_index"),
    }
    assert [route["since"] for route in routes] == sorted(route["since"] for route in routes)
    assert all(problem.keys() == PROBLEM | {"advice"} for route in routes for problem in route["problems"])


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/api/overview?limit=0", "limit: Input should be greater than or equal to 1"),
        ("/api/routes?limit=501", "limit: Input should be less than or equal to 500"),
        ("/api/failing?offset=-1", "offset: Input should be greater than or equal to 0"),
        ("/api/changes?hours=0", "hours: Input should be greater than 0"),
        ("/api/changes?hours=nan", "hours: Input should be less than or equal to 2160"),
        ("/api/changes?hours=99999", "hours: Input should be less than or equal to 2160"),
        ("/api/find", "q: Field required"),
        ("/api/find?q=", "nothing to search for; write part of a name, NAME:TAG, or a digest"),
        ("/api/find?q=x&limit=101", "limit: Input should be less than or equal to 100"),
    ],
)
def test_wrong_parameters_are_said(viewer: Person, path: str, detail: str) -> None:
    answer = viewer.ask(path)
    assert (answer.status_code, answer.json()) == (422, {"detail": detail})
