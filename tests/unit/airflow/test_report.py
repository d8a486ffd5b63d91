"""Match reports with planned routes, and find the routes that ended without a report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from registry_sync.airflow.ids import copy_task, routes_task
from registry_sync.airflow.runs.damaged_images import push_damaged
from registry_sync.airflow.runs.outcomes import match_reports
from registry_sync.config.registry import Registry
from registry_sync.config.settings import RouteSettings
from registry_sync.errors import DeniedError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport, TagResult
from registry_sync.sync.verification.damaged_images import DamagedImage, DeepCheckResult

QUAY, ACR = Registry(name="quay", host="quay.io"), Registry(name="acr", host="acr.example")
FAILED = TagResult.failed("v1", "quota is used up", "refused")


def a_route(name: str) -> Route:
    return Route(
        mirror="m",
        source=QUAY,
        destination=ACR,
        source_repository=Repository(QUAY.host, name),
        destination_repository=Repository(ACR.host, name),
        settings=RouteSettings(),
    )


def a_report(name: str, *tags: TagResult) -> RouteReport:
    return RouteReport.of_route(a_route(name), counts={}, tags=tags)


def test_task_ids_name_the_destination() -> None:
    assert (routes_task("acr"), copy_task("acr")) == ("routes_to_acr", "to_acr")


def test_reports_come_in_the_order_of_the_plan() -> None:
    one, two = a_report("a/one"), a_report("a/two")
    pushed = [two, one]
    routes = [a_route("a/one"), a_route("a/two")]
    assert match_reports(routes, pushed, ["success", "success"]) == ([one, two], [])


def test_a_failed_route_with_a_report_is_not_missing() -> None:
    failed = a_report("a/one", FAILED)
    broken = RouteReport.of_error(a_route("a/two"), DeniedError("wrong password"), dry_run=False)
    pushed = [failed, broken]
    routes = [a_route("a/one"), a_route("a/two")]
    assert match_reports(routes, pushed, ["failed", "failed"]) == ([failed, broken], [])


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "removed"])
def test_a_failed_route_without_a_report_is_missing(state: str) -> None:
    assert match_reports([a_route("a/one")], [], [state]) == ([], [f"a/one → acr ({state})"])


def test_a_route_whose_task_was_never_created_is_missing() -> None:
    assert match_reports([a_route("a/one")], [], [None]) == ([], ["a/one → acr (None)"])


def test_a_task_killed_after_a_good_report_is_missing() -> None:
    report = a_report("a/one")
    found = match_reports([a_route("a/one")], [report], ["failed"])
    assert found == ([report], ["a/one → acr (failed)"])


@pytest.mark.parametrize("state", ["success", "skipped"])
def test_a_successful_task_without_a_report_is_not_missing(state: str) -> None:
    assert match_reports([a_route("a/one")], [], [state]) == ([], [])


def test_reports_of_unplanned_routes_are_ignored() -> None:
    stray = [a_report("a/old")]
    assert match_reports([a_route("a/one")], stray, ["failed"]) == ([], ["a/one → acr (failed)"])


def test_an_empty_plan_has_neither_reports_nor_missing_routes() -> None:
    assert match_reports([], [], []) == ([], [])


def test_damage_is_kept_of_each_route_to_a_shared_repository() -> None:
    digests = [Digest.of(text) for text in (b"one", b"two")]
    reports = [
        RouteReport.of_route(
            replace(a_route(name), destination_repository=Repository(ACR.host, "shared")),
            counts={},
            deep_check=DeepCheckResult(damaged=(a_damaged_image(digest),)),
        )
        for name, digest in zip(("a/one", "a/two"), digests, strict=True)
    ]
    ti = _Pushed()
    push_damaged({"ti": ti}, {"acr": reports}, has_deep_checks=True)  # type: ignore[typeddict-item]
    assert {image["digest"] for image in ti.pushed["acr"]} == set(map(str, digests))


def a_damaged_image(digest: Digest) -> DamagedImage:
    return DamagedImage(
        repository="acr.example/shared",
        digest=digest,
        tags=("v1",),
        parts=(),
        problem="a layer is missing",
        at=datetime.now(UTC),
    )


class _Pushed:
    """A task instance of a DAG without earlier runs."""

    dag_id = "mirror_m"

    def get_task_states(self, **_: Any) -> dict[str, Any]:
        return {}

    def xcom_push(self, _key: str, value: Any) -> None:
        self.pushed = value
