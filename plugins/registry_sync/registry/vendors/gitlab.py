"""GitLab's container registry: ``/gitlab/v1`` lists tags with digests and times; GitLab's own API lists repositories.

https://gitlab.com/gitlab-org/container-registry/-/blob/master/docs/spec/gitlab/api.md needs the registry's metadata
database, which gitlab.com has. Without it, tags are listed by ``/v2``. GitLab's API lists no digests; the time that it
has for each tag is that of the build: https://gitlab.com/gitlab-org/gitlab/-/issues/398155.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from registry_sync.errors import ConfigurationError, DeniedError, LoginRejected, NotFound, RefusedError
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.tag_pages import parse_digest, parse_time, read_tags
from registry_sync.registry.vendors.vendor_api import BearerSecret, VendorApiClient, nothing_listed
from registry_sync.registry.wire.http_errors import is_web_page
from registry_sync.registry.wire.paging import next_link
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.urls import shown_url

log = logging.getLogger(__name__)

PAGE_SIZE = 1000
"""The maximum of ``/gitlab/v1``."""

SMALL_PAGE_SIZE = 100
"""The page size for the newest tags, which are seldom more; and the maximum of GitLab's API."""

Item = dict[str, Any]


class GitlabClient(VendorApiClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for registry.gitlab.com and self-managed GitLab.

    The credentials are a user name with a personal, group or project access token, or a deploy token. GitLab's API
    takes no deploy tokens.
    """

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True

    def __init__(self, endpoint: Endpoint, *, api_url: str | None = None, **options: Any) -> None:
        super().__init__(endpoint, api_url=api_url or _API_URLS.get(endpoint.host), **options)

    def _api_authenticator(self, endpoint: Endpoint) -> BearerSecret:
        return BearerSecret(endpoint)

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:
        """The repositories of a group with its subgroups, or of a project.

        A repository is public if its project is, and if the project shows its registry to everybody.

        :raises ConfigurationError: when GitLab's address is not known, and when no repository is visible to us.
        """
        if not self._api_url:
            raise ConfigurationError(
                f"{self._host} does not name the GitLab that it belongs to; write its address as api_url, or write the "
                f"repositories of {namespace!r} one by one"
            )
        hidden, listed = 0, 0
        rows, public = self._repositories(namespace, include_private=include_private)
        for row in rows:
            is_private = None if public is None else _number(row, "project_id") not in public
            if not row["path"].startswith(f"{namespace}/"):
                continue
            if is_private:
                hidden += 1
            else:
                listed += 1
                yield ListedRepository(name=row["path"], is_private=is_private)
        if not listed:
            raise nothing_listed(namespace, self._host, hidden, advice="the role of the token in it")

    def _repositories(self, namespace: str, *, include_private: bool) -> tuple[Iterator[Item], set[int] | None]:
        """The repositories of a namespace, and the numbers of its public projects, if only those are wanted.

        :raises ConfigurationError: when GitLab does not list them to us.
        """
        read = partial(self._read, quote(namespace, safe=""), include_private=include_private)
        try:
            try:
                return read("groups")
            except NotFound:
                return read("projects")
        except (NotFound, DeniedError, RefusedError) as error:
            advice = "use an access token with the scopes read_api and read_registry and the role Reporter"
            raise ConfigurationError(
                f"{self._api.base_url} does not list the repositories of {namespace!r}; {advice}, or write them one by "
                f"one ({error})"
            ) from error

    def _read(self, path: str, kind: str, *, include_private: bool) -> tuple[Iterator[Item], set[int] | None]:
        rows = self._rows(f"/api/v4/{kind}/{path}/registry/repositories?", "path")
        return rows, None if include_private else self._public_projects(f"/api/v4/{kind}/{path}", kind)

    def _public_projects(self, path: str, kind: str) -> set[int]:
        """The numbers of the projects of a group, or of one project, whose registry everybody may read."""
        if kind == "projects":
            projects: Iterable[Any] = [self._api.call("GET", path).json()]
        else:
            projects = self._rows(f"{path}/projects?include_subgroups=true&visibility=public&")
        return {number for project in projects if _is_public(project) and (number := _number(project, "id"))}

    def _rows(self, path: str, *fields: str) -> Iterator[Item]:
        """The objects of all pages. The first page is read at once."""
        pages = self._api.pages(f"{path}per_page={SMALL_PAGE_SIZE}")
        first = next(pages).items(*fields)
        return chain(first, chain.from_iterable(response.items(*fields) for response in pages))

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:
        """All tags; with ``since``, newest first and only as far as needed: see :func:`read_tags`.

        :raises NotFound: when the repository does not exist.
        """
        is_begun = False
        try:
            for entry in read_tags(partial(self._tag_pages, repository, since), since=since, where=str(repository)):
                is_begun = True
                yield entry
        except (NotFound, DeniedError, RefusedError) as error:
            if is_begun or isinstance(error, LoginRejected):
                raise
            log.info("%s has no listing with digests; each tag needs a HEAD request (%s)", repository, error)
            yield from super()._list_tags(repository, since=since)

    def _tag_pages(self, repository: Repository, since: datetime | None) -> Iterator[list[ListedTag]]:
        """By name, an order that pushes keep; with ``since``, by time, which older registries refuse."""
        path = f"/gitlab/v1/repositories/{repository.name}/tags/list/"
        if not since:
            return self._pages_of(repository, f"{path}?n={PAGE_SIZE}")
        pages = self._pages_of(repository, f"{path}?n={SMALL_PAGE_SIZE}&sort=-published_at")
        try:
            return chain((next(pages),), pages)
        except RefusedError:
            return self._pages_of(repository, f"{path}?n={PAGE_SIZE}")

    def _pages_of(self, repository: Repository, path: str) -> Iterator[list[ListedTag]]:
        """:raises RefusedError: for a web page, such as of a proxy that sends only ``/v2`` to the registry."""
        scope = f"repository:{repository.name}:pull"
        for response in self._transport.pages(path, scope=scope, next_of=partial(_next, path)):
            if is_web_page(response):
                raise RefusedError(f"{shown_url(response.url)} answered {response.status} with a web page")
            yield [_entry(row) for row in response.items("name")]


_API_URLS = {"registry.gitlab.com": "https://gitlab.com"}
"""The GitLab of a registry, where its host is enough to know it. Credentials are sent to no guessed host."""


def _next(path: str, response: Response) -> str:
    """Our own path with ``last`` from ``Link``; empty after the last page. A link may lack the order."""
    link = next_link(response)
    following = parse_qs(urlsplit(link).query).get("last", [])
    return f"{path}&last={quote(following[-1], safe='')}" if following else link


def _number(row: Item, field: str) -> int | None:
    number = row.get(field)
    return number if isinstance(number, int) else None


def _is_public(project: Any) -> bool:
    """Return whether everybody may read the registry of a project. What GitLab does not tell is not public.

    https://docs.gitlab.com/user/packages/container_registry/#container-registry-visibility-permissions
    """
    wanted = {"visibility": "public", "container_registry_access_level": "enabled"}
    return isinstance(project, dict) and all(project.get(key) == value for key, value in wanted.items())


def _entry(row: Item) -> ListedTag:
    """``published_at`` is the later of ``created_at`` and ``updated_at``. Older registries have only those.

    A tag is updated when it moves to another image.
    """
    times = [parse_time(row.get(key)) for key in ("published_at", "updated_at", "created_at")]
    known = [time for time in times if time]
    return ListedTag(name=row["name"], digest=parse_digest(row.get("digest")), pushed_at=max(known, default=None))
