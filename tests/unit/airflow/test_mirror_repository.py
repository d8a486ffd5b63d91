"""The operator with plain arguments: the value that it returns, and arguments that templates leave empty."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from registry_sync.airflow.operators.mirror_repository import MAX_DIGESTS, MirrorRepositoryOperator, outcome_of
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest
from registry_sync.sync.report import RouteReport
from registry_sync.sync.route import SyncedRoute
from registry_sync.sync.view import RouteView, SeenTag

DIGEST = Digest("sha256", 64 * "a")


def synced(*tags: SeenTag, dry_run: bool = False) -> SyncedRoute:
    view = RouteView(read_at=datetime.now(UTC), window="all", is_complete=True, listed=None, tags=tags)
    report = RouteReport(
        mirror="own", route_key="k", source="s/a", destination="d/a", counts={"copied": 1, "failed": 0}, dry_run=dry_run
    )
    return SyncedRoute(report=report, view=view)


def test_many_digests_are_counted() -> None:
    tags = [SeenTag(tag=f"t{number:03}", status="in_sync", digest=DIGEST) for number in range(MAX_DIGESTS + 2)]
    result = outcome_of(synced(*tags))
    assert (len(result["digests"]), result["omitted"]) == (MAX_DIGESTS, 2)
    assert result["counts"] == {"copied": 1}


def test_only_a_dry_run_has_digests_of_what_is_not_there() -> None:
    tags = (
        SeenTag(tag="v1", status="missing", digest=DIGEST),
        SeenTag(tag="v2", status="in_sync", digest=DIGEST),
        SeenTag(tag="v3", status="failing"),
    )
    assert list(outcome_of(synced(*tags))["digests"]) == ["v2"]
    assert list(outcome_of(synced(*tags, dry_run=True))["digests"]) == ["v1", "v2"]


@pytest.mark.parametrize("argument", ["tags", "source_conn_id", "destination_conn_id"])
def test_a_template_that_gives_none_does_not_mean_all_tags_or_anonymous(argument: str) -> None:
    arguments: dict[str, Any] = {"source": "quay.io/org/app", "destination": "copies.example/app"}
    with DAG("own", schedule=None, render_template_as_native_obj=True):
        operator = MirrorRepositoryOperator(task_id="mirror", **{**arguments, argument: "{{ params.it }}"})
    context: Any = {"params": {"it": None}, "ti": SimpleNamespace(dag_id="own")}
    operator.render_template_fields(context)
    with pytest.raises(ConfigurationError) as caught:
        operator.execute(context)
    assert str(caught.value) == (
        f"MirrorRepositoryOperator 'mirror': {argument}: its template or XCom gave None; to mean that, leave the "
        "argument out"
    )


@pytest.mark.parametrize("argument", ["deep_check", "dry_run"])
@pytest.mark.parametrize("value", ["{{ params.it }}", "false", 0])
def test_a_switch_is_true_or_false(argument: str, value: Any) -> None:
    """A text that is never rendered would be true: a dry run for ever, that is green and copies nothing."""
    with DAG("own", schedule=None):
        operator = MirrorRepositoryOperator(
            task_id="mirror", source="quay.io/org/app", destination="copies.example/app", **{argument: value}
        )
    context: Any = {"ti": SimpleNamespace(dag_id="own")}
    with pytest.raises(ConfigurationError) as caught:
        operator.execute(context)
    assert str(caught.value) == (
        f"MirrorRepositoryOperator 'mirror': {argument}: expected True or False, got '{value}'; it is not a template"
    )
