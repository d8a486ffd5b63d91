"""The route of plain arguments: what they mean, and the argument that a problem names."""

from __future__ import annotations

from typing import Any

import pytest

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.routes.route import Route
from registry_sync.routes.single_route import RouteArguments, parse_route


def parse(**written: Any) -> Route:
    plain: dict[str, Any] = {
        "name": "own.dag-mirror",
        "source": "quay.io/org/app",
        "destination": "docker.io/org/app",
        "options": {},
        "source_registry": {},
        "destination_registry": {},
    }
    return parse_route(RouteArguments(**{**plain, **written}))


def test_arguments_mean_what_the_keys_of_a_mirrors_file_mean() -> None:
    route = parse(
        source="alpine",
        destination="registry.example:5000/base/alpine-linux",
        tags={"semver": ">= 3.18", "names": ["edge"]},
        source_conn_id="hub",
        destination_conn_id="own",
        options={"on_moved_tag": "keep", "platforms": ["linux/amd64"]},
        source_registry={"requests_per_second": 2.5},
        destination_registry={"kind": "harbor"},
    )
    assert route.mirror == "own_dag-mirror"
    assert route.source_repository == Repository("docker.io", "library/alpine")
    assert route.destination_repository == Repository("registry.example:5000", "base/alpine-linux")
    assert (route.source.connection, route.destination.connection) == ("hub", "own")
    assert (route.source.api_kind, route.destination.api_kind) == ("docker_hub", "harbor")
    assert route.source.requests_per_second == 2.5
    assert route.settings.platforms == ("linux/amd64",)
    assert Route.from_json(route.to_json()) == route


def test_one_registry_may_be_both_sides() -> None:
    route = parse(destination="quay.io/copies/app")
    assert (route.source.host, route.destination.host) == ("quay.io", "quay.io")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (
            {"source": "quay.io/Org/app"},
            "source: 'Org/app' is not a repository name: upper-case letters are not allowed; write 'org/app'",
        ),
        (
            {"source": "quay.io/org/app:v1"},
            (
                "source: 'org/app:v1' is not a repository name: write it without registry, tag and digest (tags have a "
                "key of their own)"
            ),
        ),
        ({"source": 7}, "source: expected a repository such as 'quay.io/org/app', got 7"),
        ({"destination": " "}, "destination: expected a repository such as 'quay.io/org/app', got ' '"),
        (
            {"destination": "https://quay.io/org/app"},
            "destination: 'https:' is not a registry host; write host or host:port, without https:// or a path",
        ),
        (
            {"destination": "docker.io/org/team/app"},
            "destination: Docker Hub names have two parts, NAMESPACE/NAME; 'org/team/app' has 3; rename it",
        ),
        (
            {"destination": "quay.io/org/app"},
            "destination: quay.io/org/app would be mirrored to itself; choose another destination, or rename it",
        ),
        ({"tags": []}, "tags: it is empty; name a tag, or leave the argument out for all tags"),
        ({"tags": {}}, "tags: it is empty; name a tag, or leave the argument out for all tags"),
        ({"tags": "v1"}, "tags: expected a mapping (key: value), got 'v1'; write {include: ['v1']} or {names: ['v1']}"),
        ({"tags": [1.1]}, 'tags[0]: expected a string, got the number 1.1 (quote it: "1.1")'),
        (
            {"tags": ["v1", "v 2"]},
            "tags[1]: 'v 2' is not a tag; names are tags, or TAG@sha256:…; globs go into include",
        ),
        ({"tags": {"semvr": "1.x"}}, "tags.semvr: unknown key 'semvr'; did you mean 'semver'?"),
        (
            {"tags": [{"newest": 2}], "source": "registry.k8s.io/app"},
            (
                "tags: newest needs push times, which a source of kind 'distribution' does not report; use newest_by: "
                "semver or newest_by: name"
            ),
        ),
        ({"source_conn_id": ""}, "source_conn_id: it is empty; write a value, or remove it"),
        ({"destination_conn_id": 5}, 'destination_conn_id: expected a string, got the number 5 (quote it: "5")'),
        (
            {"options": {"on_moved_tag": "fial", "transfer": "x"}},
            (
                "options.on_moved_tag: expected 'follow', 'keep' or 'fail', got 'fial'; options.transfer: expected "
                "'skopeo' or 'direct', got 'x'"
            ),
        ),
        (
            {"options": {"prune": {"tags": "gone_at_source"}}},
            (
                "options: no option 'prune'; it takes on_moved_tag, backup_tag, platforms, signatures, policy, "
                "registries_d, skopeo, transfer, parallel_copies, copy_timeout_minutes, stall_timeout_seconds"
            ),
        ),
        ({"options": ["keep"]}, "options: expected a mapping of options, got ['keep']"),
        (
            {"options": {"signatures": {1}}},
            "an argument has a value that a mirrors file cannot have: Object of type set is not JSON serializable",
        ),
        (
            {"source_registry": {"kind": "dtr"}},
            (
                "source_registry.kind: expected 'distribution', 'quay', 'docker_hub', 'acr', 'aliyun', 'harbor', "
                "'google', 'ghcr', 'ecr', 'gitlab', 'artifactory' or 'nexus', got 'dtr'"
            ),
        ),
        (
            {"destination_registry": {"host": "quay.io"}},
            (
                "destination_registry: no option 'host'; it takes kind, api_url, identity, tls, ca_file, "
                "client_certificate, client_key, proxy, proxy_connection, max_connections, requests_per_second, "
                "keep_pulls, create_repository"
            ),
        ),
    ],
)
def test_a_problem_names_its_argument(written: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(**written)
    assert str(caught.value) == problem
