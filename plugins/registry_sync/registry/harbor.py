"""Harbor 2: its API ``/api/v2.0`` lists digests, push times and immutable tags; manifests go by ``/v2``.

https://github.com/goharbor/harbor/blob/main/api/v2.0/swagger.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from registry_sync.errors import ConfigurationError, NotFound, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.auth import FixedAuthorization
from registry_sync.registry.client import RepositoryEntry, TagEntry
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.response import Response
from registry_sync.registry.tag_pages import parse_digest, parse_time
from registry_sync.registry.transport import MAX_PAGES, Transport, too_many_pages

PAGE_SIZE = 100
"""The most that the API gives."""

Item = dict[str, Any]


class HarborClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for a Harbor of one's own.

    :param api_url: of the API, when it is not at the registry's own address.
    :param requests_per_second: to the API.
    """

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = True

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int = 8,
        api_url: str | None = None,
        requests_per_second: float | None = None,
    ) -> None:
        super().__init__(endpoint, max_connections=max_connections)
        self._credentials = endpoint.credentials
        self._api = Transport(
            endpoint,
            max_connections=max_connections,
            base_url=api_url,
            authenticator=FixedAuthorization(f"Basic {self._credentials.basic()}" if self._credentials else None),
            requests_per_second=requests_per_second,
        )

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._api.close()

    def ping(self) -> None:
        """Check that Harbor answers and accepts our credentials.

        ``/v2/`` refuses anonymous users even where projects are public, and the API answers wrong credentials like no
        credentials: so each user is asked for where the two are told apart.
        """
        if self._credentials:
            super().ping()
        else:
            next(self._pages("/projects", {"with_detail": "false"}, page_size=1))

    def list_repositories(self, namespace: str, *, include_private: bool = False) -> Iterator[RepositoryEntry]:
        """The repositories of a project, or of ``PROJECT/PREFIX``.

        ``update_time`` is not taken for a push time: before Harbor 2.16 pushes do not change it,
        https://github.com/goharbor/harbor/issues/23149.

        :raises ConfigurationError: when there is no such project, or a private one is not wanted.
        """
        project = namespace.partition("/")[0]
        is_private = self._is_private(project)
        if is_private and not include_private:
            raise ConfigurationError(
                f"project {project!r} of {self._host} is private; write include_private: true to mirror it all the same"
            )
        try:
            for items in self._pages(f"/projects/{quote(project, safe='')}/repositories", {}):
                for name in map(_name, items):
                    if name.startswith(f"{namespace}/"):
                        yield RepositoryEntry(name=name, is_private=is_private)
        except NotFound as error:
            advice = "mend the namespace, which begins with a project"
            raise ConfigurationError(f"{self._host} has no project {project!r}; {advice} ({error})") from error

    def list_tags(self, repository: Repository, *, since: datetime | None = None) -> Iterator[TagEntry]:  # noqa: ARG002 - see below
        """All tags; those that only ``/v2`` lists have names only.

        The API leaves out signatures and other accessories, and perhaps what moved while its pages were read.

        Reading never stops at ``since``: artifacts are sorted by their own push time, and a tag that was pushed just
        now may stand at the oldest of them (``Ensure`` in
        https://github.com/goharbor/harbor/blob/main/src/controller/tag/controller.go).

        :raises NotFound: when there is no such repository.
        """
        seen = set[str]()
        for entry in chain(self._tags(repository), self._names_only(repository)):
            if entry.name not in seen:
                seen.add(entry.name)
                yield entry

    def delete_tag(self, repository: Repository, tag: str, digest: Digest) -> None:  # noqa: ARG002 - it goes alone
        """Delete a tag alone; the artifact stays without it. An immutable one is refused."""
        self._api.call("DELETE", f"/api/v2.0{_artifacts_path(repository)}/{tag}/tags/{tag}")

    def _tags(self, repository: Repository) -> Iterator[TagEntry]:
        query = {"q": "tags=*", "with_tag": "true", "with_immutable_status": "true", "sort": "-push_time"}
        for artifacts in self._pages(_artifacts_path(repository), query):
            yield from chain.from_iterable(map(_entries, artifacts))

    def _names_only(self, repository: Repository) -> Iterator[TagEntry]:
        """Without ``n`` Harbor lists them all at once."""
        for name in self._names(f"/v2/{repository.name}/tags/list", f"repository:{repository.name}:pull", "tags"):
            yield TagEntry(name=name)

    def _is_private(self, project: str) -> bool | None:
        """``None`` when Harbor does not tell us, as for a project that we may not see."""
        query = {"q": f"name={project}", "with_detail": "false"}
        for item in next(self._pages("/projects", query)):
            metadata = item.get("metadata")
            if item.get("name") == project and isinstance(metadata, dict) and "public" in metadata:
                return str(metadata["public"]) != "true"
        return None

    def _pages(self, path: str, query: Mapping[str, str], page_size: int = PAGE_SIZE) -> Iterator[list[Item]]:
        """The items of every page, by number: a ``Link`` repeats the path as the last proxy made it, half decoded.

        :raises TemporaryError: when an response is no list, or a page comes twice.
        """
        before, seen = None, 0
        for page in range(1, MAX_PAGES + 1):
            numbers = {"page": page, "page_size": page_size}
            response = self._api.call("GET", f"/api/v2.0{path}?{urlencode({**query, **numbers})}")
            items = _items(response)
            if items and items == before:
                raise TemporaryError(f"{_shown(response)} answers the same page again")
            yield items
            before, seen = items, seen + len(items)
            if not items or not _goes_on(response, seen, is_full=len(items) >= page_size):
                return
        raise too_many_pages(f"{self._host}{path}")


def _items(response: Response) -> list[Item]:
    items = response.json()
    if not (isinstance(items, list) and all(isinstance(each, dict) for each in items)):
        raise TemporaryError(f"{_shown(response)} answered {response.status} without a list")
    return items


def _goes_on(response: Response, seen: int, *, is_full: bool) -> bool:
    """Whether there is a next page, by ``Link`` or else by ``X-Total-Count``; without both, behind a full page."""
    total = response.headers.get("X-Total-Count", "")
    if 'rel="next"' in response.headers.get("Link", ""):
        return True
    if total.isdecimal() and len(total) < 20:
        return seen < int(total)
    return is_full and "Link" not in response.headers


def _artifacts_path(repository: Repository) -> str:
    """Slashes are encoded twice, since proxies on the way decode once.

    :raises ConfigurationError: when the name has no project.
    """
    project, _, name = repository.name.partition("/")
    if not name:
        raise ConfigurationError(f"{repository} is no repository of Harbor, whose names are PROJECT/NAME")
    return f"/projects/{quote(project, safe='')}/repositories/{quote(quote(name, safe=''), safe='')}/artifacts"


def _entries(artifact: Item) -> Iterator[TagEntry]:
    """The tags of an artifact; they have push times of their own, which moving a tag renews."""
    digest = parse_digest(artifact.get("digest"))
    tags = artifact.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(each, dict) for each in tags):
        raise TemporaryError("Harbor lists an artifact whose tags are no list")
    for raw in tags:
        yield TagEntry(
            name=_name(raw),
            digest=digest,
            pushed_at=parse_time(raw.get("push_time")),
            is_locked=raw.get("immutable") is True,
        )


def _name(item: Item) -> str:
    """:raises TemporaryError: when what Harbor lists has no name."""
    name = item.get("name")
    if not isinstance(name, str):
        raise TemporaryError(f"Harbor lists something without a name, only {sorted(item)[:10]}")
    return name


def _shown(response: Response) -> str:
    return response.url.partition("?")[0]
