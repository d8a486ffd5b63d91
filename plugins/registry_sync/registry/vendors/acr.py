"""Azure Container Registry: ``/acr/v1`` lists tags with digests, push times and locks; manifests use ``/v2``.

https://github.com/Azure/azure-rest-api-specs/tree/main/specification/containerregistry/data-plane (2021-07-01). Listing
needs the permission ``metadata_read``, which ``pull`` does not include: https://github.com/Azure/acr/issues/675.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from registry_sync.errors import DeniedError, RefusedError
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.tag_pages import parse_digest, parse_time
from registry_sync.registry.wire.paging import next_link
from registry_sync.registry.wire.response import Response

log = logging.getLogger(__name__)

PAGE_SIZE = 1000
"""The largest page that Azure returns, whatever ``n`` is: https://github.com/Azure/acr/issues/749."""

SMALL_PAGE_SIZE = 100
"""The page size of Azure's own command line: for the newest tags, which are seldom more, and where a larger page is
refused."""


class AcrClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for ``*.azurecr.io``, ``.cn`` and ``.us``.

    The registry chooses Basic or Bearer. Both accept an admin user, a service principal or a scope-map token.
    """

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = True

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:  # noqa: ARG002 - a registry is private or public as a whole
        """Names from the catalog. Modification times would cost one request each, as much as the newest tags.

        :raises ConfigurationError: when our credentials may not read the catalog.
        """
        advice = f"let the credentials read its catalog, or write the repositories of {namespace!r} one by one"
        return self._catalog("/acr/v1/_catalog", namespace, advice)

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:
        """All tags; with ``since``, newest first and only as far as needed, if the registry keeps the order.

        Anonymous users may be denied here but not at ``/v2``. Tags then have names only, and a digest costs a HEAD.

        :raises NotFound: when the repository does not exist.
        :raises DeniedError: when the credentials may not list tags.
        """
        seen = set[str]()
        for entry in self._tags(repository, since):
            if entry.name not in seen:
                seen.add(entry.name)
                yield entry

    def delete_tag(self, repository: Repository, tag: str) -> None:
        """Delete only this tag ("untag"); the image stays under its digest. Locked tags are refused.

        A token needs content/delete. ``/v2`` would delete the image with all its tags.
        """
        path = f"/acr/v1/{repository.name}/_tags/{tag}"
        self._transport.call("DELETE", path, scope=f"repository:{repository.name}:delete")

    def _tags(self, repository: Repository, since: datetime | None) -> Iterator[ListedTag]:
        try:
            yield from self._newest_first(repository, since) if since else self._by_name(repository)
        except DeniedError as error:
            if self._transport.endpoint.credentials:
                advice = "to list tags, a token needs metadata/read beside content/read"
                raise DeniedError(f"{error}; {advice}") from error
            log.info(
                "%s does not list digests for anonymous users; each tag needs a HEAD request (%s)", repository, error
            )
            yield from super()._list_tags(repository, since=since)

    def _by_name(self, repository: Repository) -> Iterator[ListedTag]:
        """Every tag, in an order that concurrent pushes do not change."""
        is_begun = False
        try:
            for entry in self._pages_by_name(repository, PAGE_SIZE):
                is_begun = True
                yield entry
        except RefusedError:
            if is_begun:
                raise
            yield from self._pages_by_name(repository, SMALL_PAGE_SIZE)

    def _pages_by_name(self, repository: Repository, size: int) -> Iterator[ListedTag]:
        path = _tags_path(repository, size)
        for response in self._transport.pages(path, scope=_metadata(repository), next_of=partial(_next, path, size)):
            yield from _entries(response)

    def _newest_first(self, repository: Repository, since: datetime) -> Iterator[ListedTag]:
        """Tags down to ``since``. If a page is out of order, or has a tag without a time, all tags follow by name.

        Equal times show no direction, so they never end the reading.
        """
        path, times = f"{_tags_path(repository, SMALL_PAGE_SIZE)}&orderby=timedesc", list[datetime | None]()
        next_of = partial(_next, path, SMALL_PAGE_SIZE)
        for response in self._transport.pages(path, scope=_metadata(repository), next_of=next_of):
            entries = list(_entries(response))
            yield from entries
            times += [entry.pushed_at for entry in entries]
            if next_of(response) and not _descend(times):
                log.warning("%s does not list its tags newest first; all are read", repository)
                yield from self._by_name(repository)
                return
            if times and _is_newer(times[0], times[-1]) and _is_newer(since, times[-1]):
                return


def _next(path: str, size: int, response: Response) -> str:
    """Our own path with ``last`` from ``Link``, or with the last tag of a full page; empty after the last page.

    A page of either size is full, because a registry may return fewer than ``size`` tags.

    Some links lack the order (``orderby=``). Following them, by name from there on, would skip tags. A proxy may drop
    the header.
    """
    link = next_link(response)
    names = [] if link else [entry.name for entry in _entries(response)]
    is_full = len(names) >= size or len(names) == SMALL_PAGE_SIZE
    following = parse_qs(urlsplit(link).query).get("last", names if is_full else [])
    return f"{path}&last={quote(following[-1], safe='')}" if following else link


def _descend(times: list[datetime | None]) -> bool:
    """Return whether the times are all known, and none is newer than the one before."""
    return bool(times) and None not in times and not any(_is_newer(after, before) for before, after in pairwise(times))


def _is_newer(time: datetime | None, other: datetime | None) -> bool:
    return time is not None and other is not None and time > other


def _entries(response: Response) -> Iterator[ListedTag]:
    """The tags of a page; ``null`` for a repository with untagged manifests only."""
    document = response.json()
    is_null = isinstance(document, dict) and document.get("tags", ...) is None
    return iter(()) if is_null else map(_entry, response.rows("tags", "name"))


def _entry(row: dict[str, Any]) -> ListedTag:
    """``lastUpdateTime`` is the time when the tag was created or moved. Six of its seven fractional digits are kept.

    Locks: https://learn.microsoft.com/azure/container-registry/container-registry-image-lock
    """
    attributes = row.get("changeableAttributes")
    return ListedTag(
        name=row["name"],
        digest=parse_digest(row.get("digest")),
        pushed_at=parse_time(row.get("lastUpdateTime")),
        is_locked=isinstance(attributes, dict) and attributes.get("writeEnabled") is False,
    )


def _tags_path(repository: Repository, size: int) -> str:
    return f"/acr/v1/{repository.name}/_tags?n={size}"


def _metadata(repository: Repository) -> str:
    return f"repository:{repository.name}:metadata_read"
