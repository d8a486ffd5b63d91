"""The client against known responses of Aliyun, which publishes no definition of this API."""

from __future__ import annotations

import json
from functools import partial

import pytest

from registry_sync.errors import ConfigurationError, DeniedError, RefusedError, UnsupportedArtifact
from registry_sync.oci.manifest import OCI_MANIFEST, parse_manifest
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedTag
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.vendors.aliyun import AliyunClient
from testkit import images
from testkit.clients import connect
from testkit.interceptor import Interceptor

SIGNATURE = images.artifact("signature", config_type="application/vnd.oci.empty.v1+json")
USER = Credentials(username="mirror@1234567890", secret="the-fixed-password")
client = partial(connect, AliyunClient)


def app(wire: Interceptor) -> Repository:
    return Repository(wire.host, "team/app")


def refusal(message: str, code: str = "DENIED") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def test_repositories_have_to_be_written(wire: Interceptor) -> None:
    with client(wire) as asked, pytest.raises(ConfigurationError) as caught:
        asked.list_repositories("team")
    assert str(caught.value) == (
        f"Aliyun ({wire.host}) does not list repositories; write the repositories of 'team' one by one"
    )
    assert wire.requests() == []


def test_tags_are_names_and_a_digest_costs_a_head(wire: Interceptor) -> None:
    """The token is valid for ten minutes, and its realm is at another host of Aliyun."""
    with Interceptor("http://127.0.0.1:1") as tokens:
        service = "registry.aliyuncs.com:cn-shanghai:26842"
        challenge = {"WWW-Authenticate": f'Bearer realm="{tokens.url}/auth",service="{service}"'}
        wire.answer("GET", "^/v2/$", 401, headers=challenge)
        wire.answer("GET", "^/v2/team/app/tags/list$", 200, b'{"name": "team/app", "tags": ["v1"]}')
        digest = {"Docker-Content-Digest": str(SIGNATURE.digest)}
        wire.answer("HEAD", "^/v2/team/app/manifests/v1$", 200, headers=digest)
        wire.answer("HEAD", "^/v2/team/app/manifests/v2$", 404)
        tokens.answer("GET", "^/auth$", 200, b'{"token": "t", "expires_in": 600}')
        with client(wire, USER) as asked:
            assert list(asked.list_tags(app(wire))) == [ListedTag(name="v1")]
            assert asked.head_manifest(app(wire), "v1") == SIGNATURE.digest
            assert asked.head_manifest(app(wire), "v2") is None
        (token,) = tokens.requests()
    assert token.query == ("service=registry.aliyuncs.com%3Acn-shanghai%3A26842&scope=repository%3Ateam%2Fapp%3Apull")
    assert len(wire.requests()) == 4


@pytest.mark.parametrize("status", [400, 403, 405, 415])
def test_an_artifact_that_aliyun_does_not_know(wire: Interceptor, status: int) -> None:
    text = "unknown manifest class for application/vnd.oci.empty.v1+json"
    wire.answer("GET", "^/v2/$", 200)
    wire.answer("PUT", "/manifests/sha256-abc.sig$", status, refusal(text))
    manifest = parse_manifest(SIGNATURE.content, OCI_MANIFEST)
    with client(wire, USER) as asked, pytest.raises(UnsupportedArtifact) as caught:
        asked.put_manifest(app(wire), "sha256-abc.sig", manifest)
    assert str(caught.value).startswith(
        f"Aliyun takes no artifact of this type as {wire.host}/team/app (PUT {wire.url}/v2/team/app/manifests/"
        f"sha256-abc.sig answered {status} DENIED: {text}"
    )


def test_a_missing_namespace_is_explained(wire: Interceptor) -> None:
    wire.answer("GET", "^/v2/$", 200)
    wire.answer("PUT", "/manifests/v1$", 403, refusal("requested access to the resource is denied"))
    manifest = parse_manifest(SIGNATURE.content, OCI_MANIFEST)
    with client(wire, USER) as asked, pytest.raises(DeniedError) as caught:
        asked.put_manifest(app(wire), "v1", manifest)
    assert str(caught.value) == (
        f"PUT {wire.url}/v2/team/app/manifests/v1 answered 403 DENIED: requested access to the resource is denied (not "
        "permitted with these credentials, or it does not exist); the namespace 'team' must exist at "
        f"{wire.host}, create repositories automatically, and allow this user to push"
    )


def test_other_refusals_stay_as_they_are(wire: Interceptor) -> None:
    wire.answer("GET", "^/v2/$", 200)
    wire.answer("PUT", "/manifests/v1$", 400, refusal("manifest invalid", "MANIFEST_INVALID"))
    manifest = parse_manifest(SIGNATURE.content, OCI_MANIFEST)
    with client(wire, USER) as asked, pytest.raises(RefusedError) as caught:
        asked.put_manifest(app(wire), "v1", manifest)
    assert type(caught.value) is RefusedError
    assert str(caught.value) == (
        f"PUT {wire.url}/v2/team/app/manifests/v1 answered 400 MANIFEST_INVALID: manifest invalid"
    )
