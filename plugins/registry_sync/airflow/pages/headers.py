"""Headers of every response of the pages, and the check of requests that change something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import API_BASE_URL
from fastapi import HTTPException, Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self'; script-src 'self'; style-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
"""Nothing of other hosts, nothing inline, and only Airflow's own pages may frame these."""

HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": CONTENT_SECURITY_POLICY.encode(),
    b"referrer-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
}

REQUEST_HEADER = "X-Registry-Sync"
"""A header that only a script of the same origin can add. Its value does not matter."""


class SecureHeaders:
    """ASGI middleware that adds :data:`HEADERS`, also to errors."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in HEADERS]
                message["headers"] = [*kept, *HEADERS.items()]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def require_own_script(request: Request) -> None:
    """Refuse requests that a page of another origin could send with a person's cookie.

    :raises HTTPException: 403 for another origin; 415 for a body that is not JSON.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "The request needs the header Content-Type: application/json.")
    if REQUEST_HEADER not in request.headers:
        raise HTTPException(403, f"The request needs the header {REQUEST_HEADER}.")
    if not _is_same_origin(request):
        raise HTTPException(403, "The request comes from a page of another origin.")


def _is_same_origin(request: Request) -> bool:
    """Return whether a request has our own origin. Only browsers send these headers and the cookie."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    if origin is None:
        return True
    host = urlsplit(origin).netloc  # empty for "null", the origin of sandboxed frames, as that of an unset base_url is
    return bool(host) and host in {request.headers.get("host"), urlsplit(API_BASE_URL).netloc}
