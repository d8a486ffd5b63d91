"""The mirror graph: which routes write and read a repository, by name and by namespace, and which form a cycle."""

from __future__ import annotations

import pytest

from registry_sync.oci.reference import Repository
from registry_sync.routes.checks.find_cycles import find_cycle, hosts_before_cycles
from registry_sync.routes.graph import RouteMap
from registry_sync.routes.load import load_mirrors
from tests.unit.routes.files import Write

REGISTRIES = "registries: {quay: {host: quay.io}, acr: {host: acr.example}, hub: {host: docker.io}}\nmirrors:\n"


def graph(write: Write, *mirrors: str) -> RouteMap:
    """The graph of a file with these mirrors, one a line."""
    return RouteMap.of(load_mirrors(write(REGISTRIES + "".join(f"  {mirror}\n" for mirror in mirrors))))


def sources(routes: RouteMap, repository: str) -> list[str]:
    return [str(route.source_repository) for route in routes.into(Repository.parse(repository))]


def destinations(routes: RouteMap, repository: str) -> list[str]:
    return [str(route.destination_repository) for route in routes.out_of(Repository.parse(repository))]


@pytest.mark.parametrize(
    ("rule", "source", "destination"),
    [
        ("x/app", "quay.io/x/app", "acr.example/x/app"),
        ("{repository: x/app, rename: y/b}", "quay.io/x/app", "acr.example/y/b"),
        ("{namespace: x}", "quay.io/x/a/b", "acr.example/x/a/b"),
        ("{namespace: x, prefix: m/, strip_prefix: x/}", "quay.io/x/app", "acr.example/m/app"),
        ("{namespace: x, rename: 'm/{{ name }}-copy'}", "quay.io/x/app", "acr.example/m/app-copy"),
        ("{namespace: x, rename: \"m/{{ name | replace('a', 'b') }}\"}", "quay.io/x/c", "acr.example/m/c"),
    ],
    ids=["listed", "renamed", "namespace", "prefix", "template", "template with a filter"],
)
def test_route_is_found_from_both_ends(write: Write, rule: str, source: str, destination: str) -> None:
    routes = graph(write, f"m: {{source: quay, destinations: [acr], repositories: [{rule}]}}")
    assert destinations(routes, source) == [destination]
    assert sources(routes, destination) == [source]


def test_first_rule_that_finds_a_repository_gives_its_route(write: Write) -> None:
    rules = (
        "[{namespace: x, include: [a*], prefix: one/}, {namespace: x, prefix: two/}, {repository: x/ac, prefix: n/}]"
    )
    routes = graph(write, f"m: {{source: quay, destinations: [acr], repositories: {rules}}}")
    assert destinations(routes, "quay.io/x/ab") == ["acr.example/one/x/ab"]
    assert destinations(routes, "quay.io/x/b") == ["acr.example/two/x/b"]
    assert destinations(routes, "quay.io/x/ac") == ["acr.example/n/x/ac"]
    assert sources(routes, "acr.example/two/x/ab") == []


def test_short_names_of_docker_hub_are_found_by_their_full_name(write: Write) -> None:
    routes = graph(write, "m: {source: quay, destinations: [hub], repositories: [{namespace: x, strip_prefix: x/}]}")
    assert sources(routes, "alpine") == ["quay.io/x/alpine"]
    assert sources(routes, "team/app") == ["quay.io/x/team/app"]


def test_chain_of_mirrors_is_not_a_cycle(write: Write) -> None:
    routes = graph(
        write,
        "a: {source: quay, destinations: [acr], repositories: [{namespace: x}]}",
        "b: {source: acr, destinations: [hub], repositories: [{namespace: x}]}",
    )
    assert find_cycle(Repository("quay.io", "x/app"), routes) == ()


QUAY_TO_ACR = "one: {source: quay, destinations: [acr], repositories: [{namespace: x}]}"


@pytest.mark.parametrize(
    ("mirrors", "hosts"),
    [
        ([QUAY_TO_ACR], set()),
        ([QUAY_TO_ACR, "two: {source: acr, destinations: [hub], repositories: [x/app]}"], set()),
        ([QUAY_TO_ACR, "two: {source: acr, destinations: [quay], repositories: [y/b]}"], {"quay.io", "acr.example"}),
        (
            [QUAY_TO_ACR, "two: {source: acr, destinations: [acr], repositories: [{repository: x/a, rename: y/b}]}"],
            {"quay.io", "acr.example"},
        ),
    ],
    ids=["one step", "a chain", "back, by other names", "within the second registry"],
)
def test_only_hosts_that_lead_into_a_cycle_are_searched_for_cycles(
    write: Write, mirrors: list[str], hosts: set[str]
) -> None:
    assert hosts_before_cycles(graph(write, *mirrors)) == hosts
