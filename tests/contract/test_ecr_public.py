"""public.ecr.aws as a source: anonymous tokens, names by page, and a HEAD for each digest.

As public threads quote its answers: https://github.com/aws/containers-roadmap/issues/1262,
https://github.com/aws/karpenter-provider-aws/issues/7482.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedTag
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.kinds import infer_kind
from testkit.clients import connect
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer

DIGEST = Digest.of(b"image")
NAMES = [f"v{number}" for number in range(1500)]


class Public:
    """The registry. Its challenge names the scope ``aws``, and its token server takes any."""

    def __init__(self) -> None:
        self.throttles = 0

    def __call__(self, request: ScriptedRequest) -> Reply:
        parts = urlsplit(request.target)
        if parts.path == "/token/":
            return Reply(body=b'{"token": "eyJwYXlsb2FkIjoi"}')
        if request.authorization != "Bearer eyJwYXlsb2FkIjoi":
            realm = f"http://{self.host}/token/"
            challenge = f'Bearer realm="{realm}",service="public.ecr.aws",scope="aws"'
            return Reply(status=401, headers={"WWW-Authenticate": challenge}, body=b'{"errors":[{"code":"DENIED"}]}')
        if self.throttles:
            self.throttles -= 1
            return Reply(status=429, body=b'{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}')
        if parts.path.endswith("/tags/list"):
            return _page(parts.path, parse_qs(parts.query))
        return Reply(headers={"Docker-Content-Digest": str(DIGEST)})

    host = ""


def _page(path: str, query: dict[str, list[str]]) -> Reply:
    start = int(query.get("last", ["0"])[0])
    names = NAMES[start : start + int(query["n"][0])]
    end = start + len(names)
    headers = {"Link": f'<{path}?n=1000&last={end}>; rel="next"'} if end < len(NAMES) else {}
    body = json.dumps({"name": "karpenter/karpenter", "tags": names}).encode()
    return Reply(headers={"Content-Type": "text/plain; charset=utf-8", **headers}, body=body)


@pytest.fixture
def script() -> Public:
    return Public()


@pytest.fixture
def public(script: Public) -> Iterator[ScriptedServer]:
    with ScriptedServer(script) as server:
        script.host = server.host
        yield server


def test_it_is_read_as_any_registry() -> None:
    assert infer_kind("public.ecr.aws") == "distribution"


def test_tags_are_listed_anonymously(public: ScriptedServer) -> None:
    """A challenge, a token and two pages; then one HEAD for a digest, with a token of the same scope."""
    repository = Repository(public.host, "karpenter/karpenter")
    with connect(DistributionClient, public) as client:
        assert list(client.list_tags(repository)) == [ListedTag(name=name) for name in NAMES]
        assert client.head_manifest(repository, "v1") == DIGEST
    assert [request.target for request in public.shown] == [
        "/v2/karpenter/karpenter/tags/list?n=1000",
        "/token/?service=public.ecr.aws&scope=repository%3Akarpenter%2Fkarpenter%3Apull",
        "/v2/karpenter/karpenter/tags/list?n=1000",
        "/v2/karpenter/karpenter/tags/list?n=1000&last=1000",
        "/v2/karpenter/karpenter/manifests/v1",
    ]


def test_its_rate_limit_pauses(public: ScriptedServer, script: Public, recorded_pauses: list[float]) -> None:
    """Anonymous users soon get 429 while they follow the pages."""
    script.throttles = 3
    with connect(DistributionClient, public) as client:
        assert len(list(client.list_tags(Repository(public.host, "karpenter/karpenter")))) == 1500
        assert client.traffic.waits >= 3
    assert recorded_pauses == []
