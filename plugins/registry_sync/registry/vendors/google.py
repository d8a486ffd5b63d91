"""Google Container Registry and Artifact Registry: ``tags/list`` includes digests and upload times.

The extension is described in https://github.com/google/go-containerregistry/blob/main/pkg/v1/google/list.go. A
listing without it is read like that of any other registry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from registry_sync.errors import DeniedError, NotFound, RefusedError, TemporaryError
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.tag_pages import parse_digest, parse_time
from registry_sync.registry.wire.paging import MAX_PAGES, too_many_pages
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.urls import shown_url

PAGE_SIZE = 10_000
"""The page size of Google's own tools: one page for nearly every repository."""


class GoogleClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for ``gcr.io`` and ``*-docker.pkg.dev``."""

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = True

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:
        """The repositories below ``namespace`` at any depth, with one request each; else those in the catalog.

        :raises ConfigurationError: when the registry offers neither.
        """
        try:
            pages = list(self._pages(namespace))
        except (NotFound, DeniedError, RefusedError):
            pages = []
        if not any("child" in page for page in pages):
            yield from super()._list_repositories(namespace, include_private=include_private)
            return
        queue = _children(namespace, pages)
        for number, name in enumerate(queue):
            if number >= MAX_PAGES:
                raise too_many_pages(f"{self._host}, namespace {namespace!r}")
            pages = list(self._pages(name))
            queue += _children(name, pages)
            if any(page.get("manifest") or page.get("tags") for page in pages):
                yield ListedRepository(name=name)

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:
        """All tags, each with the upload time of its content.

        :raises NotFound: when the repository does not exist, or only contains other repositories.
        """
        seen = set[str]()
        for number, page in enumerate(self._pages(repository.name)):
            if number == 0 and not {"manifest", "child"} & page.keys():
                yield from super()._list_tags(repository, since=since)
                return
            entries = _entries(page)
            if not (seen or entries) and (children := _children(repository.name, [page])):
                shown = ", ".join(map(repr, children[:3]))
                raise NotFound(f"{repository} holds no images itself, only the repositories {shown}")
            yield from (entry for name, entry in entries.items() if name not in seen)
            seen.update(entries)

    def _pages(self, name: str) -> Iterator[Page]:
        path = f"/v2/{name}/tags/list?n={PAGE_SIZE}"
        return map(_page, self._transport.pages(path, scope=f"repository:{name}:pull"))


Page = dict[str, Any]
"""A page of ``tags/list``: ``tags``, and with the extension ``manifest`` (digest to tags and times) and ``child``."""


def _page(response: Response) -> Page:
    page = response.json()
    if not (isinstance(page, dict) and {"tags", "manifest"} & page.keys() and _is_valid(page)):
        raise TemporaryError(f"{shown_url(response.url)} answered {response.status} without a list of tags")
    return page


def _is_valid(page: Page) -> bool:
    lists = [page.get("tags"), page.get("child")]
    manifests = page.get("manifest") or {}
    if isinstance(manifests, dict):
        lists += [raw.get("tag") if isinstance(raw, dict) else 0 for raw in manifests.values()]
    return isinstance(manifests, dict) and all(
        names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names)) for names in lists
    )


def _children(parent: str, pages: list[Page]) -> list[str]:
    return [f"{parent}/{name}" for page in pages for name in page.get("child") or ()]


def _entries(page: Page) -> dict[str, ListedTag]:
    """Tags by name. Tags outside ``manifest`` have no digest and no time."""
    entries = {name: ListedTag(name=name) for name in page.get("tags") or ()}
    for text, raw in (page.get("manifest") or {}).items():
        digest, pushed_at = parse_digest(text), _uploaded_at(raw)
        for name in raw.get("tag") or ():
            entries[name] = ListedTag(name=name, digest=digest, pushed_at=pushed_at, is_image_time=True)
    return entries


def _uploaded_at(raw: Mapping[str, Any]) -> datetime | None:
    """``timeUploadedMs``, milliseconds since 1970 in a string; ``"0"`` is unknown."""
    text = str(raw.get("timeUploadedMs", ""))
    return parse_time(int(text) / 1000) if text.isascii() and text.isdigit() and len(text) < 20 else None
