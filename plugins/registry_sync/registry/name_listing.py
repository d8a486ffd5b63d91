"""Listings of names, ``tags/list`` and ``_catalog``: by ``Link``, and by ``n`` and ``last`` where there is none.

A ``Link`` is optional in the specification, and Nexus and others send none:
https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlencode

from registry_sync.errors import RefusedError, TemporaryError
from registry_sync.registry.wire.paging import next_link, own_url, read_pages
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.urls import shown_url

PAGE_SIZE = 1000
"""The largest page that most registries return. ECR and distribution refuse more."""

_SMALLER_SIZES = (100, None)
"""Asked for where a larger size is refused; ``None`` leaves the size to the registry."""

_LARGER_SIZES = (10_000, 100_000)
"""Asked for where a full page has no ``Link`` and ``last`` has no effect."""

Get = Callable[[str], Response]


def list_names(get: Get, url: str, key: str) -> Iterator[str]:
    """The names under ``key`` of every page, each once. A page must be an object with that key; ``null`` is empty.

    :param url: of the listing, without a query.
    :raises TemporaryError: for any other response, and for a listing that repeats itself.
    :raises RefusedError: when the registry has more names than it can be made to list.
    """
    seen = set[str]()
    for size in (PAGE_SIZE, *_LARGER_SIZES):
        listing = _Listing(url, key, size)
        try:
            for response in read_pages(partial(listing.get, get), listing.url(), listing.next_of):
                new = [name for name in names_of_page(response, key) if name not in seen]
                seen.update(new)
                yield from new
        except RefusedError:
            if size == PAGE_SIZE:
                raise
            break
        if not listing.is_cut:
            return
    raise RefusedError(
        f"{shown_url(url)} sends full pages of {key} with neither a link to the next page nor a reliable order, and no "
        "larger pages; its listing cannot be completed"
    )


class _Listing:
    """One reading of a listing with pages of ``size`` names.

    :ivar is_cut: the page was full, and the registry cannot be asked for what follows.
    """

    def __init__(self, url: str, key: str, size: int) -> None:
        self.is_cut = False
        self._base = url
        self._key = key
        self._size: int | None = size
        self._has_links = False
        self._after = ""
        self._seen = set[str]()
        self._asked = set[str]()

    def url(self) -> str:
        query = {"n": self._size, "last": self._after}
        parameters = urlencode({name: value for name, value in query.items() if value})
        return f"{self._base}?{parameters}" if parameters else self._base

    def get(self, get: Get, url: str) -> Response:
        """GET a page. If the registry refuses the size of the first one, smaller sizes are tried."""
        smaller = () if self._asked or self._size != PAGE_SIZE else _SMALLER_SIZES
        for size in smaller:
            try:
                return self._get(get, url)
            except RefusedError:
                self._size = size
                url = self.url()
        return self._get(get, url)

    def _get(self, get: Get, url: str) -> Response:
        self._asked.add(url)
        return get(url)

    def next_of(self, response: Response) -> str:
        """The address of the next page; empty at the end.

        :raises TemporaryError: when a page has nothing new and links to another.
        """
        names = names_of_page(response, self._key)
        is_new = not self._seen.issuperset(names)
        is_unordered = bool(self._after) and not self._seen.isdisjoint(set(names) - {self._after})
        self._seen.update(names)
        link = next_link(response)
        if link and names and not is_new:
            raise TemporaryError(f"{shown_url(response.url)} answers the same page again")
        if link and own_url(self._base, response, link) not in self._asked:
            self._has_links, self._after = True, ""
            return link
        self.is_cut = is_unordered and self._is_full_of_size(names)
        if is_unordered or not is_new or not (link or self._may_be_cut(names)):
            return ""
        self._after = names[-1]
        return self.url()

    def _is_full_of_size(self, names: list[str]) -> bool:
        return self._size is not None and len(names) == self._size

    def _may_be_cut(self, names: list[str]) -> bool:
        """Return whether names may follow: the page is as long as the size asked for, or as a limit of the registry's.

        Such limits are round numbers. A registry that has sent a ``Link`` would have sent another.
        """
        count = len(names)
        return not self._has_links and (count >= min(self._size or 100, 100) or count % 10 == 0 or count % 25 == 0)


def names_of_page(response: Response, key: str) -> list[str]:
    """The names under ``key``. :raises TemporaryError: when the response is not an object with a list of names."""
    document = response.json()
    names = document.get(key, ...) if isinstance(document, dict) else ...
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TemporaryError(f"{shown_url(response.url)} answered {response.status} without a list of {key}")
    return names
