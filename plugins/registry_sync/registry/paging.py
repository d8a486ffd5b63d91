"""Pages of a listing, by ``Link`` or by an address in the page, on the registry's own origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from requests.utils import parse_header_links

from registry_sync.errors import ConfigurationError, RefusedError, TemporaryError
from registry_sync.registry.response import Response
from registry_sync.registry.urls import join_url, origin_of, shown_url

MAX_PAGES = 10_000
"""Most pages of one listing. With a hundred entries each, that is a million entries."""


def read_pages(get: Callable[[str], Response], url: str, next_of: Callable[[Response], str]) -> Iterator[Response]:
    """GET ``url`` and every following page.

    :param next_of: returns the address of the next page; empty is the end.
    :raises ConfigurationError: when a link leads to another host.
    :raises RefusedError: when the listing has more than :data:`MAX_PAGES` pages.
    :raises TemporaryError: when a link returns to an earlier page.
    """
    origin, host, seen = origin_of(url), urlsplit(url).netloc, set[str]()
    while url:
        seen.add(url)
        response = get(url)
        yield response
        link = next_of(response)
        url = join_url(response.url, link) if link else ""
        if len(seen) >= MAX_PAGES and url:
            raise too_many_pages(shown_url(response.url))
        if url and origin_of(url) != origin:
            raise ConfigurationError(
                f"{host}: the link to the next page leads to another host, {shown_url(url)}; not followed"
            )
        if url in seen:
            raise TemporaryError(f"{host}: the pages of a listing form a loop at {shown_url(url)}")


def next_link(response: Response) -> str:
    """The address in ``Link: rel="next"``; empty without one."""
    for link in parse_header_links(response.headers.get("Link", "")):
        if link.get("rel") == "next" and link.get("url"):
            return link["url"]
    return ""


def too_many_pages(listing: str) -> RefusedError:
    """The error for a listing of more than :data:`MAX_PAGES` pages."""
    return RefusedError(f"{listing}: the listing has more than {MAX_PAGES} pages, or does not end")
