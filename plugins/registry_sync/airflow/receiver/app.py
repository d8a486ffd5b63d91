"""The app that receives webhooks, mounted by Airflow's API server below ``/registry-sync-events``.

It needs no login of Airflow, and gives access to nothing else: a request can only start the comparison of a repository.
A wrong address, a wrong token and a registry without a secret get the same answer.

=====  =================================================================================
200    genuine, but not a push of a tag that a mirror has
202    genuine: the mirrors look at it within seconds
400    not readable, or with a query
401    not genuine
404    no such address
405    not a POST
413    more than 1 MiB
415    a compressed body
422    genuine, with a mistake of one's own CI in it
429    too many requests, with ``Retry-After``
503    the mirrors or the secret could not be read since the start, with ``Retry-After``
=====  =================================================================================
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from registry_sync.airflow.receiver.body import BodyTooLarge, SenderGone, read_body
from registry_sync.airflow.receiver.database import read_subscriptions, store
from registry_sync.airflow.receiver.emitter import Emitter
from registry_sync.airflow.receiver.secrets import KEPT, UNKNOWN_SECONDS, KeptSecrets, SecretUnknown
from registry_sync.events.addresses import PREFIX, Address
from registry_sync.events.gathering import Batch
from registry_sync.events.rate import Bucket
from registry_sync.events.reception import Refused, Request, read_request
from registry_sync.events.reported import Ignored, ReportedPush
from registry_sync.events.subscription import Subscription

log = logging.getLogger(__name__)

KNOWN_SECONDS = 5.0
"""Time after which the mirrors are read again from the database."""

MAX_READING = 64
"""Maximum number of bodies of one address that are read at once, so that slow senders delay no other address."""

Subscriptions = Mapping[Address, tuple[Subscription, ...]]


class Answered(Exception):
    """The end of a request, with its status and a text for the person who set up the webhook."""

    def __init__(self, status: int, detail: str, retry_after: int = 0) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}


LARGE_BYTES = 32 * 1024
"""Size from which a body is read in a thread. One of 1 MiB takes half a second, for which no other request waits."""


class Receiver:
    """Takes the requests of senders.

    :param emitter: makes asset events of pushes.
    :param read: reads the mirrors that events start. It runs in a thread. Its last result stays valid while it fails.
    :param secrets: the secrets of their addresses.
    """

    def __init__(self, emitter: Emitter, read: Callable[[], Subscriptions], secrets: KeptSecrets) -> None:
        self._emitter, self._read, self._secrets = emitter, read, secrets
        self._known: Subscriptions | None = None
        self._read_at = float("-inf")
        self._is_read = asyncio.Lock()
        self._buckets: dict[Address, Bucket] = {}
        self._reading = Counter[Address]()

    async def answer(self, request: HttpRequest) -> JSONResponse:
        """Answer a request. The access log gets the path without its token."""
        try:
            return await self._answer(request)
        except Answered as end:
            return JSONResponse({"detail": end.detail}, end.status, end.headers)
        finally:
            hide_token(request.scope, self._shown(request.path_params))

    async def _answer(self, request: HttpRequest) -> JSONResponse:
        address, token = _address(request.path_params)
        mirrors = (await self._mirrors_by_address()).get(address, ())
        secret = await self._secret(mirrors[0].secret) if mirrors else None
        is_right = address.has_token(token, secret or "")
        if not (mirrors and secret and is_right):
            raise _not_found()
        _check_form(request)
        if seconds := self._buckets.setdefault(address, Bucket()).take(monotonic()):
            raise Answered(429, "too many requests", seconds)
        body = await self._body(address, request)
        read = partial(
            read_request,
            Request(headers=request.headers.raw, body=body),
            kind=mirrors[0].kind,
            host=mirrors[0].host,
            secret=secret,
        )
        return self._respond(address, mirrors, await asyncio.to_thread(read) if len(body) > LARGE_BYTES else read())

    def _respond(
        self, address: Address, mirrors: Sequence[Subscription], found: tuple[ReportedPush, ...] | Ignored | Refused
    ) -> JSONResponse:
        if isinstance(found, Refused):
            log.warning("A request for events of %s %s is refused: %s", address.scope, address.name, found.message)
            raise Answered(found.status, found.message)
        if isinstance(found, Ignored):
            return JSONResponse({"detail": f"ignored: {found.reason}"}, 200)
        batches = list(_batches(mirrors, found))
        if not batches:
            return JSONResponse({"detail": "ignored: no mirror has this repository"}, 200)
        if not self._emitter.add(batches):
            raise Answered(429, "too many repositories wait", 5)
        return JSONResponse({"detail": "accepted", "mirrors": [batch.mirror for batch in batches]}, 202)

    async def _mirrors_by_address(self) -> Subscriptions:
        """The mirrors of each address. One request reads them again, and others wait for it only if none are known."""
        if monotonic() - self._read_at >= KNOWN_SECONDS or self._known is None:
            await self._read_again()
        if self._known is None:
            raise Answered(503, "the mirrors that events start cannot be read yet", math.ceil(KNOWN_SECONDS))
        return self._known

    async def _read_again(self) -> None:
        if self._known is not None and self._is_read.locked():
            return
        async with self._is_read:
            if monotonic() - self._read_at < KNOWN_SECONDS:
                return
            try:
                self._known = await asyncio.to_thread(self._read)
            except Exception:
                log.exception("The mirrors that events start cannot be read")
            self._read_at = monotonic()

    async def _secret(self, connection: str) -> str | None:
        try:
            return await asyncio.to_thread(self._secrets.get, connection)
        except SecretUnknown:
            raise Answered(503, "the secret of this address cannot be read yet", math.ceil(UNKNOWN_SECONDS)) from None

    def _shown(self, path: Mapping[str, Any]) -> str:
        """The part of a path that may be logged: of an address that exists, all but its token."""
        address = Address(scope=path["scope"], name=path["name"])
        return f"/{address.scope}/{address.name}/" if address in (self._known or ()) else "/"

    async def _body(self, address: Address, request: HttpRequest) -> bytes:
        if self._reading[address] >= MAX_READING:
            raise Answered(429, "too many requests at the same time", 1)
        self._reading[address] += 1
        try:
            return await read_body(request.receive, request.headers.get("content-length", "").encode())
        except BodyTooLarge:
            raise Answered(413, "the body has more than 1 MiB") from None
        except TimeoutError:
            raise Answered(408, "the body was not complete in time") from None
        except SenderGone:
            raise Answered(400, "the body is not complete") from None
        finally:
            self._reading[address] -= 1


def _not_found() -> Answered:
    """The answer to a wrong address, a wrong token and a registry without a secret alike."""
    return Answered(404, "not found")


def _address(path: Mapping[str, Any]) -> tuple[Address, str]:
    """The address that a path names, and its token."""
    if path["scope"] not in ("registry", "mirror"):
        raise _not_found()
    return Address(scope=path["scope"], name=path["name"]), path["token"]


def _check_form(request: HttpRequest) -> None:
    """Refuse forms of requests that no sender uses. A query could hold a secret, and ends in the logs of proxies."""
    if request.method != "POST":
        raise Answered(405, "this address takes POST requests of registries")
    if request.url.query:
        raise Answered(400, "the address has a query, which proxies log; send the secret in a header")
    if request.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise Answered(415, "the body is compressed")


def _batches(mirrors: Sequence[Subscription], found: Sequence[ReportedPush]) -> Iterator[Batch]:
    now = datetime.now(UTC)
    for mirror in mirrors:
        if pushes := mirror.choose(found):
            yield Batch(mirror=mirror.mirror, registry=mirror.registry, received_at=now, pushes=tuple(pushes))


def hide_token(scope: Any, shown: str) -> None:
    """Remove the token and a query from a request that has ended, where Airflow's access log reads them.

    ``HttpAccessLogMiddleware`` of Airflow 3.3 logs both of the same scope after the app has returned.

    :param shown: the part of the path below the prefix that may be logged.
    """
    scope["path"], scope["query_string"] = f"{PREFIX}{shown}***", b""


def build_app(receiver: Receiver, end: Callable[[], Awaitable[None]]) -> Starlette:
    """The app with its one route. It redirects nothing, and shows no error.

    :param end: stores what waits. The server calls it as ``app.state.end`` before it ends.
    """
    app = Starlette(routes=[_route("/{scope}/{name}/{token}", receiver.answer), _route("/{path:path}", _answer_other)])
    app.router.redirect_slashes = False
    app.state.end = end
    return app


def _route(path: str, endpoint: Callable[[HttpRequest], Awaitable[JSONResponse]]) -> Route:
    """A route for every method: Starlette would answer the others itself, and leave the token to the access log."""
    route = Route(path, endpoint)
    route.methods = None
    return route


async def _answer_other(request: HttpRequest) -> JSONResponse:
    hide_token(request.scope, "/")
    return JSONResponse({"detail": _not_found().detail}, 404)


def build_receiver() -> Starlette:
    """The app over Airflow's database and Connections."""
    emitter = Emitter(store)
    return build_app(Receiver(emitter, read_subscriptions, KEPT), emitter.end)
