"""Kinds of registry: inferred from hosts, opened, and their rules for names."""

from __future__ import annotations

from contextlib import closing
from typing import get_args

import pytest

from registry_sync.oci.reference import parse_host
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.kinds import (
    CREATES_REPOSITORIES,
    HOSTS,
    LISTS_PUSH_TIMES,
    OWN_API,
    Kind,
    first_push_advice,
    infer_kind,
    name_fault,
)
from registry_sync.registry.open import CLIENTS, open_client
from registry_sync.registry.vendors.quay import QuayClient
from registry_sync.registry.vendors.vendor_api import VendorApiClient


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
        ("ghcr.io", "ghcr"),
        ("containers.acme.ghe.com", "ghcr"),
        ("containers.github.example", "distribution"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com:443", "ecr"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "ecr"),
        ("public.ecr.aws", "distribution"),
        ("registry.gitlab.com", "gitlab"),
        ("acme.jfrog.io", "artifactory"),
        ("acme-docker-local.jfrog.io", "artifactory"),
        ("jfrog.io", "distribution"),
        ("nexus.example.com:8082", "distribution"),
        ("registry.gitlab.example.com", "distribution"),
    ],
)
def test_kinds_are_inferred_from_hosts(host: str, kind: str) -> None:
    assert infer_kind(parse_host(host)) == kind


def test_every_kind_that_is_named_has_a_client() -> None:
    assert {kind for kind, _ in HOSTS} | OWN_API <= set(CLIENTS)
    assert set(get_args(Kind)) == set(CLIENTS)


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


def test_the_kinds_with_an_api_are_those_whose_clients_open_one() -> None:
    """ECR's needs an identity."""
    assert {kind for kind, client in CLIENTS.items() if issubclass(client, VendorApiClient)} == OWN_API - {"ecr"}


def test_usual_rate_limits() -> None:
    """Quay allows 5 requests per second to its API and 50 for manifests; Aliyun 15, by Harbor's experience."""
    rates = {kind: client.v2_requests_per_second for kind, client in CLIENTS.items() if client.v2_requests_per_second}
    assert rates == {"aliyun": 15.0, "quay": 40.0}
    assert QuayClient.api_requests_per_second == 4.0


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
        ("docker_hub", "alpine", "Docker Hub names have two parts, NAMESPACE/NAME; 'alpine' has 1"),
        ("quay", "team/nested/app", ""),
        ("aliyun", "team/app", ""),
        (
            "aliyun",
            "t/app",
            "Aliyun names have parts of 2 to 120 characters; 't' in 't/app' has 1",
        ),
        ("harbor", "project/nested/app", ""),
        ("ecr", "app", ""),
        ("ecr", "team/nested/app", ""),
        ("ecr", "a", "ECR names have 2 to 256 characters; 'a' has 1"),
        ("ecr", f"team/{'a' * 251}", ""),
        ("ecr", f"team/{'a' * 252}", f"ECR names have 2 to 256 characters; 'team/{'a' * 252}' has 257"),
    ],
)
def test_names_that_a_kind_cannot_hold_have_a_fault(kind: str, name: str, fault: str) -> None:
    assert name_fault(kind, name) == fault


def test_a_first_push_has_advice() -> None:
    assert first_push_advice("distribution", "team/app") == ""
    advice = "create the namespace 'team', and turn on Automatically Create Repository for it"
    assert first_push_advice("aliyun", "team/app") == f"if 'team/app' does not exist yet: {advice}"
    assert all("{" not in first_push_advice(each, "team/app") for each in CLIENTS)
