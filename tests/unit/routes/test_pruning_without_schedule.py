"""The warning of ``check`` about a mirror that prunes and has no schedule."""

from __future__ import annotations

import pytest

from registry_sync.checks.finding import Finding
from registry_sync.checks.pruning import check_pruning
from registry_sync.routes.discovery import expand_routes
from registry_sync.routes.load import load_mirrors
from tests.unit.routes.files import Write
from tests.unit.routes.test_load import many

MIRROR = "m: {source: quay, destinations: [acr], repositories: [%s]%s}"
PRUNE = "prune: {tags: gone_at_source, dry_run: false}"
WARNING = Finding(
    subject="mirror m",
    check="prune",
    verdict="warning",
    text="no tag is ever deleted: only scheduled runs delete, and the mirror has no schedule",
    remedy="write schedule: for the mirror, or remove prune:",
)


@pytest.mark.parametrize(
    ("rule", "more", "expected"),
    [
        ("team/app", f", {PRUNE}", [WARNING]),
        (f"{{repository: team/app, {PRUNE}}}", "", [WARNING]),
        (f"team/web, {{namespace: x, {PRUNE}}}", "", [WARNING]),
        ("team/app", f", {PRUNE}, schedule: '@daily'", []),
        ("team/app", ", prune: {tags: gone_at_source}", []),
        ("team/app", ", prune: {tags: none, dry_run: false}", []),
        ("team/app", "", []),
    ],
)
def test_only_scheduled_runs_delete(write: Write, rule: str, more: str, expected: list[Finding]) -> None:
    assert list(check_pruning(load_mirrors(write(many(MIRROR % (rule, more)))))) == expected


@pytest.mark.parametrize(("more", "expected"), [("", False), (", schedule: '@daily'", True)])
def test_a_route_tells_if_its_mirror_has_a_schedule(write: Write, more: str, expected: bool) -> None:
    file = load_mirrors(write(many(MIRROR % ("team/app", more))))
    (mirror,) = file.mirrors.values()
    routes = expand_routes(mirror, file.registries["quay"], file.registries["acr"], lambda _name, _is_needed: {}).routes
    (route,) = (entry.route for entry in routes)
    assert route.has_schedule is expected
    assert type(route).from_json(route.to_json()) == route
