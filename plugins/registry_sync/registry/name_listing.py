"""Listings of names, ``tags/list`` and ``_catalog``: by ``Link``, and by ``n`` and ``last`` where there is none.

A ``Link`` is optional in the specification, and Nexus and others send none:
https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlencode

from registry_sync.errors import RefusedError, TemporaryError
from registry_sync.registry.wire.paging import next_link, own_url, read_pages
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.urls import shown_url

PAGE_SIZE = 1000
"""The largest page that most registries return. ECR and distribution refuse more."""

_SMALLER_SIZES = (100, None)
"""Page sizes to request where a larger size is refused; ``None`` leaves the size to the registry."""

_LARGER_SIZES = (10_000, 100_000)
"""Page size to request where a full page has no ``Link`` and ``last`` has no effect."""

_USUAL_LIMITS = frozenset({50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000})
"""Lengths at which registries cut a page, whatever ``n`` is."""

Get = Callable[[str], Response]


def list_names(get: Get, url: str, key: str, page_size: int = PAGE_SIZE) -> Iterator[str]:
    """The names under ``key`` of every page, each once. A page must be an object with that key; ``null`` is empty.

    :param url: of the listing, without a query.
    :param page_size: the largest page that the registry is known to return.
    :raises TemporaryError: for any other response, and for a listing that repeats itself.
    :raises RefusedError: when the registry has more names than it lists.
    """
    seen = set[str]()
    for size in (page_size, *_LARGER_SIZES):
        smaller = tuple(less for less in _SMALLER_SIZES if less is None or less < size) if size == page_size else ()
        listing = _Listing(get, url, key, size, smaller)
        try:
            for response in read_pages(listing.get, listing.url(), listing.next_of):
                new = [name for name in dict.fromkeys(names_of_page(response, key)) if name not in seen]
                seen.update(new)
                yield from new
        except RefusedError:
            if size == page_size:
                raise
            break
        if not listing.is_cut:
            return
    raise RefusedError(
        f"{shown_url(url)} sends full pages of {key} with neither a link to the next page nor a reliable order, and no "
        "larger pages; its listing cannot be completed"
    )


class _Listing:
    """One reading of a listing with pages of ``size`` names, or of one of ``smaller`` where that is refused.

    :ivar is_cut: names may follow, and the registry has no way to list them.
    """

    def __init__(self, get: Get, url: str, key: str, size: int, smaller: Sequence[int | None]) -> None:
        self.is_cut = False
        self._get_url = get
        self._base = url
        self._key = key
        self._size: int | None = size
        self._smaller = smaller
        self._has_links = False
        self._after = ""
        self._seen = set[str]()
        self._asked = set[str]()

    def url(self) -> str:
        """The address of the page of ``size`` names after the last one."""
        return self._url_of(self._size, self._after)

    def _url_of(self, size: int | None, after: str) -> str:
        query = {"n": size, "last": after}
        parameters = urlencode({name: value for name, value in query.items() if value}, errors="replace")
        return f"{self._base}?{parameters}" if parameters else self._base

    def get(self, url: str) -> Response:
        """GET a page. If the registry refuses the size of the first one, smaller sizes are tried."""
        for size in () if self._asked else self._smaller:
            try:
                return self._get(url)
            except RefusedError:
                self._size = size
                url = self.url()
        return self._get(url)

    def _get(self, url: str) -> Response:
        self._asked.add(url)
        return self._get_url(url)

    def next_of(self, response: Response) -> str:
        """The address of the next page; empty at the end.

        :raises TemporaryError: when a page has nothing new and links to another.
        """
        names = names_of_page(response, self._key)
        before = self._seen
        self._seen = before.union(names)
        is_new = len(self._seen) > len(before)
        link = next_link(response)
        if link and names and not is_new:
            raise TemporaryError(f"{shown_url(response.url)} answers the same page again")
        if link and own_url(self._base, response, link) not in self._asked:
            self._has_links, self._after = True, ""
            return link
        if self._after and not before.isdisjoint(set(names) - {self._after}):
            self.is_cut = is_new or self._is_cut_off(before, names)
            return ""
        if not is_new or not (link or self._may_be_cut(len(names))):
            return ""
        self._after = names[-1]
        return self.url()

    def _may_be_cut(self, count: int) -> bool:
        """Return whether names may follow: the page is as long as the size asked for, or as a limit of the registry's.

        A registry that has sent a ``Link`` would have sent another.
        """
        return not self._has_links and (count >= min(self._size or 100, 100) or _is_round(count))

    def _is_cut_off(self, before: set[str], names: list[str]) -> bool:
        """Return whether names may follow those of the first pages, although the page after them has no other.

        Such a page shows that the registry ignores ``last``, if all names come again, or that its order is not the one
        of ``last``. Registries that ignore ``n`` too, as docker-registry 2.8 does, list everything.
        """
        is_full = len(before) in (self._size, *_USUAL_LIMITS)
        return is_full and (before != set(names) or self._heeds_n())

    def _heeds_n(self) -> bool:
        size = min(_USUAL_LIMITS) - 1
        return len(names_of_page(self._get(self._url_of(size, "")), self._key)) <= size


def _is_round(count: int) -> bool:
    """Return whether ``count`` may be a registry's limit of a page. Such limits are round numbers."""
    return count % 10 == 0 or count % 25 == 0


def names_of_page(response: Response, key: str) -> list[str]:
    """The names under ``key``. :raises TemporaryError: when the response is not an object with a list of names."""
    document = response.json()
    names = document.get(key, ...) if isinstance(document, dict) else ...
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TemporaryError(f"{shown_url(response.url)} answered {response.status} without a list of {key}")
    return names
