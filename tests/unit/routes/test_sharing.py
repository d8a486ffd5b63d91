"""Several sources for one destination repository: allowed where their tags differ for certain."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from registry_sync.nodes.audit import audit_pool
from registry_sync.nodes.readiness.plan import find_source
from registry_sync.routes.graph import RouteMap
from registry_sync.routes.load import load_mirrors
from tests.unit.routes.files import Write, flow, problems

Options = dict[str, Any]


def across(hub: Options, ghcr: Options, third: Options | None = None) -> str:
    """Mirrors of Docker Hub and GHCR to one repository, in lines 7 and 8, and perhaps of Quay in line 9."""
    lines = [f"  {name}: {flow(_mirror(name, options))}\n" for name, options in {"hub": hub, "ghcr": ghcr}.items()]
    lines += [f"  quay: {flow(_mirror('quay', third))}\n"] if third else []
    hosts = "  hub: {host: docker.io}\n  ghcr: {host: ghcr.io}\n  quay: {host: quay.io}\n  suse: {host: suse.example}\n"
    return f"registries:\n{hosts}mirrors:\n{''.join(lines)}"


def _mirror(source: str, options: Options) -> Options:
    rule = {"repository": "banzai/logging", "rename": "rancher/logging", **options}
    return {"source": source, "destinations": ["suse"], "repositories": [rule]}


def names(*tags: str, **options: Any) -> Options:
    return {"tags": {"names": list(tags)}, **options}


PIN = f"3.17.7@sha256:{64 * '1'}"


@pytest.mark.parametrize(
    ("hub", "ghcr"),
    [
        (names("3.9.0", "3.9.1"), names("3.17.7")),
        (names("3.9.0"), names(PIN)),
        (names("3.9.0", platforms=["linux/amd64"]), names("3.17.7", platforms=["linux/amd64"])),
        (names("3.9.0"), {"tags": {"include": ["3.17.7"]}}),
        (names("3.9.0", backup_tag="{{ tag }}-was-{{ digest_short }}"), names("3.17.7")),
    ],
)
def test_sources_with_different_names_share_a_repository(write: Write, hub: Options, ghcr: Options) -> None:
    assert list(load_mirrors(write(across(hub, ghcr))).mirrors) == ["hub", "ghcr"]


BY_NAME = "rename one, or list the tags of both in names: without a common one"


@pytest.mark.parametrize(
    ("hub", "ghcr", "remedy"),
    [
        ({}, names("3.17.7"), BY_NAME),
        (names("3.9.0"), {}, BY_NAME),
        (names("3.9.0"), {"tags": {"names": ["3.17.7"], "exclude": ["*-dev"]}}, BY_NAME),
        (names("3.9.0"), {"tags": {"include": ["3.17.*"]}}, BY_NAME),
        (names("3.9.0"), {"tags": {"names": ["3.17.7"], "semver": ">=4"}}, BY_NAME),
        (names("3.9.0", "v1"), names("3.17.7", "v1"), "rename one, or take 'v1' out of the tags of one"),
        (names("RC1"), names("rc1"), "rename one, or take 'rc1' out of the tags of one"),
        (
            names("v1", backup_tag="{{ tag }}-was-{{ digest_short }}"),
            names("v1-was-0123456789ab"),
            "rename one, or remove 'v1-was-0123456789ab', which has the form of a backup_tag of the other",
        ),
        (
            names(f"sha256-{64 * 'a'}.sig"),
            names("v1"),
            f"rename one, or remove 'sha256-{64 * 'a'}.sig', which has the form of a signature",
        ),
    ],
)
def test_sources_that_may_write_one_tag_are_refused(write: Write, hub: Options, ghcr: Options, remedy: str) -> None:
    also = "docker.io/banzai/logging (mirrors.hub.repositories[0]) is also mirrored to suse.example/rancher/logging"
    assert problems(write(across(hub, ghcr))) == [
        f"mirrors.yaml:8: mirrors.ghcr.repositories[0]: {also} and would overwrite it; {remedy}"
    ]


def test_each_pair_of_sources_is_compared(write: Write) -> None:
    (problem,) = problems(write(across(names("v1"), names("v2"), names("v3", "v2"))))
    assert problem.startswith("mirrors.yaml:9: mirrors.quay.repositories[0]: ghcr.io/banzai/logging (mirrors.ghcr.")
    assert problem.endswith("rename one, or take 'v2' out of the tags of one")


def within(first: Options, second: Options) -> str:
    """One mirror, in line 5, of two repositories to one."""
    rules = [
        {"repository": f"{owner}/app", "rename": "app", **rule} for owner, rule in {"a": first, "b": second}.items()
    ]
    mirror = flow({"source": "quay", "destinations": ["suse"], "repositories": rules})
    return f"registries:\n  quay: {{host: quay.io}}\n  suse: {{host: suse.example}}\nmirrors:\n  m: {mirror}\n"


def test_repositories_of_one_mirror_share_a_repository(write: Write) -> None:
    assert load_mirrors(write(within(names("v1"), names("v2"))))


def test_platforms_of_one_mirror_share_no_repository(write: Write) -> None:
    options: Options = {"platforms": ["linux/amd64"]}
    (problem,) = problems(write(within(names("v1", **options), names("v2", **options))))
    assert problem.endswith(
        "rename one, or move one to a mirror of its own, because platforms: keeps a cache for each mirror"
    )


def test_shared_repositories_are_not_pruned(write: Write) -> None:
    prune = {"prune": {"tags": "not_selected"}}
    place, advice = "mirrors.hub.repositories[0]", "give it a destination of its own, or set prune: {tags: none} for it"
    problem = f"suse.example/rancher/logging is pruned here but also written by mirrors.ghcr.repositories[0]; {advice}"
    assert problems(write(across(names("v1", **prune), names("v2")))) == [f"mirrors.yaml:7: {place}: {problem}"]


def test_nodes_look_for_each_tag_at_its_own_source(write: Write) -> None:
    text = yaml.safe_load(across(names("v1"), names("v2")))
    image = {"repository": "rancher/logging", "tags": {"names": ["v2"]}}
    text["nodes"] = {"p": {"registry": "suse", "bootstrap_images": [image]}}
    file = load_mirrors(write(yaml.safe_dump(text)))
    routes, suse = RouteMap.of(file), file.registries["suse"]
    repository = next(iter(routes.by_destination))
    sources = [str(find_source(suse, repository, routes, [tag])[1]) for tag in ("v1", "v2")]
    assert sources == ["docker.io/banzai/logging", "ghcr.io/banzai/logging"]
    audit = audit_pool(file, file.node_pools["p"])
    assert [route.mirror for supply in audit.supplies for route in supply.routes] == ["ghcr"]
    assert audit.problems == ()
