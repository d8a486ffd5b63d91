"""Harbor 2: its API ``/api/v2.0`` lists digests, push times and immutable tags; manifests use ``/v2``.

https://github.com/goharbor/harbor/blob/main/api/v2.0/swagger.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RefusedError, TemporaryError
from registry_sync.oci.manifest import Manifest, merge_indexes
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.name_listing import names_of_page
from registry_sync.registry.tag_pages import parse_digest, parse_time
from registry_sync.registry.vendors.vendor_api import BasicLogin, VendorApiClient
from registry_sync.registry.wire.paging import MAX_PAGES, get_page, next_link, too_many_pages
from registry_sync.registry.wire.response import Response, whole_number
from registry_sync.registry.wire.urls import shown_url

PAGE_SIZE = 100
"""The maximum of the API."""

Item = dict[str, Any]


class HarborClient(VendorApiClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for a self-hosted Harbor."""

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = True
    may_proxy: ClassVar[bool] = True

    def __init__(self, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(endpoint, **options)
        self._projects: dict[str, Item | None] = {}
        self._pull_refusals: dict[Repository, str] = {}
        self._without_accessories: dict[Repository, set[Digest]] = {}

    def _api_authenticator(self, endpoint: Endpoint) -> BasicLogin:
        return BasicLogin(endpoint)

    def ping(self) -> None:
        """Check that Harbor responds and accepts our credentials.

        ``/v2/`` denies anonymous users even with public projects, and the API treats wrong credentials as none. Each
        kind of user is therefore checked at the endpoint that tells them apart.
        """
        if self._credentials:
            super().ping()
        else:
            next(self._pages("/projects", {"with_detail": "false"}, page_size=1))

    def head_manifest(
        self, repository: Repository, target: str | Digest, *, is_expected: bool = False
    ) -> Digest | None:
        """The digest of a tag (or digest), or ``None`` when it does not exist.

        A project's policy may refuse pulls of what is there: images that are not signed, or vulnerable, or not scanned
        yet (412). The API is not subject to it. Harbor's reason is kept for :meth:`notes`.
        """
        try:
            return super().head_manifest(repository, target, is_expected=is_expected)
        except RefusedError as error:
            try:
                digest = self._artifact_digest(repository, target)
            except NotFound:
                return None
            except (DeniedError, RefusedError):
                raise error from None
            self._pull_refusals[repository] = str(error)
            return digest

    def notes(self, repository: Repository, *, is_changed: bool) -> tuple[str, ...]:  # noqa: ARG002 - Quay's
        """Harbor's reason, when the repository's project lets nobody pull some of its images."""
        refusal = self._pull_refusals.get(repository)
        return (f"{repository} holds images that Harbor lets nobody pull: {refusal}",) if refusal else ()

    def write_fault(self, repository: Repository) -> str:
        """A proxy cache takes no pushes, and answers reads with what its upstream has.

        :raises DeniedError: when the API does not tell. Images of the upstream would then count as published.
        """
        project = repository.name.partition("/")[0]
        try:
            is_proxy = bool((self._project(project) or {}).get("registry_id"))
        except (DeniedError, NotFound, RefusedError) as error:
            advice = "permit requests to /api/v2.0, or write kind: distribution"
            raise DeniedError(f"it is not known whether {project!r} is a proxy cache; {advice} ({error})") from error
        if is_proxy:
            return f"project {project!r} of {self._host} is a proxy cache, which takes no pushes; use another project"
        return ""

    def list_referrers(self, repository: Repository, subject: Digest) -> Manifest | None:
        """The referrers of a digest, without a request for one that was listed without accessories."""
        if subject in self._without_accessories.get(repository, ()):
            return merge_indexes([])
        return super().list_referrers(repository, subject)

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:
        """The repositories of a project, or of ``PROJECT/PREFIX``.

        ``update_time`` is not used as a push time: before Harbor 2.16 pushes do not change it,
        https://github.com/goharbor/harbor/issues/23149.

        :raises ConfigurationError: when the project does not exist, or is private without ``include_private``, or not
            known to be public.
        """
        project = namespace.partition("/")[0]
        is_private = _is_private(self._project(project))
        if is_private and not include_private:
            raise ConfigurationError(
                f"project {project!r} of {self._host} is private; write include_private: true to mirror it"
            )
        try:
            for items in self._pages(f"/projects/{quote(project, safe='')}/repositories", {}):
                if is_private is None and not include_private:
                    raise ConfigurationError(
                        f"{self._host} does not report whether project {project!r} is public; write include_private: "
                        "true to mirror it"
                    )
                for name in map(_name, items):
                    if name.startswith(f"{namespace}/"):
                        yield ListedRepository(name=name, is_private=is_private)
        except NotFound as error:
            advice = "fix the namespace, which begins with a project"
            raise ConfigurationError(f"{self._host} has no project {project!r}; {advice} ({error})") from error

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:  # noqa: ARG002 - see below
        """All tags. Tags that only ``/v2`` lists have names only.

        The API omits signatures and other accessories, and may omit entries that moved while its pages were read.

        Reading never stops at ``since``: artifacts are sorted by their own push time, and a tag pushed just now may be
        on the oldest artifact (``Ensure`` in
        https://github.com/goharbor/harbor/blob/main/src/controller/tag/controller.go).

        :raises NotFound: when the repository does not exist.
        """
        seen = set[str]()
        for entry in chain(self._tags(repository), self._names_only(repository)):
            if entry.name not in seen:
                seen.add(entry.name)
                yield entry

    def delete_tag(self, repository: Repository, tag: str) -> None:
        """Delete only this tag; the artifact stays. Immutable tags are refused."""
        self._api.call("DELETE", f"/api/v2.0{_artifacts_path(repository)}/{tag}/tags/{tag}")

    def _tags(self, repository: Repository) -> Iterator[ListedTag]:
        """The tags, and which artifacts have no accessories, for :meth:`list_referrers`."""
        query = {"q": "tags=*", "with_tag": "true", "with_immutable_status": "true", "sort": "-push_time"}
        without_accessories = set[Digest]()
        for artifacts in self._pages(_artifacts_path(repository), {**query, "with_accessory": "true"}):
            without_accessories |= {digest for digest in map(_digest_without_accessories, artifacts) if digest}
            yield from chain.from_iterable(map(_entries, artifacts))
        self._without_accessories[repository] = without_accessories

    def _names_only(self, repository: Repository) -> Iterator[ListedTag]:
        """All names in one response, which Harbor returns without ``n``."""
        path, scope = f"/v2/{repository.name}/tags/list", f"repository:{repository.name}:pull"
        for response in self._transport.pages(path, scope=scope):
            for name in names_of_page(response, "tags"):
                yield ListedTag(name=name)

    def _project(self, name: str) -> Item | None:
        """A project with its metadata, which ``with_detail=false`` would omit; ``None`` when it is hidden from us."""
        if name not in self._projects:
            items = chain.from_iterable(self._pages("/projects", {"q": f"name={name}"}))
            self._projects[name] = next((item for item in items if item.get("name") == name), None)
        return self._projects[name]

    def _artifact_digest(self, repository: Repository, target: str | Digest) -> Digest:
        """The digest of a tag (or digest) by the API. :raises NotFound: when the artifact does not exist."""
        path = f"/api/v2.0{_artifacts_path(repository)}/{quote(str(target), safe=':')}"
        response = self._api.call("GET", f"{path}?{urlencode({'with_tag': 'false'})}")
        document = response.json()
        digest = parse_digest(document.get("digest")) if isinstance(document, dict) else None
        if digest is None:
            raise TemporaryError(f"{shown_url(response.url)} answered {response.status} without a digest")
        return digest

    def _pages(self, path: str, query: Mapping[str, str], page_size: int = PAGE_SIZE) -> Iterator[list[Item]]:
        """The items of every page, by page number. ``Link`` is not used: proxies half-decode its path.

        :raises TemporaryError: when a response is not a list, or a page is repeated.
        """
        before, seen = None, 0
        for page in range(1, MAX_PAGES + 1):
            numbers = {"page": page, "page_size": page_size}
            url = f"/api/v2.0{path}?{urlencode({**query, **numbers})}"
            response = get_page(partial(self._api.call, "GET"), url, page)
            items = response.items()
            if items and items == before:
                raise TemporaryError(f"{shown_url(response.url)} answers the same page again")
            yield items
            before, seen = items, seen + len(items)
            if not items or not _has_next_page(response, seen, is_full=len(items) >= page_size):
                return
        raise too_many_pages(f"{self._host}{path}")


def _is_private(project: Item | None) -> bool | None:
    """``None`` when Harbor does not report it, such as for a project that is hidden from us."""
    metadata = project.get("metadata") if project else None
    public = metadata.get("public") if isinstance(metadata, dict) else None
    return {"true": False, "false": True}.get(str(public).lower())


def _digest_without_accessories(artifact: Item) -> Digest | None:
    """The digest of an artifact to which nothing refers; ``None`` for others, and where Harbor does not report it."""
    return parse_digest(artifact.get("digest")) if artifact.get("accessories", ...) in (None, []) else None


def _has_next_page(response: Response, seen: int, *, is_full: bool) -> bool:
    """Use ``Link``, else ``X-Total-Count``; without both, a full page is followed by another."""
    if next_link(response):
        return True
    if (total := whole_number(response.headers.get("X-Total-Count", ""))) is not None:
        return seen < total
    return is_full and "Link" not in response.headers


def _artifacts_path(repository: Repository) -> str:
    """Slashes are encoded twice, because proxies decode once.

    :raises ConfigurationError: when the name has no project.
    """
    project, _, name = repository.name.partition("/")
    if not name:
        raise ConfigurationError(f"{repository} is not a valid Harbor repository, whose name is PROJECT/NAME")
    return f"/projects/{quote(project, safe='')}/repositories/{quote(quote(name, safe=''), safe='')}/artifacts"


def _entries(artifact: Item) -> Iterator[ListedTag]:
    """The tags of an artifact. Each tag has its own push time, which changes when the tag is moved."""
    digest = parse_digest(artifact.get("digest"))
    tags = artifact.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, dict) for tag in tags):
        raise TemporaryError("Harbor returned an artifact without a valid list of tags")
    for tag in tags:
        yield ListedTag(
            name=_name(tag),
            digest=digest,
            pushed_at=parse_time(tag.get("push_time")),
            is_locked=tag.get("immutable") is True,
        )


def _name(item: Item) -> str:
    """:raises TemporaryError: when an item of a listing has no name."""
    name = item.get("name")
    if not isinstance(name, str):
        raise TemporaryError(f"Harbor returned an item without a name, only {sorted(item)[:10]}")
    return name
