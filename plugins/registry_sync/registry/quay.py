"""Quay: what its API v1 adds to ``/v2``, listings of repositories and of tags with digests and push times.

https://docs.quay.io/api/ and, for what it really does, ``endpoints/api`` of https://github.com/quay/quay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RefusedError, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.auth import FixedAuthorization
from registry_sync.registry.client import RepositoryEntry, TagEntry
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.response import Response
from registry_sync.registry.tag_pages import parse_digest, parse_time, read_tags
from registry_sync.registry.transport import MAX_PAGES, Transport, too_many_pages

log = logging.getLogger(__name__)

OAUTH_USER = "$oauthtoken"
"""The user name whose password is an OAuth token, at ``/v2/auth``. The API takes that token, and no other password:
robot accounts are anonymous to it."""

PAGE_SIZE = 100
"""The maximum; more is cut without a word, and was refused for a time:
https://github.com/google/go-containerregistry/issues/1963."""

API_REQUESTS_PER_SECOND = 4.0
"""quay.io lets an address make 5 a second, with bursts of 25, and answers 429 without a time beyond that:
https://github.com/quay/quay/blob/master/conf/nginx/rate-limiting.conf.jnj"""


class QuayClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for quay.io and for a Quay of one's own.

    :param api_url: of the API, when it is not at the registry's own address.
    :param requests_per_second: to the API; ``/v2`` has far wider limits.
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
        self._token = _oauth_token(endpoint.credentials)
        self._api = Transport(
            endpoint,
            max_connections=max_connections,
            base_url=api_url,
            authenticator=FixedAuthorization(f"Bearer {self._token}" if self._token else None),
            requests_per_second=requests_per_second or API_REQUESTS_PER_SECOND,
        )

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._api.close()

    def ping(self) -> None:
        """Check that Quay answers and accepts our credentials.

        An anonymous user cannot log in at ``/v2/`` (Quay gives no token without a scope) and asks the API instead.
        """
        if self._credentials:
            super().ping()
            return
        try:
            self._api.call("GET", f"/api/v1/repository?{urlencode({'namespace': 'library', 'public': 'true'})}")
        except (NotFound, RefusedError) as error:
            raise ConfigurationError(f"{self._api.base_url} does not answer like Quay's API: {error}") from error

    def list_repositories(self, namespace: str, *, include_private: bool = False) -> Iterator[RepositoryEntry]:
        """The repositories in ``namespace`` that hold images, and when a tag was last pushed to each.

        :raises ConfigurationError: when none is there for us to see, or private ones are wanted without a token.
        :raises DeniedError: when Quay ignores our token.
        :raises TemporaryError: when the list starts over.
        """
        if include_private and not self._token:
            advice = f"use {OAUTH_USER!r} and an OAuth token with the scope repo:read as login and password"
            raise ConfigurationError(f"{self._host} shows private repositories to OAuth tokens only; {advice}")
        hidden, shown = 0, 0
        for entry in self._repositories(namespace):
            if entry.is_private and not include_private:
                hidden += 1
            else:
                shown += 1
                yield entry
        if not shown:
            raise ConfigurationError(f"namespace {namespace!r} of {self._host} has no {_what_is_missing(hidden)}")

    def list_tags(self, repository: Repository, *, since: datetime | None = None) -> Iterator[TagEntry]:
        """All tags; with ``since``, newest first and no further than needed: see :func:`read_tags`.

        A robot account may read a private repository at ``/v2`` and not here: then tags have names only.

        :raises NotFound: when there is no such repository in a namespace of ours.
        :raises DeniedError: when it is private or does not exist, of which Quay does not say which.
        """
        try:
            yield from read_tags(lambda: self._tag_pages(repository), since=since, where=str(repository))
        except DeniedError as error:
            if self._token or not self._credentials:
                raise DeniedError(f"{repository} is missing or not permitted, {self._advice()} ({error})") from error
            log.info("%s has no public listing, so that each tag takes a HEAD (%s)", repository, error)
            yield from super().list_tags(repository)

    def delete_tag(self, repository: Repository, tag: str, digest: Digest) -> None:  # noqa: ARG002 - it goes alone
        """Delete a tag alone; Quay keeps it for the namespace's time machine, two weeks by default.

        :raises DeniedError: also when there is no OAuth token, since robot accounts are anonymous to the API.
        """
        if self._token is None:
            raise DeniedError(
                f"deleting tags at {self._host} needs {OAUTH_USER!r} and an OAuth token with the scope repo:write"
            )
        self._api.call("DELETE", f"/api/v1/repository/{repository.name}/tag/{tag}")

    def _advice(self) -> str:
        if self._token:
            return "or the OAuth token has expired; it needs the scope repo:read"
        return f"and a private one needs {OAUTH_USER!r} and an OAuth token, or a robot account"

    def _repositories(self, namespace: str) -> Iterator[RepositoryEntry]:
        """Every repository that we may see; a page with one that was there before is the first page again.

        Quay answers a ``next_page`` that it does not know, or that is older than two days, with its first page.
        """
        seen = set[str]()
        for response in self._repository_pages(namespace):
            rows = response.rows("repositories", "namespace", "name")
            self._check_token_is_used(rows)
            entries = [_repository(row) for row in rows]
            if not seen.isdisjoint(each.name for each in entries) or (seen and not entries):
                raise TemporaryError(f"{self._host} starts its list of {namespace!r} over in the middle; try again")
            seen.update(each.name for each in entries)
            yield from entries

    def _repository_pages(self, namespace: str) -> Iterator[Response]:
        """Without ``public`` an anonymous user sees nothing; with it, a token still shows what is private."""
        query = {"namespace": namespace, "public": "true", "last_modified": "true"}
        for _ in range(MAX_PAGES):
            response = self._api.call("GET", f"/api/v1/repository?{urlencode(query)}")
            yield response
            next_page = response.json().get("next_page")
            if not next_page:
                return
            query["next_page"] = str(next_page)
        raise too_many_pages(f"{self._host}, namespace {namespace!r}")

    def _check_token_is_used(self, rows: list[dict[str, Any]]) -> None:
        """``is_starred`` stands in answers to a known user only; a token that has expired is ignored without a word."""
        if self._token and any("is_starred" not in row for row in rows):
            raise DeniedError(
                f"{self._host} ignores the OAuth token (expired, revoked, or not one) and lists what everybody sees; "
                "make a new one with the scope repo:read"
            )

    def _tag_pages(self, repository: Repository) -> Iterator[list[TagEntry]]:
        """Without the slash at its end the path is redirected; ``has_additional`` is the only mark of the end."""
        for page in range(1, MAX_PAGES + 1):
            query = urlencode({"onlyActiveTags": "true", "limit": PAGE_SIZE, "page": page})
            response = self._api.call("GET", f"/api/v1/repository/{repository.name}/tag/?{query}")
            yield [_tag(row) for row in response.rows("tags", "name")]
            has_more = response.json().get("has_additional")
            if not isinstance(has_more, bool):
                raise TemporaryError(f"{self._host} does not say whether {repository} has more tags")
            if not has_more:
                return
        raise too_many_pages(f"tags of {repository}")


def _oauth_token(credentials: Credentials | None) -> str | None:
    return credentials.secret if credentials and credentials.username == OAUTH_USER else None


def _what_is_missing(hidden: int) -> str:
    if hidden:
        return f"public repository, and {hidden} private ones; write include_private: true to mirror those"
    return "repository that we may see; check its name, and that its repositories are public or the token may read them"


def _repository(row: dict[str, Any]) -> RepositoryEntry:
    """``last_modified`` is the time of the newest tag, in seconds; ``null`` when there is none."""
    return RepositoryEntry(
        name=f"{row['namespace']}/{row['name']}",
        modified_at=parse_time(row.get("last_modified")),
        is_private=row.get("is_public") is not True,
    )


def _tag(row: dict[str, Any]) -> TagEntry:
    """``manifest_digest`` is the index's for several platforms; pushing the same digest again renews ``start_ts``."""
    return TagEntry(
        name=row["name"],
        digest=parse_digest(row.get("manifest_digest")),
        pushed_at=parse_time(row.get("start_ts")),
        is_locked=row.get("immutable") is True,
    )
