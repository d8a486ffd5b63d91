"""Docker Hub: what its API adds to ``/v2``, listings of repositories and of tags with digests and push times.

https://docs.docker.com/reference/api/hub/latest/. Manifests come from registry-1.docker.io, listings from
hub.docker.com; each has a log-in of its own. A GET of a manifest counts as a pull, a HEAD and a listing do not:
https://docs.docker.com/docker-hub/usage/pulls/.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RefusedError, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.auth import FixedAuthorization, Token, parse_token
from registry_sync.registry.client import RepositoryEntry, TagEntry
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.response import Response
from registry_sync.registry.tag_pages import parse_digest, parse_time, read_tags
from registry_sync.registry.transport import Transport

log = logging.getLogger(__name__)

API_URL = "https://hub.docker.com"

PAGE_SIZE = 100

TOKEN_SECONDS = 600.0


class DockerHubClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for Docker Hub.

    The credentials are a Docker ID with a password or personal access token, or an organisation's name with an
    organisation access token.

    :param api_url: of the API for listings, when it is not Docker's.
    :param requests_per_second: to that API.
    """

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    denies_what_is_missing: ClassVar[bool] = True
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
        base_url = api_url or API_URL
        self._login = HubLogin(endpoint, base_url) if endpoint.credentials else None
        self._api = Transport(
            endpoint,
            max_connections=max_connections,
            base_url=base_url,
            authenticator=self._login or FixedAuthorization(None),
            requests_per_second=requests_per_second,
        )

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._api.close()

    def ping(self) -> None:
        """Check that the registry and the API for listings response and accept our credentials."""
        super().ping()
        try:
            self._api.call("GET", "/v2/namespaces/library/repositories?page_size=1")
        except (NotFound, RefusedError) as error:
            raise ConfigurationError(f"{self._api.base_url} does not answer like Docker Hub's API: {error}") from error

    def list_repositories(self, namespace: str, *, include_private: bool = False) -> Iterator[RepositoryEntry]:
        """The repositories in ``namespace`` that can hold images (plugins cannot), by name; pushes do not change that.

        :raises ConfigurationError: when none is there for us to see, or private ones are wanted without credentials.
        """
        if include_private and not self._login:
            advice = "give its registry a connection with a Docker ID and an access token"
            raise ConfigurationError(f"{self._host} shows private repositories to their members only; {advice}")
        hidden, seen = 0, set[str]()
        for row in self._repositories(namespace):
            entry = _repository(row)
            if entry.is_private and not include_private:
                hidden += 1
            elif entry.name not in seen:
                seen.add(entry.name)
                yield entry
        if not seen:
            raise ConfigurationError(f"namespace {namespace!r} of {self._host} has no {_what_is_missing(hidden)}")

    def list_tags(self, repository: Repository, *, since: datetime | None = None) -> Iterator[TagEntry]:
        """All tags; with ``since``, no further than needed if Hub keeps to newest first: see :func:`read_tags`.

        That order is what Hub does and nowhere promised. A digest is at times absent.

        :raises NotFound: when it does not exist or is private, of which Hub does not say which.
        """
        try:
            yield from read_tags(lambda: self._tag_pages(repository), since=since, where=str(repository))
        except NotFound as error:
            raise NotFound(f"{repository} is missing or not permitted ({error})") from error

    def create_repository(self, repository: Repository) -> None:
        """Create it, public, unless it is there. The Hub would create it with the first push too, and maybe private.

        https://docs.docker.com/reference/api/hub/latest/#tag/repositories/operation/CreateRepository

        :raises DeniedError: also without credentials.
        :raises RefusedError: when it is not there afterwards, for example since the namespace is unknown.
        """
        if self._login is None:
            raise DeniedError(f"creating repositories at {self._host} needs a Docker ID and an access token")
        if self._has(repository):
            return
        namespace, _, name = repository.name.partition("/")
        document = {"namespace": namespace, "name": name, "registry": "docker.io", "is_private": False}
        headers, path = {"Content-Type": "application/json"}, f"/v2/namespaces/{namespace}/repositories"
        try:
            self._api.call("POST", path, headers=headers, body=json.dumps(document).encode())
        except (RefusedError, NotFound) as error:
            if not self._has(repository):
                raise RefusedError(f"{repository} cannot be created, does its namespace exist? ({error})") from error

    def _has(self, repository: Repository) -> bool:
        namespace, _, name = repository.name.partition("/")
        try:
            self._api.call("GET", f"/v2/namespaces/{namespace}/repositories/{name}")
        except NotFound:
            return False
        return True

    def delete_tag(self, repository: Repository, tag: str, digest: Digest) -> None:  # noqa: ARG002 - it goes alone
        """Delete a tag alone. An access token needs the right to delete.

        Docker's definition of the API leaves this out; the path is the one that its own web pages and tools have.

        :raises DeniedError: also without credentials.
        """
        if self._login is None:
            raise DeniedError(f"deleting tags at {self._host} needs a Docker ID and an access token that may delete")
        self._api.call("DELETE", f"/v2/repositories/{repository.name}/tags/{tag}/")

    def _repositories(self, namespace: str) -> Iterator[dict[str, Any]]:
        path = f"/v2/namespaces/{quote(namespace, safe='')}/repositories?page_size={PAGE_SIZE}&ordering=name"
        for response in self._pages(path):
            for row in response.rows("results", "namespace", "name"):
                if row.get("repository_type") != "plugin":
                    yield row

    def _tag_pages(self, repository: Repository) -> Iterator[list[TagEntry]]:
        """By the definition this takes a log-in; an anonymous user who is refused goes by the path it had before."""
        namespace, _, name = repository.name.partition("/")
        try:
            yield from self._tags(f"/v2/namespaces/{namespace}/repositories/{name}/tags?page_size={PAGE_SIZE}")
        except DeniedError:
            if self._login:
                raise
            yield from self._tags(f"/v2/repositories/{namespace}/{name}/tags?page_size={PAGE_SIZE}")

    def _tags(self, path: str) -> Iterator[list[TagEntry]]:
        for response in self._pages(path):
            yield [_tag(row) for row in response.rows("results", "name")]

    def _pages(self, path: str) -> Iterator[Response]:
        """A page beyond the end is 404, as happens when entries are deleted while pages are read.

        :raises TemporaryError: when such a page comes before as many entries were seen as there are.
        """
        pages, seen = self._api.pages(path, next_of=_next), 0
        yield (first := next(pages))
        seen += len(first.rows("results"))
        while True:
            try:
                response = next(pages)
            except StopIteration:
                return
            except NotFound as error:
                count = self._api.call("GET", path).json().get("count")
                if not isinstance(count, int) or count > seen:
                    raise TemporaryError(
                        f"a page of {count} entries is missing after {seen} of them: {error}"
                    ) from error
                return
            seen += len(response.rows("results"))
            yield response


class HubLogin:
    """The :class:`~registry_sync.registry.auth.Authenticator` of Hub's API: a token of ten minutes for a password.

    https://docs.docker.com/reference/api/hub/latest/#tag/authentication-api/operation/AuthCreateAccessToken
    """

    def __init__(self, endpoint: Endpoint, base_url: str) -> None:
        if endpoint.credentials is None:
            raise ValueError("an anonymous user does not log in")
        self._endpoint = endpoint
        self._credentials: Credentials = endpoint.credentials
        self._base_url = base_url
        self._token: Token | None = None
        self._lock = threading.Lock()

    def header(self, _scope: str, /) -> str:
        """With a token; one thread logs in while the others wait for it.

        :raises DeniedError: when the credentials are not accepted.
        """
        with self._lock:
            if self._token is None or time.monotonic() >= self._token.good_until:
                self._token = self._log_in()
            return f"Bearer {self._token.value}"

    def learn(self, _challenge: str, _scope: str, /, *, sent: str | None) -> None:
        """Forget the token that was refused, so that the next header has a new one."""
        with self._lock:
            if self._token and sent == f"Bearer {self._token.value}":
                self._token = None

    def _log_in(self) -> Token:
        who = self._credentials.username
        document = {"identifier": who, "secret": self._credentials.secret}
        headers = {"Content-Type": "application/json"}
        wire = Transport(self._endpoint, base_url=self._base_url, authenticator=FixedAuthorization(None))
        with closing(wire):
            try:
                response = wire.call_once("POST", "/v2/auth/token", headers=headers, body=json.dumps(document).encode())
            except DeniedError as error:
                raise DeniedError(f"{self._base_url} does not log in {who!r}: {error}") from error
        token = parse_token(response.json(), now=time.monotonic(), default_seconds=TOKEN_SECONDS)
        if token is None:
            raise TemporaryError(f"{self._base_url} answered without a token for {who!r}")
        return token


def _next(response: Response) -> str:
    following = response.json().get("next")
    return following if isinstance(following, str) else ""


def _what_is_missing(hidden: int) -> str:
    if hidden:
        return f"public repository, and {hidden} private ones; write include_private: true to mirror those"
    return "repository that we may see; check its name, and that its repositories are public or ours"


def _repository(row: dict[str, Any]) -> RepositoryEntry:
    """``last_updated`` is of the newest push; ``last_modified`` also of a new description."""
    return RepositoryEntry(
        name=f"{row['namespace']}/{row['name']}",
        modified_at=parse_time(row.get("last_updated")),
        is_private=row.get("is_private") is not False,
    )


def _tag(row: dict[str, Any]) -> TagEntry:
    """``digest`` (the index's for several platforms) is not in the API's definition, and may be ``null``.

    https://github.com/renovatebot/renovate/pull/24164; ``tag_last_pushed`` may be ``null`` too.
    """
    return TagEntry(
        name=row["name"],
        digest=parse_digest(row.get("digest")),
        pushed_at=parse_time(row.get("tag_last_pushed")) or parse_time(row.get("last_updated")),
    )
