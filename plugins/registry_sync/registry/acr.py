"""Azure Container Registry: what ``/acr/v1`` adds to ``/v2``, a listing with digests, push times and locks.

https://github.com/Azure/azure-rest-api-specs/tree/main/specification/containerregistry/data-plane (2021-07-01). Listing
takes a right of its own, ``metadata_read``, which ``pull`` does not hold: https://github.com/Azure/acr/issues/675.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RefusedError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RepositoryEntry, TagEntry
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.response import Response
from registry_sync.registry.tag_pages import parse_digest, parse_time

log = logging.getLogger(__name__)

PAGE_SIZE = 100
"""What Azure's own command line asks for. A larger maximum is nowhere documented."""

_NEXT = re.compile(r'<([^>]*)>[^,]*\brel="?next\b')


class AcrClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for ``*.azurecr.io``, ``.cn`` and ``.us``.

    Basic or Bearer is the registry's choice; both take an admin user, a service principal or a scope-map token.
    """

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = True

    def list_repositories(self, namespace: str, *, include_private: bool = False) -> Iterator[RepositoryEntry]:  # noqa: ARG002 - a registry is private or open as a whole
        """Names from the catalog. When they were modified costs a request each, as much as their newest tags.

        :raises ConfigurationError: when our credentials may not read the catalog.
        """
        try:
            for name in self._names(f"/acr/v1/_catalog?n={PAGE_SIZE}", "registry:catalog:*", "repositories"):
                if name.startswith(f"{namespace}/"):
                    yield RepositoryEntry(name=name)
        except (NotFound, DeniedError, RefusedError) as error:
            raise ConfigurationError(
                f"{self._host} does not list its repositories to us; let the credentials read its catalog, or write "
                f"the repositories of {namespace!r} one by one ({error})"
            ) from error

    def list_tags(self, repository: Repository, *, since: datetime | None = None) -> Iterator[TagEntry]:
        """All tags; with ``since``, newest first and no further than that, if the registry keeps the order.

        An anonymous user may be refused here and still be let in at ``/v2``: then tags have names only, and a digest
        costs a HEAD.

        :raises NotFound: when there is no such repository.
        :raises DeniedError: when the credentials may not list tags.
        """
        seen = set[str]()
        for entry in self._tags(repository, since):
            if entry.name not in seen:
                seen.add(entry.name)
                yield entry

    def delete_tag(self, repository: Repository, tag: str, digest: Digest) -> None:  # noqa: ARG002 - it goes alone
        """Delete a tag alone ("untag"); the image stays under its digest. A locked tag is refused.

        A token needs content/delete. ``/v2`` would delete the image with all its tags.
        """
        path = f"/acr/v1/{repository.name}/_tags/{tag}"
        self._transport.call("DELETE", path, scope=f"repository:{repository.name}:delete")

    def _tags(self, repository: Repository, since: datetime | None) -> Iterator[TagEntry]:
        try:
            yield from self._newest_first(repository, since) if since else self._by_name(repository)
        except DeniedError as error:
            if self._transport.endpoint.credentials:
                advice = "to list tags, a token needs metadata/read beside content/read"
                raise DeniedError(f"{error}; {advice}") from error
            log.info("%s lists no digests to an anonymous user, so that each tag takes a HEAD (%s)", repository, error)
            yield from super().list_tags(repository)

    def _by_name(self, repository: Repository) -> Iterator[TagEntry]:
        """Every tag, in an order that pushes meanwhile do not change."""
        for response in self._transport.pages(_tags_path(repository), scope=_metadata(repository)):
            yield from _entries(response)

    def _newest_first(self, repository: Repository, since: datetime) -> Iterator[TagEntry]:
        """Tags down to ``since``. When a page is out of order, or holds a tag without a time, all tags follow by name.

        Times that are all the same do not tell in which direction they go, and never end the reading.
        """
        path, times = f"{_tags_path(repository)}&orderby=timedesc", list[datetime | None]()
        following = partial(_next_in_order, path)
        for response in self._transport.pages(path, scope=_metadata(repository), next_of=following):
            entries = list(_entries(response))
            yield from entries
            times += [each.pushed_at for each in entries]
            if following(response) and not _descend(times):
                log.warning("%s does not list its tags newest first; all are read", repository)
                yield from self._by_name(repository)
                return
            if times and _is_newer(times[0], times[-1]) and _is_newer(since, times[-1]):
                return


def _next_in_order(path: str, response: Response) -> str:
    """The next page, asked for in our own words, and of ``Link`` only ``last``; empty when there is none.

    The links sometimes lose the order (``orderby=``), and by name from there on tags would be left out.
    """
    link = _NEXT.search(response.headers.get("Link", ""))
    if link is None:
        return ""
    last = parse_qs(urlsplit(link[1]).query).get("last")
    return f"{path}&last={quote(last[0], safe='')}" if last else link[1]


def _descend(times: list[datetime | None]) -> bool:
    """Whether there are times, none of them unknown, and none newer than the one before."""
    return bool(times) and None not in times and not any(_is_newer(after, before) for before, after in pairwise(times))


def _is_newer(moment: datetime | None, other: datetime | None) -> bool:
    return moment is not None and other is not None and moment > other


def _entries(response: Response) -> Iterator[TagEntry]:
    """The tags of a page; a repository of untagged manifests has ``null``."""
    document = response.json()
    has_none = isinstance(document, dict) and document.get("tags", ...) is None
    return iter(()) if has_none else map(_entry, response.rows("tags", "name"))


def _entry(row: dict[str, Any]) -> TagEntry:
    """``lastUpdateTime`` is when the tag was made or moved (seven fractional digits, of which six are kept).

    Locks: https://learn.microsoft.com/azure/container-registry/container-registry-image-lock
    """
    attributes = row.get("changeableAttributes")
    return TagEntry(
        name=row["name"],
        digest=parse_digest(row.get("digest")),
        pushed_at=parse_time(row.get("lastUpdateTime")),
        is_locked=isinstance(attributes, dict) and attributes.get("writeEnabled") is False,
    )


def _tags_path(repository: Repository) -> str:
    return f"/acr/v1/{repository.name}/_tags?n={PAGE_SIZE}"


def _metadata(repository: Repository) -> str:
    return f"repository:{repository.name}:metadata_read"
