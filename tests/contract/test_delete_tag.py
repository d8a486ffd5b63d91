"""Deletion of a tag at each kind of registry: the requests, and the meaning of the responses."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from registry_sync.errors import DeniedError, NotFound, RefusedError, TemporaryError
from registry_sync.oci.reference import Repository
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.open import CLIENTS
from testkit import images
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.token_server import TokenServer

OAUTH = Credentials(username="$oauthtoken", secret="the-oauth-token")
USER = Credentials(username="team", secret="a-password")
PATHS = {
    "distribution": "/v2/team/app/manifests/v1",
    "aliyun": "/v2/team/app/manifests/v1",
    "google": "/v2/team/app/manifests/v1",
    "gitlab": "/v2/team/app/manifests/v1",
    "artifactory": "/v2/team/app/manifests/v1",
    "nexus": "/v2/team/app/manifests/v1",
    "acr": "/acr/v1/team/app/_tags/v1",
    "quay": "/api/v1/repository/team/app/tag/v1",
    "docker_hub": "/v2/repositories/team/app/tags/v1/",
    "harbor": "/api/v2.0/projects/team/repositories/app/artifacts/v1/tags/v1",
}
BY_TAG = sorted(CLIENTS.keys() - {"ghcr", "ecr"})
"""GitHub deletes images only, which needs no request to be known. ECR's API is in ``test_ecr.py``."""


def delete_tag(kind: str, wire: Interceptor | RegistryProcess, credentials: Credentials | None = None) -> None:
    api_url = wire.url if kind == "docker_hub" else None
    endpoint = Endpoint(host=wire.host, tls=False, credentials=credentials)
    with closing(CLIENTS[kind](endpoint, api_url=api_url)) as client:
        client.delete_tag(Repository(wire.host, "team/app"), "v1")


def delete_image(wire: RegistryProcess, credentials: Credentials | None = None) -> None:
    endpoint = Endpoint(host=wire.host, tls=False, credentials=credentials)
    with closing(CLIENTS["distribution"](endpoint)) as client:
        client.delete_image(Repository(wire.host, "team/app"), "v1", images.multi_arch("app").digest)


def credentials_for(kind: str) -> Credentials | None:
    return {"quay": OAUTH, "docker_hub": USER}.get(kind)


def asked(wire: Interceptor) -> list[str]:
    return [f"{request.method} {request.path}" for request in wire.requests() if request.method != "POST"]


def test_which_kinds_delete_tags_alone() -> None:
    alone = {kind for kind, client in CLIENTS.items() if client.deletes_tags_alone}
    assert alone == {"acr", "quay", "docker_hub", "harbor", "google", "ecr"}


@pytest.mark.parametrize("kind", BY_TAG)
@pytest.mark.parametrize("status", [200, 202, 204])
def test_deletion_is_one_request(wire: Interceptor, kind: str, status: int) -> None:
    wire.answer("POST", "/v2/auth/token$", 200, json.dumps({"access_token": "t", "expires_in": 60}).encode())
    wire.answer("DELETE", f"^{PATHS[kind]}$", status)
    delete_tag(kind, wire, credentials_for(kind))
    assert asked(wire) == [f"DELETE {PATHS[kind]}"]


@pytest.mark.parametrize("kind", BY_TAG)
def test_deleting_a_missing_tag_is_not_found(wire: Interceptor, kind: str) -> None:
    wire.answer("POST", "/v2/auth/token$", 200, json.dumps({"access_token": "t", "expires_in": 60}).encode())
    wire.answer("DELETE", f"^{PATHS[kind]}$", 404)
    with pytest.raises(NotFound) as caught:
        delete_tag(kind, wire, credentials_for(kind))
    assert str(caught.value) == f"DELETE {wire.url}{PATHS[kind]} answered 404"


@pytest.mark.parametrize("kind", [kind for kind in PATHS if CLIENTS[kind].deletes_tags_alone])
def test_a_refused_deletion_deletes_no_image(wire: Interceptor, kind: str) -> None:
    wire.answer("POST", "/v2/auth/token$", 200, json.dumps({"access_token": "t", "expires_in": 60}).encode())
    wire.answer("DELETE", f"^{PATHS[kind]}$", 412, b"it is immutable")
    with pytest.raises(RefusedError) as caught:
        delete_tag(kind, wire, credentials_for(kind))
    assert str(caught.value) == f"DELETE {wire.url}{PATHS[kind]} answered 412 it is immutable"
    assert asked(wire) == [f"DELETE {PATHS[kind]}"]


@pytest.mark.parametrize(
    ("kind", "credentials", "text"),
    [
        ("quay", None, "needs '$oauthtoken' and an OAuth token with the scope repo:write"),
        ("quay", USER, "needs '$oauthtoken' and an OAuth token with the scope repo:write"),
        ("docker_hub", None, "needs a Docker ID and an access token that may delete"),
        ("ecr", USER, "needs an identity of AWS: a connection of type aws, or identity: ambient"),
    ],
)
def test_deletion_needs_the_right_credentials(
    wire: Interceptor, kind: str, credentials: Credentials | None, text: str
) -> None:
    with pytest.raises(DeniedError) as caught:
        delete_tag(kind, wire, credentials)
    assert str(caught.value) == f"deleting tags at {wire.host} {text}"
    assert wire.requests() == []


def test_a_registry_that_deletes_images_only_refuses_a_tag() -> None:
    """docker-registry 2.8 answers 400 for a tag. Deleting the manifest deletes all its tags."""
    content = images.multi_arch("app")
    with RegistryProcess() as registry:
        for tag in ("v1", "v1.0"):
            images.push(registry.url, "team/app", tag, content)
        images.push(registry.url, "team/app", "v2", images.multi_arch("other"))
        with pytest.raises(RefusedError) as refused:
            delete_tag("distribution", registry)
        registry.clear_requests()
        delete_image(registry)
        seen = [(request.method, request.path.rpartition("/")[2], request.status) for request in registry.requests()]
        assert seen == [("HEAD", "v1", 200), ("DELETE", str(content.digest), 202)]
        assert images.resolve(registry.url, "team/app", "v1.0") is None
        assert images.resolve(registry.url, "team/app", "v2") is not None
        with pytest.raises(NotFound) as caught:
            delete_image(registry)
    assert str(refused.value).startswith(f"DELETE {registry.url}/v2/team/app/manifests/v1 answered 400 ")
    assert str(caught.value) == f"{registry.host}/team/app:v1 does not exist"


def test_an_image_that_was_pushed_meanwhile_is_not_deleted() -> None:
    new = images.multi_arch("pushed meanwhile")
    with RegistryProcess() as registry:
        images.push(registry.url, "team/app", "v1", new)
        with pytest.raises(TemporaryError) as caught:
            delete_image(registry)
        assert images.resolve(registry.url, "team/app", "v1") == new.digest
    moved = f"{registry.host}/team/app:v1 has changed to {new.digest.short} since it was listed"
    assert str(caught.value) == f"{moved}; it was not deleted"


def test_a_token_that_may_delete_is_requested() -> None:
    rights = {"*": ("pull", "push", "delete")}
    with (
        TokenServer({USER.username: USER.secret}, grants={USER.username: rights}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as registry,
    ):
        images.push(registry.url, "team/app", "v1", images.multi_arch("app"), session=tokens.session("team/app"))
        tokens.clear_requests()
        delete_image(registry, USER)
        scopes = {scope for request in tokens.requests() for scope in request.scopes}
        assert scopes == {"repository:team/app:delete", "repository:team/app:pull"}
