"""Quay: API v1 lists repositories, and tags with digests and push times; manifests use ``/v2``.

https://docs.quay.io/api/. The actual behaviour is in ``endpoints/api`` of https://github.com/quay/quay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlencode

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    NotFound,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import CredentialSource, Endpoint
from registry_sync.registry.tag_pages import parse_digest, parse_time, read_tags
from registry_sync.registry.vendors.vendor_api import VendorApiClient, nothing_listed
from registry_sync.registry.wire.auth import FixedAuthorization
from registry_sync.registry.wire.paging import MAX_PAGES, get_page, too_many_pages
from registry_sync.registry.wire.response import Response

log = logging.getLogger(__name__)

OAUTH_USER = "$oauthtoken"
"""The user name whose password is an OAuth token, at ``/v2/auth``. The API accepts only such tokens: robot accounts are
anonymous to it."""

PAGE_SIZE = 100
"""The maximum. Larger values are silently reduced, and were rejected for a time:
https://github.com/google/go-containerregistry/issues/1963."""


MAX_EXPIRING_IN_NOTE = 10


class QuayClient(VendorApiClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for quay.io and self-hosted Quay."""

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = True
    names_per_page: ClassVar[int] = PAGE_SIZE
    api_requests_per_second: ClassVar[float | None] = 4.0
    """quay.io allows 5 per second and IP address, with bursts of 25, and beyond that answers 429 without a delay:
    https://github.com/quay/quay/blob/master/conf/nginx/rate-limiting.conf.jnj"""
    v2_requests_per_second: ClassVar[float | None] = 40.0
    """Quay allows 50 requests for manifests per second and IP address, with bursts of 10. skopeo uses up a part."""

    def __init__(self, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(endpoint, **options)
        self._expiring: dict[Repository, dict[str, datetime]] = {}

    def _api_authenticator(self, endpoint: Endpoint) -> FixedAuthorization:
        token = _oauth_token(endpoint.credentials)
        return FixedAuthorization(f"Bearer {token}" if token else None)

    def ping(self) -> None:
        """Check that Quay responds and accepts our credentials.

        Anonymous users cannot log in at ``/v2/`` (Quay issues no token without a scope), so the API is called instead.
        """
        if self._credentials:
            super().ping()
        else:
            self._ping_api()

    def granted_actions(self, repository: Repository) -> None:
        """``None``: Quay creates a repository when a token for pushing to it is requested."""

    def _ping_api(self) -> None:
        try:
            self._api.call("GET", f"/api/v1/repository?{urlencode({'namespace': 'library', 'public': 'true'})}")
        except (NotFound, RefusedError) as error:
            raise ConfigurationError(f"{self._api.base_url} does not answer like Quay's API: {error}") from error

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:
        """The repositories in ``namespace`` that hold images, with the time of the last push to each.

        :raises ConfigurationError: when none is visible to us, or private ones are requested without a token.
        :raises DeniedError: when Quay ignores our token.
        :raises TemporaryError: when Quay restarts the listing.
        """
        if include_private and not _oauth_token(self._credentials):
            advice = f"use {OAUTH_USER!r} and an OAuth token with the scope repo:read as login and password"
            raise ConfigurationError(f"{self._host} lists private repositories only for OAuth tokens; {advice}")
        hidden, listed = 0, 0
        for entry in self._repositories(namespace):
            if entry.is_private and not include_private:
                hidden += 1
            else:
                listed += 1
                yield entry
        if not listed:
            raise nothing_listed(
                namespace, self._host, hidden, advice="that its repositories are public or the token may read them"
            )

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:
        """All tags; with ``since``, newest first and only as far as needed: see :func:`read_tags`.

        A robot account may read a private repository at ``/v2`` but not in the API. Its tags then have names only.

        :raises NotFound: when the repository does not exist, in a namespace of ours.
        :raises DeniedError: when the repository is private or does not exist; Quay does not distinguish the two.
        """
        try:
            yield from read_tags(lambda: self._tag_pages(repository), since=since, where=str(repository))
        except DeniedError as error:
            if _oauth_token(self._credentials) or not self._credentials:
                raise DeniedError(f"{repository} is missing or not permitted, {self._advice()} ({error})") from error
            log.info("%s has no public listing; each tag needs a HEAD request (%s)", repository, error)
            yield from super()._list_tags(repository, since=since)

    def delete_tag(self, repository: Repository, tag: str) -> None:
        """Delete only this tag. Quay keeps it in the namespace's time machine, for two weeks by default.

        :raises DeniedError: also without an OAuth token, because robot accounts are anonymous to the API.
        """
        if fault := self.delete_fault():
            raise DeniedError(fault)
        self._api.call("DELETE", f"/api/v1/repository/{repository.name}/tag/{tag}")

    def delete_fault(self) -> str:
        """Robot accounts are anonymous to the API, which deletes tags."""
        if _oauth_token(self._credentials):
            return ""
        return f"deleting tags at {self._host} needs {OAUTH_USER!r} and an OAuth token with the scope repo:write"

    def write_fault(self, repository: Repository) -> str:
        """A repository that is read-only or mirrored by Quay itself, or whose organisation does not exist.

        A private repository is hidden from robot accounts, which are anonymous to the API: its state is then unknown.
        """
        try:
            row = self._api.call("GET", f"/api/v1/repository/{repository.name}?includeTags=false").json()
        except (NotFound, DeniedError):
            return self._namespace_fault(repository.name.partition("/")[0])
        state = row.get("state") if isinstance(row, dict) else None
        if state in (None, "NORMAL"):
            return ""
        return f"{repository} is in the state {state} (Settings, Repository State), in which Quay takes no pushes"

    def _namespace_fault(self, namespace: str) -> str:
        """Organisations and users are public in Quay's API."""
        for path in (f"/api/v1/organization/{namespace}", f"/api/v1/users/{namespace}"):
            try:
                self._api.call("GET", path)
            except NotFound:
                continue
            except (DeniedError, RefusedError):
                return ""
            return ""
        try:
            self._ping_api()
        except RegistrySyncError:
            return ""  # such as where a proxy lets only /v2 through, and answers 404 for all else
        return f"{self._host} has no organisation or user {namespace!r}; create it, or fix the name"

    def notes(self, repository: Repository, *, is_changed: bool) -> tuple[str, ...]:
        """The listed tags that will expire, by the label ``quay.expires-after`` of their image or by hand.

        Quay sets the end when a tag is pushed, so the newest hundred are listed again after that.
        """
        if is_changed:
            try:
                next(self._tag_pages(repository), None)
            except RegistrySyncError as error:
                log.info("%s: it is not known whether new tags expire (%s)", repository, error)
        expiring = sorted(self._expiring.get(repository, {}).items())
        if not expiring:
            return ()
        shown = ", ".join(f"{tag} on {end:%Y-%m-%d %H:%M} UTC" for tag, end in expiring[:MAX_EXPIRING_IN_NOTE])
        more = f" and {len(expiring) - MAX_EXPIRING_IN_NOTE} more" if len(expiring) > MAX_EXPIRING_IN_NOTE else ""
        return (f"tags expire at {repository} (label quay.expires-after?): {shown}{more}",)

    def _advice(self) -> str:
        if _oauth_token(self._credentials):
            return "or the OAuth token has expired; it needs the scope repo:read"
        return f"and a private one needs {OAUTH_USER!r} and an OAuth token, or a robot account"

    def _repositories(self, namespace: str) -> Iterator[ListedRepository]:
        """Every repository visible to us. A repeated entry means that Quay has returned its first page again.

        Quay does so for a ``next_page`` that is unknown or older than two days. Repositories of other namespaces, such
        as from a proxy that drops the query, are left out.
        """
        seen = set[str]()
        for response in self._repository_pages(namespace):
            rows = response.rows("repositories", "namespace", "name")
            self._check_token_is_used(rows)
            entries = [_repository(row) for row in rows]
            if not seen.isdisjoint(entry.name for entry in entries) or (seen and not entries):
                raise TemporaryError(
                    f"{self._host} restarted its listing of {namespace!r} at the first page; try again"
                )
            seen.update(entry.name for entry in entries)
            yield from (entry for entry in entries if entry.name.startswith(f"{namespace}/"))

    def _repository_pages(self, namespace: str) -> Iterator[Response]:
        """Anonymous users see nothing without ``public``. With it, a token still lists private repositories too."""
        query = {"namespace": namespace, "public": "true", "last_modified": "true"}
        for page in range(1, MAX_PAGES + 1):
            response = get_page(partial(self._api.call, "GET"), f"/api/v1/repository?{urlencode(query)}", page)
            yield response
            next_page = response.json().get("next_page")
            if not next_page:
                return
            query["next_page"] = str(next_page)
        raise too_many_pages(f"{self._host}, namespace {namespace!r}")

    def _check_token_is_used(self, rows: list[dict[str, Any]]) -> None:
        """Detect an expired token, which Quay silently ignores: ``is_starred`` is only in answers to known users."""
        if _oauth_token(self._credentials) and any("is_starred" not in row for row in rows):
            raise DeniedError(
                f"{self._host} ignores the OAuth token (expired, revoked, or not one) and lists only public "
                "repositories; make a new one with the scope repo:read"
            )

    def _tag_pages(self, repository: Repository) -> Iterator[list[ListedTag]]:
        """Without its final slash the path is redirected. Only ``has_additional`` marks the last page."""
        for page in range(1, MAX_PAGES + 1):
            query = urlencode({"onlyActiveTags": "true", "limit": PAGE_SIZE, "page": page})
            path = f"/api/v1/repository/{repository.name}/tag/?{query}"
            response = get_page(partial(self._api.call, "GET"), path, page)
            rows = response.rows("tags", "name")
            ends = self._expiring.setdefault(repository, {})
            for row in rows:
                if end := parse_time(row.get("end_ts")):
                    ends[row["name"]] = end
                else:
                    ends.pop(row["name"], None)
            yield [_tag(row) for row in rows]
            has_more = response.json().get("has_additional")
            if not isinstance(has_more, bool):
                raise TemporaryError(f"{self._host} does not report whether {repository} has more tags")
            if not has_more:
                return
        raise too_many_pages(f"tags of {repository}")


def _oauth_token(source: CredentialSource | None) -> str | None:
    credentials = source.current() if source else None
    return credentials.secret if credentials and credentials.username == OAUTH_USER else None


def _repository(row: dict[str, Any]) -> ListedRepository:
    """``last_modified`` is the time of the newest tag, in seconds; ``null`` without tags."""
    return ListedRepository(
        name=f"{row['namespace']}/{row['name']}",
        modified_at=parse_time(row.get("last_modified")),
        is_private=row.get("is_public") is not True,
    )


def _tag(row: dict[str, Any]) -> ListedTag:
    """``manifest_digest`` is the index's for multi-platform images. A push of the same digest renews ``start_ts``."""
    return ListedTag(
        name=row["name"],
        digest=parse_digest(row.get("manifest_digest")),
        pushed_at=parse_time(row.get("start_ts")),
        is_locked=row.get("immutable") is True,
    )
