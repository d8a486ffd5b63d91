"""Faults of a wire, by their names in the specification."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from pathlib import Path

from registry_sync.oci.reference import Digest
from testkit.interceptor import Interceptor
from testkit.tls import CertificateAuthority

Fault = Callable[[Interceptor, str, str, int | None], None]
"""Injects a fault into requests of a method and path on a wire: ``times`` times, or always."""

SHORT_SECONDS, FAR_SECONDS = 1, 7200
HTML = b"<!DOCTYPE html><html><head><title>Please log in</title></head><body>Welcome to the WiFi</body></html>"
_AS_HTML = {"Content-Type": "text/html; charset=utf-8"}


def _error(code: str, message: str, detail: object = None) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]}).encode()


def _answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Fault:
    def fault(wire: Interceptor, method: str, path: str, times: int | None) -> None:
        wire.answer(method, path, status, body, headers, times)

    return fault


def _json(status: int, code: str, message: str, detail: object = None, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _answer(status, _error(code, message, detail), {"Content-Type": "application/json", **named})


def _limited_until_a_date(wire: Interceptor, method: str, path: str, times: int | None) -> None:
    until = datetime.now(UTC) + timedelta(seconds=FAR_SECONDS)
    headers = {"Retry-After": format_datetime(until, usegmt=True)}
    wire.answer(method, path, 429, _error("TOOMANYREQUESTS", "slow down"), headers, times)


def _truncated(wire: Interceptor, method: str, path: str, times: int | None) -> None:
    wire.truncate(method, path, 40, times, is_reset=False)


def _wrong_digest(wire: Interceptor, method: str, path: str, times: int | None) -> None:
    wire.header(method, path, "Docker-Content-Digest", str(Digest.of(b"other content")), times)


@cache
def authority() -> CertificateAuthority:
    """The authority that issues valid and expired certificates for wires with TLS."""
    folder = tempfile.mkdtemp(prefix="authority-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return CertificateAuthority.create(Path(folder))


def _expired(wire: Interceptor, _method: str, _path: str, _times: int | None) -> None:
    wire.show(authority().issue(expired=True))


_NO_SPACE = "write /var/lib/registry: no space left on device"
_NO_QUOTA = "adding 50.2 KiB of storage resource, which will exceed the configured upper limit of 1.0 GiB"

FAULTS: Mapping[str, Fault] = {
    "401": _json(401, "UNAUTHORIZED", "authentication required"),
    "401, token expired": lambda wire, *where: wire.anonymous(*where),
    "403": _json(403, "DENIED", "requested access to the resource is denied"),
    "403, HTML": _answer(403, HTML, _AS_HTML),
    "404": _json(404, "NAME_UNKNOWN", "repository name not known to registry"),
    "404, HTML": _answer(404, HTML, _AS_HTML),
    "429, Retry-After: 1": _json(429, "TOOMANYREQUESTS", "slow down", Retry_After=str(SHORT_SECONDS)),
    "429, Retry-After: 7200": _json(429, "TOOMANYREQUESTS", "slow down", Retry_After=str(FAR_SECONDS)),
    "429, Retry-After: a date": _limited_until_a_date,
    "429": _json(429, "TOOMANYREQUESTS", "slow down"),
    "429, HTML": _answer(429, HTML, _AS_HTML),
    "500": _json(500, "UNKNOWN", "unknown error"),
    "502": _answer(502, b"Bad Gateway"),
    "503": _answer(503),
    "503, HTML": _answer(503, HTML, _AS_HTML),
    "504": _answer(504),
    "reset": lambda wire, *where: wire.reset(*where),
    "reset within the response": lambda wire, method, path, times: wire.truncate(method, path, 40, times),
    "reset after processing": lambda wire, *where: wire.lose(*where),
    "truncated": _truncated,
    "corrupt": lambda wire, *where: wire.corrupt(*where),
    "slow": lambda wire, method, path, times: wire.delay(method, path, 0.3, times),
    "hang": lambda wire, *where: wire.hang(*where),
    "wrong digest header": _wrong_digest,
    "200, HTML": _answer(200, HTML, _AS_HTML),
    "disk full": _json(500, "UNKNOWN", "unknown error", {"Op": "write", "Err": _NO_SPACE}),
    "immutable tag, 409": _json(409, "CONFLICT", "tag is immutable"),
    "immutable tag, 412": _json(412, "PRECONDITION", "Failed to process request due to 'v1' configured as immutable."),
    "immutable tag, 400": _json(400, "TAG_INVALID", "the tag is immutable and cannot be overwritten"),
    "quota exceeded": _json(403, "DENIED", _NO_QUOTA),
    "certificate expired": _expired,
    "missing blob": _json(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"),
}
