"""Passwords and tokens that a registry quotes in its errors: masked where the error is made."""

from __future__ import annotations

import html
import json
import logging
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from registry_sync.errors import RegistrySyncError
from registry_sync.oci.reference import Reference, Repository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.registry.vendors.docker_hub import DockerHubClient
from registry_sync.registry.wire.exchange import RequestLimits
from registry_sync.skopeo.copier import Skopeo
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.local import find_skopeo
from testkit import images
from testkit.proxy import ForwardProxy, refuse
from testkit.registry import RegistryProcess
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.waiting import PATIENCE_SECONDS

SECRET = "Hünter/2 <&\"'+=%"
USER = Credentials(username="robot", secret=SECRET)
ONCE = RequestLimits(connect_seconds=PATIENCE_SECONDS, read_seconds=PATIENCE_SECONDS, attempts=1, patience_seconds=0)

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda secret: secret,
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON in UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "HTML": html.escape,
    "URL": lambda secret: quote(secret, safe=""),
    "URL in lower case": lambda secret: quote(secret, safe="").replace("%C3", "%c3").replace("%BC", "%bc").lower(),
    "form": quote_plus,
    "Basic": lambda secret: b64encode(f"robot:{secret}".encode()).decode(),
    "Base64": lambda secret: b64encode(secret.encode()).decode(),
}


def leaks(text: str, secret: str = SECRET) -> list[str]:
    """The encodings of the secret in a text, of which a part of eight characters is enough."""
    return [name for name, encode in ENCODINGS.items() if name != "URL in lower case" and encode(secret)[:8] in text]


def quoting(body: bytes, status: int) -> Callable[[ScriptedRequest], Reply]:
    def answer(request: ScriptedRequest) -> Reply:
        if request.target == "/v2/":
            return Reply(status=401, headers={"WWW-Authenticate": "Basic"})
        return Reply(status=404) if request.method == "HEAD" else Reply(status=status, body=body)

    return answer


def error_at(server: ScriptedServer, credentials: Credentials = USER) -> str:
    client = DistributionClient(Endpoint(host=server.host, tls=False, credentials=credentials), limits=ONCE)
    with closing(client), pytest.raises(RegistrySyncError) as caught:
        list(client.list_tags(Repository(server.host, "team/app")))
    return str(caught.value)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "URL in lower case"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_every_encoding_in_the_body_of_an_error(encoding: str, status: int) -> None:
    quoted = ENCODINGS[encoding](SECRET)
    with ScriptedServer(quoting(f"cannot read {quoted} of robot".encode(), status)) as server:
        text = error_at(server)
    assert leaks(text) == []
    assert "cannot read *** of robot" in text


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"errors": [{"code": "DENIED", "message": f"no {SECRET}", "detail": {"password": SECRET}}]}),
        json.dumps({"errors": [{"code": "DENIED", "message": f"no {SECRET}"}]}, ensure_ascii=False),
        json.dumps({"message": f"no {SECRET}"}),
        f"<html><title>no {html.escape(SECRET)}</title></html>",
        f"<html><body>no {html.escape(SECRET)}</body></html>",
        "x" * 290 + SECRET,
    ],
)
def test_every_form_of_an_error(body: str) -> None:
    with ScriptedServer(quoting(body.encode(), 403)) as server:
        text = error_at(server)
    assert leaks(text) == []
    assert SECRET[:5] not in text


def test_a_page_in_place_of_a_registry() -> None:
    """With status 200, as of a portal."""
    page = f"<html><title>Log in, not as {html.escape(SECRET)}</title></html>".encode()
    with ScriptedServer(lambda _: Reply(body=page)) as server:
        client = DistributionClient(Endpoint(host=server.host, tls=False, credentials=USER), limits=ONCE)
        with closing(client), pytest.raises(RegistrySyncError) as caught:
            client.ping()
    assert "('Log in, not as ***')" in str(caught.value)


def test_a_token_service_and_the_token_that_it_issued() -> None:
    """Both tokens of a login that was renewed, too."""
    issued = iter(("first-token-0001", "second-token-0002"))
    asked = list[str]()

    def answer(request: ScriptedRequest) -> Reply:
        if request.target.startswith("/token"):
            return Reply(body=json.dumps({"token": next(issued), "expires_in": 3600}).encode())
        asked.append(request.authorization or "")
        challenge = f'Bearer realm="{server.url}/token",service="s"'
        if not (request.authorization or "").startswith("Bearer second"):
            return Reply(status=401, headers={"WWW-Authenticate": challenge})
        return Reply(status=403, body=" ".join(asked).encode())

    with ScriptedServer(answer) as server:
        text = error_at(server)
    assert len([each for each in asked if each.startswith("Bearer")]) == 2
    assert "first-token" not in text
    assert "second-token" not in text


def test_a_token_service_that_quotes_the_login() -> None:
    def answer(request: ScriptedRequest) -> Reply:
        if request.target.startswith("/token"):
            return Reply(status=401, body=f"bad login {SECRET} ({request.authorization})".encode())
        return Reply(status=401, headers={"WWW-Authenticate": f'Bearer realm="{server.url}/token"'})

    with ScriptedServer(answer) as server:
        text = error_at(server)
    assert leaks(text) == []
    assert "bad login *** (Basic ***)" in text


def test_a_challenge_a_redirect_and_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    @dataclass
    class Quoting:
        headers: dict[str, str] = field(default_factory=dict)
        status: int = 401

        def __call__(self, request: ScriptedRequest) -> Reply:
            return Reply(status=401 if request.target == "/v2/" else self.status, headers=self.headers)

    secret = "hunter2-in-ascii"
    user, answer = Credentials(username="robot", secret=secret), Quoting()
    for status, headers in (
        (401, {"WWW-Authenticate": f'Bearer realm="ftp://{secret}.example"'}),
        (302, {"WWW-Authenticate": "Basic", "Location": f"ftp://elsewhere.example/{secret}"}),
        (500, {"WWW-Authenticate": "Basic", "Warning": f'299 - "you are {secret}"'}),
    ):
        answer.status, answer.headers = status, headers
        with ScriptedServer(answer) as server, caplog.at_level(logging.DEBUG):
            assert secret not in error_at(server, user)
    assert "you are ***" in caplog.text
    assert secret not in caplog.text


def test_a_login_by_post() -> None:
    """Docker Hub's API gets the password in a body."""
    user = Credentials(username="acme", secret="dckr_pat_secret-1")

    def answer(request: ScriptedRequest) -> Reply:
        return (
            Reply(status=400, body=b"cannot parse " + request.body) if request.method == "POST" else Reply(body=b"{}")
        )

    with ScriptedServer(answer) as server:
        client = DockerHubClient(Endpoint(host=server.host, tls=False, credentials=user), api_url=server.url)
        with closing(client), pytest.raises(RegistrySyncError) as caught:
            list(client.list_repositories("acme"))
    assert "dckr_pat" not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_proxy_that_quotes_its_login() -> None:
    login = Credentials(username="me", secret="of-the-proxy-1")
    with ForwardProxy({}, refusal=lambda _: refuse(f"403 not with {login.secret} or {login.basic()}")) as proxy:
        at = Endpoint(host="registry.example", proxy=Proxy(url=proxy.url, credentials=login))
        client = DistributionClient(at, limits=ONCE)
        with closing(client), pytest.raises(RegistrySyncError) as caught:
            client.ping()
    assert "(403 not with *** or ***)" in str(caught.value)


@pytest.mark.parametrize("secret", ["", "x", "abc"])
def test_a_secret_that_is_part_of_every_word_leaves_errors_readable(secret: str) -> None:
    with ScriptedServer(quoting(b"an extraordinary abc", 403)) as server:
        text = error_at(server, Credentials(username="robot", secret=secret))
    assert "an extraordinary abc" in text


def test_contents_are_what_they_are() -> None:
    """Only errors and pages are masked: a listing may contain the password as a tag."""
    tags = json.dumps({"name": "team/app", "tags": ["hunter2-as-a-tag"]}).encode()
    with ScriptedServer(quoting(tags, 200)) as server:
        user = Credentials(username="robot", secret="hunter2-as-a-tag")
        client = DistributionClient(Endpoint(host=server.host, tls=False, credentials=user), limits=ONCE)
        with closing(client):
            assert [tag.name for tag in client.list_tags(Repository(server.host, "team/app"))] == ["hunter2-as-a-tag"]


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "URL in lower case"])
@pytest.mark.parametrize("side", ["source", "destination"])
def test_what_skopeo_quotes(side: str, encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    """In its messages, which become errors, and in its output, which is logged."""
    caplog.set_level(logging.DEBUG)
    secret = ENCODINGS[encoding](SECRET)
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"bad login {secret} of a user"}]})
    with RegistryProcess() as healthy, ScriptedServer(quoting(body.encode(), 403)) as quotes:
        image = images.image([])
        images.push(healthy.url, "team/app", "v1", image)
        hosts = {"source": healthy.host, "destination": healthy.host, side: quotes.host}
        ends: Any = {name: Endpoint(host=host, tls=False, credentials=USER) for name, host in hosts.items()}
        with Skopeo(find_skopeo, **ends, copy_timeout_seconds=60, stall_timeout_seconds=60) as skopeo:
            with pytest.raises(RegistrySyncError) as caught:
                skopeo.copy(
                    ImageCopy(
                        source=Reference(Repository(hosts["source"], "team/app"), image.digest),
                        destination=Reference(Repository(hosts["destination"], "team/app"), image.digest),
                        is_index=False,
                        format="oci",
                    )
                )
    assert "bad login" in str(caught.value)
    assert leaks(str(caught.value)) == leaks(caplog.text) == []


SKOPEO_S_OWN = "own.0123456789abcdef0123456789"


@pytest.mark.parametrize(
    "form",
    [
        "the request had Authorization: Bearer {}",
        "token={} is not accepted",
        '{{"access_token": "{}"}}',
        "see https://storage.example/blob?X-Amz-Signature={}&X-Amz-Expires=60",
    ],
)
def test_a_registry_quotes_the_token_that_skopeo_was_given(form: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its login is its own, so that we do not know the token."""
    caplog.set_level(logging.DEBUG)

    def answer(request: ScriptedRequest) -> Reply:
        if request.target.startswith("/token"):
            return Reply(body=json.dumps({"token": SKOPEO_S_OWN, "expires_in": 300}).encode())
        if request.authorization != f"Bearer {SKOPEO_S_OWN}":
            return Reply(status=401, headers={"WWW-Authenticate": f'Bearer realm="{quotes.url}/token",service="x"'})
        error = {"code": "DENIED", "message": f"bad login: {form.format(SKOPEO_S_OWN)}"}
        return Reply(status=403, body=json.dumps({"errors": [error]}).encode())

    with RegistryProcess() as healthy, ScriptedServer(answer) as quotes:
        image = images.image([])
        ends: Any = {
            "source": Endpoint(host=quotes.host, tls=False, credentials=USER),
            "destination": Endpoint(host=healthy.host, tls=False),
        }
        names: Any = {side: Reference(Repository(end.host, "team/app"), image.digest) for side, end in ends.items()}
        with Skopeo(find_skopeo, **ends, copy_timeout_seconds=60, stall_timeout_seconds=60) as skopeo:
            with pytest.raises(RegistrySyncError) as caught:
                skopeo.copy(ImageCopy(**names, is_index=False, format="oci"))
        assert any(request.authorization == f"Bearer {SKOPEO_S_OWN}" for request in quotes.shown)
    assert "bad login" in str(caught.value)
    assert SKOPEO_S_OWN[:12] not in str(caught.value)
    assert SKOPEO_S_OWN[:12] not in caplog.text
