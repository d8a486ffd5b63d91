"""GitHub's container registry: its packages API lists images with tags and times; manifests use ``/v2``.

https://docs.github.com/en/rest/packages/packages. A *version* of a package is a manifest: its name is the digest, and
it holds all tags of that image. The platforms and attestations of an image are versions without tags.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import quote

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RefusedError, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.tag_pages import parse_digest, parse_time
from registry_sync.registry.vendors.vendor_api import BearerSecret, VendorApiClient
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.urls import shown_url

log = logging.getLogger(__name__)

PAGE_SIZE = 100
"""The maximum of the API."""

Item = dict[str, Any]


class GhcrClient(VendorApiClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for ghcr.io and GitHub Enterprise.

    The API takes classic personal access tokens with ``read:packages`` only. Without one, also for public packages,
    tags have names only.
    """

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    api_requests_per_second: ClassVar[float | None] = 10.0
    """GitHub allows 900 reads per minute and login, and 5,000 per hour:
    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""

    def __init__(self, endpoint: Endpoint, *, api_url: str | None = None, **options: Any) -> None:
        super().__init__(endpoint, api_url=api_url or api_url_of(endpoint.host), **options)
        self._owners: dict[str, str] = {}
        self._versions: dict[Repository, dict[Digest, int]] = {}
        self._refusals: dict[Repository, str] = {}

    def _api_authenticator(self, endpoint: Endpoint) -> BearerSecret:
        return BearerSecret(endpoint)

    def notes(self, repository: Repository, *, is_changed: bool) -> tuple[str, ...]:  # noqa: ARG002 - Quay's
        """GitHub's reason, when its API does not list the images to a login."""
        refusal = self._refusals.get(repository)
        return (_refusal_text(repository, refusal),) if refusal else ()

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:
        """The container packages of an organisation or user, or those below ``OWNER/PREFIX``.

        ``updated_at`` is not used as a push time: it is not documented that a moved tag changes it.

        :raises ConfigurationError: without a login, and when no package is visible to us.
        """
        if not self._credentials:
            raise ConfigurationError(f"{self._host} lists packages only to a login; {_advice(namespace)}")
        hidden, listed = 0, 0
        for item in self._packages(namespace):
            entry = _repository(namespace, item)
            if not entry.name.startswith(f"{namespace}/"):
                continue
            if entry.is_private and not include_private:
                hidden += 1
            else:
                listed += 1
                yield entry
        if not listed:
            raise ConfigurationError(f"namespace {namespace!r} of {self._host} has no {_missing_packages(hidden)}")

    def _packages(self, namespace: str) -> Iterator[Item]:
        """:raises ConfigurationError: when GitHub does not list the owner's packages to us."""
        owner, query = namespace.partition("/")[0], f"packages?package_type=container&per_page={PAGE_SIZE}"
        try:
            pages = self._owned_pages(owner, query)
        except (NotFound, DeniedError, RefusedError) as error:
            advice = _advice(namespace)
            raise ConfigurationError(
                f"{self._host} does not list the packages of {owner!r}; {advice} ({error})"
            ) from error
        for response in pages:
            yield from response.items("name", "visibility")

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:  # noqa: ARG002 - the times are those of images
        """All tags, each with the time at which its image was pushed first.

        :raises NotFound: when the repository does not exist.
        """
        pages = self._version_pages(repository)
        if pages is None:
            yield from self._list_names(repository)
            return
        seen = set[str]()
        for version in self._read_versions(repository, pages):
            for entry in _entries(version):
                if entry.name not in seen:
                    seen.add(entry.name)
                    yield entry

    def _list_names(self, repository: Repository) -> Iterator[ListedTag]:
        """The tags by name only. The API's refusal counts once ``/v2`` has shown that the repository exists."""
        refusal = self._refusals.pop(repository, "")
        yield from super()._list_tags(repository, since=None)
        if refusal:
            self._refusals[repository] = refusal
            log.warning("%s", _refusal_text(repository, refusal))

    def _version_pages(self, repository: Repository) -> Iterator[Response] | None:
        """The pages of versions; ``None`` where the API does not list them to us, and ``/v2`` may."""
        if not self._credentials:
            return None
        owner, _, name = repository.name.partition("/")
        try:
            return self._owned_pages(owner, f"packages/container/{quote(name, safe='')}/versions?per_page={PAGE_SIZE}")
        except (NotFound, DeniedError, RefusedError) as error:
            self._refusals[repository] = str(error)
            return None

    def _owned_pages(self, owner: str, path: str) -> Iterator[Response]:
        """The pages of a listing that an organisation and a user have at different paths. The first one is read.

        :raises RegistrySyncError: the error of the first page.
        """
        if owner not in self._owners:
            try:
                return self._begin("orgs", owner, path)
            except NotFound:
                return self._begin("users", owner, path)
        return self._begin(self._owners[owner], owner, path)

    def _begin(self, kind: str, owner: str, path: str) -> Iterator[Response]:
        """Read the first page, and keep the kind of the owner."""
        pages = self._api.pages(self._path(kind, owner, path))
        first = next(pages)
        self._owners[owner] = kind
        return chain((first,), pages)

    def _path(self, kind: str, owner: str, path: str) -> str:
        return f"{api_path(self._api.base_url)}/{kind}/{quote(owner, safe='')}/{path}"

    def _read_versions(self, repository: Repository, pages: Iterator[Response]) -> Iterator[Item]:
        """Every version once. Pages are numbered, so a push in the meantime moves a version to the next page.

        The first page is then read again. GitHub documents no order, so no listing ends early.

        :raises TemporaryError: when a page has nothing new and is followed by another.
        """
        ids, has_moved, brings_new = self._versions.setdefault(repository, {}), False, True
        seen = set[str]()
        for response in pages:
            if not brings_new:
                raise TemporaryError(f"{shown_url(response.url)}: the listing of versions repeats itself")
            items = response.items("name")
            new = [item for item in items if item["name"] not in seen]
            has_moved, brings_new = has_moved or len(new) < len(items), bool(new)
            for item in new:
                seen.add(item["name"])
                if (digest := parse_digest(item["name"])) and isinstance(item.get("id"), int):
                    ids[digest] = item["id"]
                yield item
        if has_moved and (again := self._version_pages(repository)):
            yield from (item for item in next(again).items("name") if item["name"] not in seen)

    def delete_tag(self, repository: Repository, tag: str) -> None:
        """Refuse, because GitHub deletes images only with all their tags.

        :raises RefusedError: always.
        """
        raise RefusedError(f"GitHub deletes images with all their tags, and not {repository}:{tag} alone")

    def _delete(self, repository: Repository, target: str | Digest) -> None:
        """Delete the version of a digest.

        https://docs.github.com/en/rest/packages/packages#delete-a-package-version-for-an-organization

        :raises DeniedError: also without a login.
        """
        if fault := self.delete_fault():
            raise DeniedError(fault)
        owner, _, name = repository.name.partition("/")
        number = self._version_id(repository, Digest.parse(str(target)))
        path = self._path(self._owners[owner], owner, f"packages/container/{quote(name, safe='')}/versions/{number}")
        self._api.call("DELETE", path)

    def delete_fault(self) -> str:
        """Deletion is a call of the API, which needs a login."""
        if self._credentials:
            return ""
        return f"deleting tags at {self._host} needs a classic personal access token with delete:packages"

    def _version_id(self, repository: Repository, digest: Digest) -> int:
        """The number of the version, from the listing that was read before, else from a new one.

        :raises DeniedError: when the API does not list the versions to us.
        :raises NotFound: when there is no such version.
        """
        if digest not in self._versions.get(repository, {}):
            pages = self._version_pages(repository)
            if pages is None:
                refusal = self._refusals[repository]
                raise DeniedError(
                    f"{repository}: GitHub does not list its versions, so none can be deleted ({refusal})"
                )
            for _ in self._read_versions(repository, pages):
                pass
        try:
            return self._versions[repository][digest]
        except KeyError:
            raise NotFound(f"{repository}@{digest} does not exist") from None


def api_url_of(host: str) -> str | None:
    """The usual address of the API for a registry; ``None`` where the host does not determine it.

    https://docs.github.com/en/enterprise-server/packages/working-with-a-github-packages-registry/working-with-the-container-registry,
    https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency/network-details-for-ghecom.

    >>> api_url_of("ghcr.io"), api_url_of("containers.acme.ghe.com"), api_url_of("containers.github.example")
    ('https://api.github.com', 'https://api.acme.ghe.com', 'https://github.example')
    """
    name = host.lower()
    if name == "ghcr.io":
        return "https://api.github.com"
    server = name.removeprefix("containers.")
    if server == name:
        return None
    return f"https://api.{server}" if server.endswith(".ghe.com") else f"https://{server}"


def api_path(url: str) -> str:
    """The path before those of the API's definition. GitHub Enterprise Server has no host of its own for the API.

    >>> api_path("https://api.github.com"), api_path("https://github.example")
    ('', '/api/v3')
    """
    return "" if re.match("https?://api[.]", url) else "/api/v3"


def _refusal_text(repository: Repository, refusal: str) -> str:
    advice = "give the login a classic personal access token with read:packages"
    return f"tags of {repository} are listed without digests and times; {advice} ({refusal})"


def _advice(namespace: str) -> str:
    return (
        "use a classic personal access token with read:packages as password, or write the repositories of "
        f"{namespace!r} one by one"
    )


def _missing_packages(hidden: int) -> str:
    if hidden:
        return f"public package, and {hidden} private ones; write include_private: true to mirror those"
    return "container package that we may see; check its name, and the access of the token's user to them"


def _repository(namespace: str, item: Item) -> ListedRepository:
    """Packages of the visibility ``internal`` are private. The owner is written as in the mirrors file."""
    owner = namespace.partition("/")[0]
    return ListedRepository(name=f"{owner}/{item['name']}", is_private=item["visibility"] != "public")


def _entries(version: Item) -> Iterator[ListedTag]:
    """The tags of a version.

    :raises TemporaryError: when it does not say which tags it has.
    """
    created_at = parse_time(version.get("created_at"))
    for tag in _tags(version):
        yield ListedTag(name=tag, digest=parse_digest(version["name"]), pushed_at=created_at, is_image_time=True)


def _tags(version: Item) -> list[str]:
    """:raises TemporaryError: when the version does not say which tags it has."""
    try:
        tags = version["metadata"]["container"]["tags"]
    except (KeyError, TypeError):
        tags = None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise TemporaryError(f"GitHub returned a version without a list of tags: {version['name'][:80]!r}")
    return tags
