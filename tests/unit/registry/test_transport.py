"""Decoding of error responses, API addresses, and token lifetimes."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from urllib3 import HTTPHeaderDict

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LockedTag,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.wire import http_errors
from registry_sync.registry.wire.auth import parse_token
from registry_sync.registry.wire.http_errors import decode_error, first_problem
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.retry_after import WINDOW_PARTS
from registry_sync.registry.wire.transport import Transport

URL = "https://registry.example/v2/a/b/manifests/v1"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Noon(datetime):
    """The clock is patched: it is noon."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # noqa: ARG003
        return NOW


def error_of(status: int, headers: dict[str, str], body: bytes = b"") -> RegistrySyncError:
    answer = Response(status=status, headers=HTTPHeaderDict(headers), content=body, url=URL)
    return decode_error(answer, "GET")


def unix(**offset: float) -> str:
    return str(int((NOW + timedelta(**offset)).timestamp()))


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "90"}, timedelta(seconds=90)),
        ({"Retry-After": (NOW + timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S GMT")}, timedelta(hours=2)),
        ({"X-Retry-After": unix(minutes=5)}, timedelta(minutes=5)),
        ({"X-RateLimit-Reset": unix(minutes=1)}, timedelta(minutes=1)),
        ({"ratelimit-limit": "100;w=21600"}, timedelta(minutes=30)),
        ({"RateLimit-Limit": "200 ; w=3600"}, timedelta(minutes=5)),
        ({"Retry-After": "30", "X-RateLimit-Reset": unix(hours=9), "ratelimit-limit": "1;w=9"}, timedelta(seconds=30)),
        ({"Retry-After": "soon", "X-RateLimit-Reset": unix(hours=1)}, timedelta(hours=1)),
        ({"Retry-After": "0"}, timedelta()),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, timedelta()),
        ({"X-RateLimit-Reset": unix(hours=-1)}, timedelta()),
        ({"Retry-After": "9" * 300}, timedelta(days=1)),
        ({"X-Retry-After": unix(days=400)}, timedelta(days=1)),
        ({"X-RateLimit-Reset": "9" * 300}, timedelta(days=1)),
        ({"ratelimit-limit": f"1;w={10**9}"}, timedelta(days=1)),
    ],
)
def test_a_429_with_a_time_is_a_rate_limit(
    headers: dict[str, str], wait: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_errors, "datetime", Noon)
    error = error_of(429, headers)
    assert isinstance(error, RateLimited)
    assert error.retry_at == NOW + wait


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Retry-After": "soon"},
        {"Retry-After": "-5"},
        {"Retry-After": "٣"},
        {"Retry-After": f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT"},
        {"Retry-After": f"Wed, 21 Oct 2026 07:28:00 +{'9' * 20}"},
        {"X-RateLimit-Reset": "60"},
        {"X-Retry-After": "60"},
        {"ratelimit-limit": "100"},
        {"ratelimit-remaining": "0;w=21600"},
    ],
)
def test_a_429_without_a_time_is_a_rate_limit_that_may_end_now(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_errors, "datetime", Noon)
    error = error_of(429, headers)
    assert isinstance(error, RateLimited)
    assert error.retry_at == NOW


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": unix(minutes=40)}, b"", timedelta(minutes=40)),
        ({"X-RateLimit-Remaining": " 0 "}, b"", timedelta(minutes=1)),
        ({"Retry-After": "90", "X-RateLimit-Remaining": "4000"}, b"", timedelta(seconds=90)),
        ({"X-RateLimit-Remaining": "4000"}, b"You have exceeded a secondary rate limit.", timedelta(minutes=1)),
    ],
)
def test_a_403_of_a_rate_limit_is_no_denial(
    headers: dict[str, str], body: bytes, wait: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub's primary and secondary limits answer 403 as well as 429."""
    monkeypatch.setattr(http_errors, "datetime", Noon)
    error = error_of(403, headers, body)
    assert isinstance(error, RateLimited)
    assert error.retry_at == NOW + wait


@pytest.mark.parametrize(
    "headers", [{}, {"X-RateLimit-Remaining": "10"}, {"Retry-After": ""}, {"X-RateLimit-Reset": unix(hours=1)}]
)
def test_a_403_that_names_no_limit_is_a_denial(headers: dict[str, str]) -> None:
    assert type(error_of(403, headers, b"requested access to the resource is denied")) is DeniedError


def test_a_limit_on_another_answer_is_no_wish_to_wait() -> None:
    assert type(error_of(503, {"X-RateLimit-Reset": unix(hours=1), "ratelimit-limit": "1;w=60"})) is TemporaryError


def test_waits_of_a_window_cover_it() -> None:
    from registry_sync.airflow.runs.deferral import MAX_DEFERRALS  # noqa: PLC0415 - imports Airflow

    assert MAX_DEFERRALS >= WINDOW_PARTS


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"errors": [{"code": "NAME_UNKNOWN", "message": "no"}]}', " NAME_UNKNOWN: no"),
        (b'{"detail": "Not Found", "error_message": "x", "title": "y"}', " Not Found"),
        (b'{"message": "httperror 404: object not found", "errinfo": {}}', " httperror 404: object not found"),
        (b'{"detail": "Rate limit exceeded", "error": false}', " Rate limit exceeded"),
        (b'{"error": "Invalid bearer token format"}', " Invalid bearer token format"),
        (b'{"message": {"limit": "Max 100."}}', ' {"message": {"limit": "Max 100."}}'),
        (b'{"errors": []}', ' {"errors": []}'),
        (b'{"errors": null}', ' {"errors": null}'),
        (b'"detail"', ' "detail"'),
        (b"[]", " []"),
        (b"7", " 7"),
        (b"<html>\n no </html>", " no"),
        (
            b"<!DOCTYPE html>\n<!-- a --><script>f(1 < 2)</script><h1>Off</h1> <p>for &lt;a&gt; while</p>",
            " Off for <a> while",
        ),
        (b"<html><head><title>404 Not Found</title></head><body><center>nginx</center></body></html>", " Not Found"),
        (b"<HTML><TITLE> </TITLE><BODY>Gone", " Gone"),
        (b"<script", " <script"),
        (b"a <b> c", " a <b> c"),
        (b"\xff", " �"),
        (b"", ""),
    ],
)
def test_errors_show_status_and_body(body: bytes, text: str) -> None:
    assert str(error_of(404, {}, body)) == f"GET {URL} answered 404{text}"


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "advice"),
    [
        ("PUT", "manifests/v1", 405, b"Method not allowed", "the registry takes no pushes (is it read-only?)"),
        ("POST", "blobs/uploads/", 405, b"", "the registry takes no pushes (is it read-only?)"),
        (
            "PUT",
            "manifests/v1",
            405,
            b'{"errors": [{"code": "UNSUPPORTED"}]}',
            "the registry takes no pushes (is it read-only?), or no manifests of this type",
        ),
        (
            "PUT",
            "manifests/v1",
            415,
            b"",
            (
                "the registry takes no manifests of this type (zot takes Docker's with "
                '"http": {"compat": ["docker2s2"]} in its configuration)'
            ),
        ),
        *(
            (
                method,
                path,
                413,
                b"<html>",
                "a proxy in front of the registry limits the size of requests (nginx: client_max_body_size)",
            )
            for method, path in (("PUT", "manifests/v1"), ("PATCH", "blobs/uploads/7"), ("POST", "blobs/uploads/"))
        ),
        ("GET", "tags/list", 405, b"", ""),
        ("GET", "tags/list", 413, b"", ""),
        ("DELETE", "manifests/v1", 405, b"", ""),
    ],
)
def test_a_refused_push_is_explained(method: str, path: str, status: int, body: bytes, advice: str) -> None:
    url = f"https://registry.example/v2/a/b/{path}"
    error = decode_error(Response(status=status, headers={}, content=body, url=url), method)
    assert type(error) is RefusedError
    text = first_problem(Response(status=status, headers={}, content=body, url=url))[1]
    assert str(error) == f"{method} {url} answered {status} {text}".rstrip() + (f"; {advice}" if advice else "")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"errors": [{"code": "X", "message": "x", "detail": "Repository does not allow updating assets: a"}]}'),
        (403, b'{"errors": [{"code": "DENIED", "message": "Not enough permissions to delete/overwrite artifact"}]}'),
        (403, b'{"errors": [{"code": "DENIED", "message": "Not enough permissions to overwrite artifact"}]}'),
        (400, b'{"errors": [{"code": "UNKNOWN", "message": "Image Tag \'v1\' already exists"}]}'),
        (409, b'{"errors": [{"code": "CONFLICT", "message": "It exists, and overwriting is not allowed"}]}'),
        (405, b'{"errors": [{"code": "REGISTRY_DISALLOWED_OPERATION", "message": "locked"}]}'),
        (401, b'{"errors": [{"code": "PROTECTED_TAG", "message": "m", "detail": "tag \\"v1\\" is protected"}]}'),
        (401, b'{"errors": [{"code": "IMMUTABLE_TAG", "message": "m", "detail": "tag \\"v1\\" is immutable"}]}'),
        (412, b""),
    ],
)
def test_a_tag_that_must_not_be_overwritten_is_locked(status: int, body: bytes) -> None:
    answer = Response(status=status, headers={}, content=body, url=URL)
    assert type(decode_error(answer, "PUT")) is LockedTag
    assert type(decode_error(answer, "GET")) is not LockedTag


@pytest.mark.parametrize("status", [501, 505])
def test_a_method_that_is_not_implemented_stays_so(status: int) -> None:
    assert type(error_of(status, {})) is RefusedError


@pytest.mark.parametrize(
    ("address", "tls"),
    [
        ("http://api.example", True),
        ("ftp://api.example", False),
        ("api.example", True),
        ("https://", True),
        ("https://api.example/quay", True),
        ("https://api.example?x=1", True),
        ("https://user@api.example", True),
        ("https://api.example:port", True),
        ("https://api example", True),
        ("https://api.example\n", True),
    ],
)
def test_an_invalid_api_url_is_refused(address: str, tls: bool) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Transport(Endpoint(host="registry.example", tls=tls), base_url=address)
    shown = address.replace("user@", "…@")
    assert str(caught.value) == (
        f"registry.example: {shown!r} is not a valid API address; write https://host or https://host:port"
    )


@pytest.mark.parametrize(
    ("address", "tls"),
    [("https://api.example/", True), ("https://[::1]:8443", True), ("http://api.example:80", False)],
)
def test_api_url_becomes_the_base_url(address: str, tls: bool) -> None:
    assert Transport(Endpoint(host="registry.example", tls=tls), base_url=address).base_url == address.rstrip("/")


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.signature"


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({"token": "t", "expires_in": 300}, 300),
        ({"access_token": jwt(iat=1000, exp=4600)}, 3600),
        ({"token": jwt(iat=1000, exp=4600), "expires_in": 10}, 10),
        ({"token": jwt(exp=4600)}, 60),
        ({"token": jwt(iat="a", exp="b")}, 60),
        ({"token": jwt(iat=4600, exp=1000)}, 60),
        ({"token": "a.!.b"}, 60),
        ({"token": "opaque"}, 60),
        ({"token": "opaque", "expires_in": True}, 60),
        ({"token": "opaque", "expires_in": "300"}, 60),
    ],
)
def test_tokens_are_used_for_nine_tenths_of_their_life(answer: dict[str, Any], seconds: float) -> None:
    token = parse_token(answer, now=100.0)
    assert token is not None
    assert token.good_until == pytest.approx(100 + 0.9 * seconds)
