"""Rights on the pages, over HTTP at a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from airflow.models.asset import AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.models.dag import DagModel
from fastapi.routing import APIRoute
from sqlalchemy import Update, select, update

from registry_sync.airflow.pages.access import read_caller
from registry_sync.airflow.pages.app import pages
from registry_sync.airflow.pages.headers import CONTENT_SECURITY_POLICY
from registry_sync.state.names import index_key
from testkit.airflow import LocalAirflow
from testkit.pages import database_session
from tests.pages.conftest import Person
from tests.pages.seen import SECRET

RUN_AGAIN = {"mirror": "giantswarm", "repository": "giantswarm/etcd"}
OWN_SCRIPT = {"X-Registry-Sync": "test"}
PARAMETERS = {
    "{name}": "page.css",
    "{source:path}": "quay.io/giantswarm/etcd",
    "{path:path}": "no/such/page",
}
QUERIES = {
    "/repository": f"?name={quote('quay.io/giantswarm/etcd', safe='')}",
    "/find": "?q=etcd",
    "/api/find": "?q=etcd",
}


def covered_routes() -> list[APIRoute]:
    """All routes. A mounted app, such as one for static files, would have no dependencies."""
    assert [route for route in pages.routes if not isinstance(route, APIRoute)] == []
    return [route for route in pages.routes if isinstance(route, APIRoute)]


def routes() -> Iterator[tuple[str, str]]:
    """Method and path of every route of the app, with values in the place of parameters."""
    for route in covered_routes():
        path = route.path
        for name, value in PARAMETERS.items():
            path = path.replace(name, value)
        assert "{" not in path, f"give {path} a value in PARAMETERS"
        for method in sorted(route.methods):
            yield method, path


ROUTES = list(routes())


def test_every_route_depends_on_the_caller() -> None:
    checks = {route.path: {check.call for check in route.dependant.dependencies} for route in covered_routes()}
    open_routes = [path for path, calls in checks.items() if read_caller not in calls]
    assert open_routes == []


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_sees_anything(nobody: Person, method: str, path: str) -> None:
    answer = nobody.ask(path + QUERIES.get(path, ""), method=method, headers=OWN_SCRIPT, json=RUN_AGAIN)
    assert answer.status_code == 401
    assert "giantswarm" not in answer.text


@pytest.mark.parametrize("token", ["not-a-token", "a.b.c", ""])
def test_a_wrong_token_opens_nothing(airflow: LocalAirflow, token: str) -> None:
    for method, path in ROUTES:
        answer = Person(airflow, None).ask(path, method=method, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code in {401, 403}, path
        assert "giantswarm" not in answer.text


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] == "GET"])
def test_a_viewer_reads_all_pages(viewer: Person, path: str, method: str) -> None:
    answer = viewer.ask(path + QUERIES.get(path, ""), method=method)
    assert answer.status_code == (404 if path == "/no/such/page" else 200)
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/routes", "/failing", "/changes?hours=168", "/find?q=vault"])
def test_a_mirror_of_others_is_not_there(admin: Person, viewer: Person, path: str) -> None:
    json_path = "/api/overview" if path == "/" else f"/api{path}"
    assert admin.ask(json_path).json()["total"] > viewer.ask(json_path).json()["total"]
    for asked in (path, json_path):
        answer = viewer.ask(asked)
        assert answer.status_code == 200
        assert SECRET not in answer.text
        assert "vault.example" not in answer.text


def test_a_mirror_of_others_is_unknown_by_name(viewer: Person) -> None:
    """The answers are those for a mirror that does not exist."""
    for name in (SECRET, "no_such"):
        body = {"mirror": name, "repository": "giantswarm/etcd"}
        answer = viewer.ask("/api/run-again", method="POST", headers=OWN_SCRIPT, json=body)
        detail = f"There is no mirror {name!r}, or you may not read its DAG."
        assert (answer.status_code, answer.json()) == (404, {"detail": detail})
        assert viewer.ask(f"/api/routes?mirror={name}").json()["total"] == 0


def test_a_page_says_how_to_log_in(nobody: Person) -> None:
    answer = nobody.ask("/")
    assert "Log in to Airflow first" in answer.text
    assert '<a href="/auth/login' in answer.text
    assert nobody.ask("/api/overview").json() == {"detail": "Not authenticated"}


def test_a_viewer_may_not_run(viewer: Person) -> None:
    answer = viewer.ask("/api/run-again", method="POST", headers=OWN_SCRIPT, json=RUN_AGAIN)
    assert (answer.status_code, answer.json()) == (403, {"detail": "You may not trigger the DAG mirror_giantswarm."})


def test_those_who_may_trigger_run_a_repository_again(airflow: LocalAirflow) -> None:
    olga = Person(airflow, airflow.api_of("olga").token)
    answer = olga.ask("/api/run-again", method="POST", headers=OWN_SCRIPT, json=RUN_AGAIN)
    assert answer.status_code == 200, answer.text
    run = airflow.api.dag_run("mirror_giantswarm", answer.json()["run_id"])
    assert run["conf"]["repositories"] == ["giantswarm/etcd"]
    assert (run["run_type"], run["triggering_user_name"]) == ("manual", "olga")
    assert answer.json()["url"] == f"/dags/mirror_giantswarm/runs/{quote(run['dag_run_id'], safe='')}"


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"mirror": "no_such", "repository": "x"}, 404, "There is no mirror 'no_such', or you may not read its DAG."),
        (
            {"mirror": "giantswarm", "repository": "team/unknown"},
            404,
            "The runs of the mirror 'giantswarm' have found no repository 'team/unknown'.",
        ),
        (
            {"mirror": "archive", "repository": "giantswarm/etcd"},
            409,
            "The DAG mirror_archive is paused. Unpause it, or the run would wait.",
        ),
        ({"mirror": "giantswarm"}, 422, "repository: Field required"),
        ({**RUN_AGAIN, "dry_run": True}, 422, "dry_run: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_run_is_said_plainly(admin: Person, body: dict[str, str], status: int, detail: str) -> None:
    answer = admin.ask("/api/run-again", method="POST", headers=OWN_SCRIPT, json=body)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


REFUSED = "Remove enabled: false from the mirrors file, or the run would copy nothing."


def test_a_disabled_mirror_is_not_run_again(airflow: LocalAirflow, admin: Person) -> None:
    of_dag = update(DagModel).where(DagModel.dag_id == "mirror_giantswarm")
    with database_session(airflow) as session:
        schedule = session.scalar(select(DagModel.timetable_summary).where(DagModel.dag_id == "mirror_giantswarm"))
        session.execute(of_dag.values(timetable_summary="disabled until 2036-12-24 06:00 UTC"))
    answer = admin.ask("/api/run-again", method="POST", headers=OWN_SCRIPT, json=RUN_AGAIN)
    with database_session(airflow) as session:
        session.execute(of_dag.values(timetable_summary=schedule))
    detail = f"The mirror giantswarm is disabled until 2036-12-24 06:00 UTC. {REFUSED}"
    assert (answer.status_code, answer.json()) == (409, {"detail": detail})


def test_a_disabled_repository_is_not_run_again(airflow: LocalAirflow, admin: Person) -> None:
    """It is disabled at each destination. With one that is not, the run has something to do."""
    rows = (
        select(AssetStateStoreModel)
        .join(AssetModel, AssetModel.id == AssetStateStoreModel.asset_id)
        .where(AssetModel.name.startswith("registry_sync/giantswarm/"), AssetStateStoreModel.key == index_key(0))
    )
    with database_session(airflow) as session:
        before = {row.asset_id: row.value for row in session.scalars(rows)}
        for row in session.scalars(rows):
            document = json.loads(row.value)
            document["routes"]["giantswarm/etcd"] |= {"is_disabled": True, "disabled_until": None}
            row.value = json.dumps(document)
    refused = admin.ask("/api/run-again", method="POST", headers=OWN_SCRIPT, json=RUN_AGAIN)
    first = min(before)
    with database_session(airflow) as session:
        session.execute(_of_asset(first).values(value=before[first]))
    taken = admin.ask("/api/run-again", method="POST", headers=OWN_SCRIPT, json=RUN_AGAIN)
    with database_session(airflow) as session:
        for asset, value in before.items():
            session.execute(_of_asset(asset).values(value=value))
    detail = f"The repository giantswarm/etcd is disabled. {REFUSED}"
    assert len(before) == 3
    assert (refused.status_code, refused.json()) == (409, {"detail": detail})
    assert taken.status_code == 200


def _of_asset(asset: int) -> Update:
    """A change of the index of a destination."""
    return update(AssetStateStoreModel).where(
        AssetStateStoreModel.asset_id == asset, AssetStateStoreModel.key == index_key(0)
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [("", "Invalid JSON: EOF while parsing a value at line 1 column 0"), ("[" * 9000, None), ("x" * 20_000, None)],
)
def test_a_body_is_read_after_the_checks(nobody: Person, admin: Person, body: str, detail: str | None) -> None:
    headers = {**OWN_SCRIPT, "Content-Type": "application/json"}
    assert nobody.ask("/api/run-again", method="POST", headers=headers, data=body).status_code == 401
    answer = admin.ask("/api/run-again", method="POST", headers=headers, data=body)
    assert answer.status_code == (413 if len(body) > 10_000 else 422)
    assert detail is None or answer.json() == {"detail": detail}


@pytest.mark.parametrize(
    ("headers", "status", "detail"),
    [
        ({}, 403, "The request needs the header X-Registry-Sync."),
        (
            {**OWN_SCRIPT, "Content-Type": "text/plain"},
            415,
            "The request needs the header Content-Type: application/json.",
        ),
        ({**OWN_SCRIPT, "Origin": "https://other.example"}, 403, "The request comes from a page of another origin."),
        ({**OWN_SCRIPT, "Origin": "null"}, 403, "The request comes from a page of another origin."),
        ({**OWN_SCRIPT, "Sec-Fetch-Site": "same-site"}, 403, "The request comes from a page of another origin."),
        ({**OWN_SCRIPT, "Sec-Fetch-Site": "cross-site"}, 403, "The request comes from a page of another origin."),
        ({**OWN_SCRIPT, "Sec-Fetch-Site": "none"}, 403, "The request comes from a page of another origin."),
    ],
)
def test_other_pages_cannot_run_with_the_cookie_of_a_person(
    airflow: LocalAirflow, admin: Person, headers: dict[str, str], status: int, detail: str
) -> None:
    before = airflow.api.dag_runs("mirror_giantswarm")
    cookie = {"Cookie": f"_token={admin.token}"}
    answer = Person(airflow, None).ask("/api/run-again", method="POST", headers={**cookie, **headers}, json=RUN_AGAIN)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    assert airflow.api.dag_runs("mirror_giantswarm") == before
