"""The value that the operator with plain arguments returns."""

from __future__ import annotations

from datetime import UTC, datetime

from registry_sync.airflow.operators.mirror_repository import MAX_DIGESTS, outcome_of
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
