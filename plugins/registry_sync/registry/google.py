"""Google Container Registry and Artifact Registry: ``tags/list`` tells digests and upload times by itself.

The extension is described by https://github.com/google/go-containerregistry/blob/main/pkg/v1/google/list.go. A registry
that leaves it out is read as any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from registry_sync.errors import DeniedError, NotFound, RefusedError, TemporaryError
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import RepositoryEntry, TagEntry
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.response import Response
from registry_sync.registry.tag_pages import parse_digest, parse_time
from registry_sync.registry.transport import MAX_PAGES, too_many_pages

PAGE_SIZE = 10_000
"""What Google's own tools ask for, which is one page for nearly every repository."""


class GoogleClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for ``gcr.io`` and ``*-docker.pkg.dev``."""

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = True

    def list_repositories(self, namespace: str, *, include_private: bool = False) -> Iterator[RepositoryEntry]:
        """The repositories below ``namespace`` at any depth, for one request each; or the catalog if there is no tree.

        :raises ConfigurationError: when there is neither.
        """
        try:
            pages = list(self._pages(namespace))
        except (NotFound, DeniedError, RefusedError):
            pages = []
        if not any("child" in page for page in pages):
            yield from super().list_repositories(namespace, include_private=include_private)
            return
        waiting = _children(namespace, pages)
        for number, name in enumerate(waiting):
            if number >= MAX_PAGES:
                raise too_many_pages(f"{self._host}, namespace {namespace!r}")
            pages = list(self._pages(name))
            waiting += _children(name, pages)
            if any(page.get("manifest") or page.get("tags") for page in pages):
                yield RepositoryEntry(name=name)

    def list_tags(self, repository: Repository, *, since: datetime | None = None) -> Iterator[TagEntry]:
        """All tags. With ``since``, a tag whose content was uploaded earlier has an unknown push time.

        The times are those of the content. A tag that is moved to older content does not change them, so that such a
        time only says that the tag was not pushed before.

        :raises NotFound: when there is no such repository, or when it only holds others.
        """
        seen = set[str]()
        for page in self._pages(repository.name):
            entries = _entries(page, since)
            if not (seen or entries) and (children := _children(repository.name, [page])):
                raise NotFound(f"{repository} holds no image itself, but {', '.join(map(repr, children[:3]))}")
            yield from (each for name, each in entries.items() if name not in seen)
            seen.update(entries)

    def _pages(self, name: str) -> Iterator[Page]:
        path = f"/v2/{name}/tags/list?n={PAGE_SIZE}"
        return map(_page, self._transport.pages(path, scope=f"repository:{name}:pull"))


Page = dict[str, Any]
"""A page of ``tags/list``: ``tags``, and with the extension ``manifest`` (digest to tags and times) and ``child``."""


def _page(response: Response) -> Page:
    page = response.json()
    if not (isinstance(page, dict) and {"tags", "manifest"} & page.keys() and _is_sound(page)):
        raise TemporaryError(f"{response.url.partition('?')[0]} answered {response.status} without a list of tags")
    return page


def _is_sound(page: Page) -> bool:
    lists = [page.get("tags"), page.get("child")]
    manifests = page.get("manifest") or {}
    if isinstance(manifests, dict):
        lists += [each.get("tag") if isinstance(each, dict) else 0 for each in manifests.values()]
    return isinstance(manifests, dict) and all(
        each is None or (isinstance(each, list) and all(isinstance(name, str) for name in each)) for each in lists
    )


def _children(parent: str, pages: list[Page]) -> list[str]:
    return [f"{parent}/{name}" for page in pages for name in page.get("child") or ()]


def _entries(page: Page, since: datetime | None) -> dict[str, TagEntry]:
    """Tags by name. One that the page only names has no digest and no time."""
    entries = {name: TagEntry(name=name) for name in page.get("tags") or ()}
    for text, raw in (page.get("manifest") or {}).items():
        digest, uploaded_at = parse_digest(text), _uploaded_at(raw)
        pushed_at = None if uploaded_at and since and uploaded_at < since else uploaded_at
        names = raw.get("tag") or ()
        entries.update({name: TagEntry(name=name, digest=digest, pushed_at=pushed_at) for name in names})
    return entries


def _uploaded_at(raw: Mapping[str, Any]) -> datetime | None:
    """``timeUploadedMs``, milliseconds since 1970 in a string; ``"0"`` is unknown."""
    text = str(raw.get("timeUploadedMs", ""))
    return parse_time(int(text) / 1000) if text.isascii() and text.isdigit() and len(text) < 20 else None
