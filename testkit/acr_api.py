"""Azure's ``/acr/v1`` in front of a real registry: its listings show the registry's content with push times and locks.

It follows tests/contract/acr.json, and Azure's own clients where that is silent.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt

from testkit.loopback import LoopbackHandler, LoopbackServer, Request
from testkit.registry import RegistryProcess
from testkit.waiting import PATIENCE_SECONDS

MAX_PAGE = 1000
DEFAULT_PAGE = 100

_TAGS = re.compile(r"/acr/v1/(.+)/_tags")
_TAG = re.compile(r"/acr/v1/(.+)/_tags/([^/]+)")
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})
_BODYLESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


class AcrApi:
    """An Azure container registry at ``host``; ``/v2`` is passed on to ``registry``.

    A tag was pushed when its file in the registry's storage was last written, or at the time that
    :meth:`set_pushed_at` gave it. Listings are read from that storage, without a request to the registry.

    :param realm: address of the token server; listing needs a token with ``metadata_read``. ``None``: access is
        anonymous.
    :param loses_order: links to a next page carry an empty ``orderby``, as Azure's sometimes do.
    """

    def __init__(self, registry: RegistryProcess, *, realm: str | None = None, loses_order: bool = False) -> None:
        self.registry = registry
        self._realm = realm
        self._loses_order = loses_order
        self._pushed_at: dict[tuple[str, str], datetime | None] = {}
        self._locked = set[tuple[str, str]]()
        self._tokens, self._revoked = set[str](), set[str]()
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self._server = LoopbackServer(partial(_Handler, self))

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``, as in an image reference."""
        return self._server.host

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def requests(self) -> list[Request]:
        """All requests, also of ``/v2``, since the start or ``clear_requests()``, in the order of their answers."""
        with self._lock:
            return list(self._requests)

    def clear_requests(self) -> None:
        with self._lock:
            self._requests.clear()

    def set_pushed_at(self, repository: str, tag: str, moment: datetime | None) -> None:
        """Set the push time of a tag. ``None``: the listing has no time for it."""
        with self._lock:
            self._pushed_at[repository, tag] = moment

    def lock(self, repository: str, tag: str) -> None:
        """List a tag as locked against writes."""
        with self._lock:
            self._locked.add((repository, tag))

    def revoke_tokens(self) -> None:
        """Expire every token that was used for listing so far."""
        with self._lock:
            self._revoked |= self._tokens

    def record(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def answer_delete(self, path: str, authorization: str | None) -> _Answer:
        """Answer of ``/acr/v1`` to a DELETE of a tag. The image and its other tags stay."""
        match = _TAG.fullmatch(path)
        if match is None:
            return _error(404, "NAME_UNKNOWN", "no such path")
        name, tag = match.groups()
        if refusal := self._refusal(f"repository:{name}:delete", authorization):
            return refusal
        with self._lock:
            if (name, tag) in self._locked:
                return _error(405, "REGISTRY_DISALLOWED_OPERATION", "The operation is disallowed on this registry")
        try:
            self.registry.forget_tag(name, tag)
        except FileNotFoundError:
            return _error(404, "TAG_UNKNOWN", "the specified tag does not exist")
        return _Answer(status=202, body=b"", headers={"Content-Length": "0"})

    def answer(self, path: str, query: str, authorization: str | None) -> _Answer:
        """Answer of ``/acr/v1`` to a GET."""
        options = dict(parse_qsl(query, keep_blank_values=True))
        if path == "/acr/v1/_catalog":
            return self._refusal("registry:catalog:*", authorization) or self._catalog(options)
        if match := _TAGS.fullmatch(path):
            name = match[1]
            return self._refusal(f"repository:{name}:metadata_read", authorization) or self._tags(name, options)
        return _error(404, "NAME_UNKNOWN", "no such path")

    def _refusal(self, scope: str, authorization: str | None) -> _Answer | None:
        """Azure names the right that is missing."""
        token = (authorization or "").removeprefix("Bearer ")
        with self._lock:
            is_revoked = token in self._revoked
            self._tokens.add(token)
        if self._realm is None or (_grants(token, scope) and not is_revoked):
            return None
        challenge = f'Bearer realm="{self._realm}",service="{self.host}",scope="{scope}",error="invalid_token"'
        kind, name, action = scope.split(":")
        detail = [{"Type": kind, "Name": name, "Action": action}]
        answer = _error(401, "UNAUTHORIZED", "authentication required", detail)
        return _Answer(status=401, body=answer.body, headers={**answer.headers, "WWW-Authenticate": challenge})

    def _catalog(self, options: Mapping[str, str]) -> _Answer:
        tag_directories = self._root.glob("**/_manifests/tags")
        names = sorted(str(tag_directory.parent.parent.relative_to(self._root)) for tag_directory in tag_directories)
        page, last = _page(names, options)
        return _listing(
            {"repositories": page}, "/acr/v1/_catalog", {"last": last, "n": options.get("n", str(DEFAULT_PAGE))}
        )

    def _tags(self, name: str, options: Mapping[str, str]) -> _Answer:
        documents = {path.name: self._tag(name, path) for path in (self._root / name / "_manifests/tags").glob("*")}
        if not documents:
            return _error(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
        order = options.get("orderby", "")
        names = sorted(documents)
        if order == "timedesc":
            names.sort(key=lambda tag: documents[tag]["lastUpdateTime"] or "", reverse=True)
        page, last = _page(names, options)
        following = {"last": last, "n": options.get("n", str(DEFAULT_PAGE))}
        following |= {"orderby": "" if self._loses_order else order} if order else {}
        document = {"registry": self.host, "imageName": name, "tags": [documents[each] for each in page]}
        return _listing(document, f"/acr/v1/{name}/_tags", following)

    def _tag(self, name: str, directory: Path) -> dict[str, Any]:
        link = directory / "current" / "link"
        key = (name, directory.name)
        with self._lock:
            written_at = datetime.fromtimestamp(link.stat().st_mtime, UTC)
            pushed_at, is_locked = self._pushed_at.get(key, written_at), key in self._locked
        attributes = {"deleteEnabled": True, "writeEnabled": not is_locked, "readEnabled": True, "listEnabled": True}
        return {
            "name": directory.name,
            "digest": link.read_text(),
            "createdTime": _shown(written_at),
            "lastUpdateTime": _shown(pushed_at) if pushed_at else None,
            "changeableAttributes": attributes,
        }

    @property
    def _root(self) -> Path:
        return self.registry.storage / "docker" / "registry" / "v2" / "repositories"


class _Handler(LoopbackHandler):
    def __init__(self, api: AcrApi, *args: Any) -> None:
        self._api = api
        super().__init__(*args)

    def do_any(self) -> None:
        parts = urlsplit(self.path)
        if parts.path.startswith("/acr/v1/") and self.command == "DELETE":
            answer = self._api.answer_delete(parts.path, self.headers.get("Authorization"))
        elif parts.path.startswith("/acr/v1/"):
            answer = self._api.answer(parts.path, parts.query, self.headers.get("Authorization"))
        else:
            answer = self._pass_on()
        self._api.record(Request(method=self.command, path=parts.path, query=parts.query, status=answer.status))
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 - names of the base class

    def _pass_on(self) -> _Answer:
        """Answer of the registry. It receives our own host, so its ``Location`` headers lead back here."""
        upstream = http.client.HTTPConnection(self._api.registry.host, timeout=PATIENCE_SECONDS)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            upstream.request(self.command, self.path, body=self._body(), headers=headers)
            response = upstream.getresponse()
            body = response.read()
        finally:
            upstream.close()
        kept = {name: value for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP}
        if self.command != "HEAD" and response.status not in _BODYLESS:
            kept["Content-Length"] = str(len(body))
        return _Answer(status=response.status, body=body, headers=kept)

    def _body(self) -> bytes | None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None

    def _chunks(self) -> Iterator[bytes]:
        """The body of a request in chunked coding (RFC 9112, 7.1)."""
        while size_bytes := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size_bytes)
            self.rfile.readline()
        self.rfile.readline()


def _page(names: list[str], options: Mapping[str, str]) -> tuple[list[str], str | None]:
    """The names after ``last``, at most ``n`` of them, and the last one when more follow."""
    last = options.get("last", "")
    if last in names:
        names = names[names.index(last) + 1 :]
    elif last:
        names = [name for name in names if name > last]
    page = names[: min(int(options.get("n", DEFAULT_PAGE)), MAX_PAGE)]
    return page, page[-1] if len(page) < len(names) else None


def _listing(document: Mapping[str, Any], path: str, following: Mapping[str, str | None]) -> _Answer:
    """A page; with a link to the next one when ``following`` has a ``last``."""
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(body))}
    if following["last"] is not None:
        headers["Link"] = f'<{path}?{urlencode(following)}>; rel="next"'
    return _Answer(status=200, body=body, headers=headers)


def _error(status: int, code: str, message: str, detail: Any = None) -> _Answer:
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]}).encode()
    return _Answer(status=status, body=body, headers={"Content-Length": str(len(body))})


def _grants(token: str, scope: str) -> bool:
    """Return whether an unexpired token holds the right. Its signature is not verified."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": True, "verify_aud": False})
    except jwt.InvalidTokenError:
        return False
    kind, name, action = scope.split(":")
    return any((each["type"], each["name"]) == (kind, name) and action in each["actions"] for each in claims["access"])


def _shown(moment: datetime) -> str:
    """A time as Azure writes it, with seven fractional digits."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
