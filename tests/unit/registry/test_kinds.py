"""Which client serves a host, and how fast."""

from __future__ import annotations

from contextlib import closing

import pytest

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import parse_host
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.kinds import (
    CREATES_REPOSITORIES,
    HOSTS,
    KINDS,
    LISTS_PUSH_TIMES,
    OWN_API,
    first_push_advice,
    infer_kind,
    name_fault,
)
from registry_sync.registry.open import CLIENTS, REQUESTS_PER_SECOND, open_client


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("quay.io", "quay"),
        ("quay.io:443", "quay"),
        ("docker.io", "docker_hub"),
        ("index.docker.io", "docker_hub"),
        ("registry-1.docker.io", "docker_hub"),
        ("gsoci.azurecr.io", "acr"),
        ("GSOCI.azurecr.io", "acr"),
        ("gsoci-abc123.azurecr.io", "acr"),
        ("gsoci.azurecr.cn", "acr"),
        ("gsoci.azurecr.us", "acr"),
        ("registry.cn-hangzhou.aliyuncs.com", "aliyun"),
        ("registry-vpc.cn-shanghai.aliyuncs.com", "aliyun"),
        ("registry-internal.cn-shanghai.aliyuncs.com", "aliyun"),
        ("registry-intl.cn-shanghai.aliyuncs.com", "aliyun"),
        ("giantswarm-registry.cn-shanghai.cr.aliyuncs.com", "aliyun"),
        ("giantswarm-registry-vpc.cn-shanghai.cr.aliyuncs.com", "aliyun"),
        ("crpi-abc123.cn-hangzhou.personal.cr.aliyuncs.com", "aliyun"),
        ("gcr.io", "google"),
        ("eu.gcr.io", "google"),
        ("europe-west3-docker.pkg.dev", "google"),
        ("cr.cn-shanghai.aliyuncs.com", "distribution"),
        ("oss.cn-shanghai.aliyuncs.com", "distribution"),
        ("quay.io.example.org", "distribution"),
        ("notquay.io", "distribution"),
        ("myquay.io", "distribution"),
        ("azurecr.io", "distribution"),
        ("docker.pkg.dev", "distribution"),
        ("localhost:5000", "distribution"),
        ("harbor.example.org", "distribution"),
        ("ghcr.io", "distribution"),
    ],
)
def test_kinds_are_inferred_from_hosts(host: str, kind: str) -> None:
    assert infer_kind(parse_host(host)) == kind


def test_every_kind_that_is_named_has_a_client() -> None:
    assert {kind for kind, _ in HOSTS} | OWN_API | set(REQUESTS_PER_SECOND) <= set(CLIENTS)
    assert set(KINDS) == set(CLIENTS)
    assert sorted(CLIENTS) == ["acr", "aliyun", "distribution", "docker_hub", "google", "harbor", "quay"]


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_a_client_of_each_kind_is_opened_without_a_request(kind: str) -> None:
    endpoint = Endpoint(host="registry.example")
    with closing(open_client(kind, endpoint, max_connections=2, requests_per_second=1.0)) as opened:
        assert type(opened) is CLIENTS[kind]


@pytest.mark.parametrize("kind", sorted(OWN_API))
def test_api_url_moves_the_api(kind: str) -> None:
    endpoint = Endpoint(host="registry.example")
    with closing(open_client(kind, endpoint, max_connections=2, api_url="https://api.example")) as opened:
        assert type(opened) is CLIENTS[kind]


@pytest.mark.parametrize("kind", sorted(CLIENTS.keys() - OWN_API))
def test_a_kind_without_an_api_has_no_other_address(kind: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_client(kind, Endpoint(host="registry.example"), max_connections=2, api_url="https://api.example")
    assert str(caught.value) == f"registry.example: a registry of kind {kind!r} has no api_url; remove it"


def test_what_is_told_of_kinds_is_what_their_clients_do() -> None:
    assert {kind for kind, each in CLIENTS.items() if each.lists_push_times} == LISTS_PUSH_TIMES
    creates = DistributionClient.create_repository
    assert {kind for kind, each in CLIENTS.items() if each.create_repository is not creates} == CREATES_REPOSITORIES


@pytest.mark.parametrize(
    ("kind", "name", "fault"),
    [
        ("distribution", "a", ""),
        ("acr", "a/b/c/d", ""),
        ("docker_hub", "library/alpine", ""),
        ("docker_hub", "alpine", "Docker Hub has names of two parts, NAMESPACE/NAME, and 'alpine' has 1"),
        ("quay", "team/nested/app", ""),
        ("aliyun", "team/app", ""),
        (
            "aliyun",
            "t/app",
            "Aliyun has names whose parts are 2 to 120 characters long, and 't' of 't/app' has 1",
        ),
        ("harbor", "project/nested/app", ""),
    ],
)
def test_names_that_a_kind_cannot_hold_have_a_fault(kind: str, name: str, fault: str) -> None:
    assert name_fault(kind, name) == fault


def test_a_first_push_has_advice() -> None:
    assert first_push_advice("distribution", "team/app") == ""
    advice = "create the namespace 'team', and turn on Automatically Create Repository for it"
    assert first_push_advice("aliyun", "team/app") == f"if 'team/app' is not there yet: {advice}"
    assert all("{" not in first_push_advice(each, "team/app") for each in KINDS)
