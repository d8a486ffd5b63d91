"""Pages of a listing, by ``Link`` or by an address in the page, on the registry's own origin.

https://www.rfc-editor.org/rfc/rfc8288, https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from registry_sync.errors import DeniedError, NotFound, RateLimited, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.urls import join_url, shown_url

Page = TypeVar("Page")

MAX_PAGES = 10_000
"""Most pages of one listing. With a hundred entries each, that is a million entries."""


def read_pages(get: Callable[[str], Response], url: str, next_of: Callable[[Response], str]) -> Iterator[Response]:
    """GET ``url`` and every following page.

    :param next_of: returns the address of the next page as the registry sent it; empty is the end.
    :raises RefusedError: when the listing has more than :data:`MAX_PAGES` pages.
    :raises TemporaryError: when a link returns to an earlier page, and when a page after the first is missing or
        refused: that says nothing about the repository.
    """
    seen = set[str]()
    while url:
        seen.add(url)
        response = get_page(get, url, len(seen))
        yield response
        address = next_of(response)
        url = own_url(url, response, address) if address else ""
        if len(seen) >= MAX_PAGES and url:
            raise too_many_pages(shown_url(response.url))
        if url in seen:
            raise TemporaryError(f"{shown_url(response.url)}: the pages of this listing form a loop")


def get_page(get: Callable[[str], Page], address: str, number: int) -> Page:
    """GET a page of a listing.

    :param address: a URL, or the token of a page.
    :param number: of the page, from 1. An error on a later page says nothing about what is listed.
    :raises TemporaryError: when a page after the first is missing or refused.
    """
    try:
        return get(address)
    except RegistrySyncError as error:
        if number == 1:
            raise
        raise _broken_off(error, number) from error


def _broken_off(error: RegistrySyncError, number: int) -> RegistrySyncError:
    message = f"page {number} of a listing cannot be read: {error}"
    match error:
        case RateLimited():
            return RateLimited(message, retry_at=error.retry_at, host=error.host)
        case NotFound() | RefusedError():
            return TemporaryError(message)
        case DeniedError() | TemporaryError():
            return type(error)(message)
    return error


def own_url(asked: str, response: Response, address: str) -> str:
    """The next page on the origin of ``asked``, whatever scheme, host or path prefix the registry knows itself by.

    The query of ``address`` goes to the path that was asked for, if both paths end alike. Registries behind a proxy
    link to http (TLS ends at the proxy), to an internal host or port, or to a path without the prefix or the name of
    the virtual repository: https://github.com/sonatype/nexus-public/issues/1011,
    https://github.com/renovatebot/renovate/discussions/35917.

    :param response: to the request for ``asked``, possibly after a redirect.
    :raises TemporaryError: when ``address`` is not a valid URL.
    """
    own, linked = urlsplit(asked), urlsplit(join_url(response.url, address))
    path = own.path if _last_part(own.path) == _last_part(linked.path) else linked.path
    return urlunsplit((own.scheme, own.netloc, path, linked.query, ""))


def _last_part(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def next_link(response: Response) -> str:
    """The address in ``Link: rel="next"``; empty without one.

    :raises TemporaryError: when the header has a next page in a form that cannot be read.
    """
    header = response.headers.get("Link", "")
    for match in _LINK.finditer(header):
        parameters = _parameters(match[2])
        if "next" in parameters.get("rel", "").lower().split() and "anchor" not in parameters:
            if address := match[1].strip():
                return address
            raise _unreadable(response)
    if re.search(r"\bnext\b", _LINK.sub("", header), re.IGNORECASE):
        raise _unreadable(response)
    return ""


def _unreadable(response: Response) -> TemporaryError:
    return TemporaryError(f"{shown_url(response.url)} links to a next page in a form that cannot be read")


_PARAMETER = r'(?:;\s*)+([^\s=;,"<>]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?\s*'

_LINK = re.compile(rf"<([^<>]*)>\s*((?:{_PARAMETER})*)")
"""An address and its parameters. Names and relation types ignore case; quotes are optional."""


def _parameters(text: str) -> Mapping[str, str]:
    """Parameters by their name in lower case. The first of a name counts. Some servers quote with apostrophes."""
    parameters: dict[str, str] = {}
    for match in re.finditer(_PARAMETER, text):
        parameters.setdefault(match[1].lower(), match[2] or (match[3] or "").strip("'"))
    return parameters


def too_many_pages(listing: str) -> RefusedError:
    """The error for a listing of more than :data:`MAX_PAGES` pages."""
    return RefusedError(f"{listing}: the listing has more than {MAX_PAGES} pages, or does not end")
