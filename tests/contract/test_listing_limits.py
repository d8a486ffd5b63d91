"""The listings of every kind of client stop at the limits of one task."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from registry_sync.errors import RefusedError
from registry_sync.oci.reference import Repository
from registry_sync.registry import client as registry_client
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.open import CLIENTS, open_client
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer

LIMIT = 5

KINDS_WITH_A_LISTING = sorted(CLIENTS.keys() - {"aliyun"})
"""Aliyun does not list repositories."""

LOGINS = {"ghcr": Credentials(username="bot", secret="ghp_token")}
"""Logins of the APIs that list nothing to anonymous users."""


def documents(count: int) -> dict[str, Any]:
    """The listings of ``team`` and ``team/app`` by path, in the form of each API. ``count`` entries each."""
    names = [f"v{number}" for number in range(count)]
    tags = [{"name": name} for name in names]
    rows = [{"namespace": "team", "name": name, "is_public": True, "is_private": False} for name in names]
    return {
        "/v2/_catalog": {"repositories": [f"team/{name}" for name in names]},
        "/v2/team/tags/list": {"tags": [], "child": names, "manifest": {}},
        "/v2/team/app/tags/list": {"tags": names},
        "/acr/v1/_catalog": {"repositories": [f"team/{name}" for name in names]},
        "/acr/v1/team/app/_tags": {"tags": tags},
        "/api/v1/repository": {"repositories": rows},
        "/api/v1/repository/team/app/tag/": {"tags": tags, "has_additional": False},
        "/v2/namespaces/team/repositories": {"results": rows, "next": None},
        "/v2/namespaces/team/repositories/app/tags": {"results": tags, "next": None},
        "/api/v2.0/projects": [{"name": "team", "metadata": {"public": "true"}}],
        "/api/v2.0/projects/team/repositories": [{"name": f"team/{name}"} for name in names],
        "/api/v2.0/projects/team/repositories/app/artifacts": [{"tags": tags}],
        "/api/v3/orgs/team/packages": [{"name": name, "visibility": "public"} for name in names],
        "/api/v3/orgs/team/packages/container/app/versions": [
            {"name": f"{name}", "metadata": {"container": {"tags": [name]}}} for name in names
        ],
        "/api/v4/groups/team/registry/repositories": [{"path": f"team/{name}", "project_id": 1} for name in names],
        "/api/v4/groups/team/projects": [
            {"id": 1, "visibility": "public", "container_registry_access_level": "enabled"}
        ],
        "/gitlab/v1/repositories/team/app/tags/list/": tags,
        "/artifactory/api/docker/team/v2/_catalog": {"repositories": names},
        **{f"/v2/team/{name}/tags/list": {"tags": ["latest"], "manifest": {}} for name in names},
    }


def server(count: int) -> ScriptedServer:
    def reply(shown: ScriptedRequest) -> Reply:
        return Reply(body=json.dumps(documents(count)[shown.target.partition("?")[0]]).encode())

    return ScriptedServer(reply)


def client(kind: str, registry: ScriptedServer) -> RegistryClient:
    endpoint = Endpoint(host=registry.host, tls=False, credentials=LOGINS.get(kind))
    return open_client(kind, endpoint, max_connections=1, api_url=registry.url, requests_per_second=1000)


@pytest.fixture(autouse=True)
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_client, "MAX_TAGS", LIMIT)
    monkeypatch.setattr(registry_client, "MAX_REPOSITORIES", LIMIT)


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_tags_up_to_the_limit_are_listed(kind: str) -> None:
    with server(LIMIT) as registry, closing(client(kind, registry)) as opened:
        assert len(list(opened.list_tags(Repository(registry.host, "team/app")))) == LIMIT


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_more_tags_are_refused(kind: str) -> None:
    with server(LIMIT + 1) as registry, closing(client(kind, registry)) as opened:
        with pytest.raises(RefusedError) as caught:
            list(opened.list_tags(Repository(registry.host, "team/app")))
    assert str(caught.value) == (
        f"{registry.host}/team/app lists more than {LIMIT} tags, the most that one task reads; delete unused tags, "
        "or split the repository"
    )


@pytest.mark.parametrize("kind", KINDS_WITH_A_LISTING)
def test_repositories_up_to_the_limit_are_listed(kind: str) -> None:
    with server(LIMIT) as registry, closing(client(kind, registry)) as opened:
        assert len(list(opened.list_repositories("team"))) == LIMIT


@pytest.mark.parametrize("kind", KINDS_WITH_A_LISTING)
def test_more_repositories_are_refused(kind: str) -> None:
    with server(LIMIT + 1) as registry, closing(client(kind, registry)) as opened:
        with pytest.raises(RefusedError) as caught:
            list(opened.list_repositories("team"))
    assert str(caught.value) == (
        f"team lists more than {LIMIT} repositories, the most that one task reads; delete unused "
        "repositories, or split the namespace"
    )
