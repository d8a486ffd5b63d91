"""Docker Hub: its API lists repositories, and tags with digests and push times; manifests use ``/v2``.

https://docs.docker.com/reference/api/hub/latest/. Manifests come from registry-1.docker.io and listings from
hub.docker.com, each with its own login. A GET of a manifest counts as a pull; a HEAD and a listing do not:
https://docs.docker.com/docker-hub/usage/pulls/.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RefusedError, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.tag_pages import parse_digest, parse_time, read_tags
from registry_sync.registry.traffic import Traffic
from registry_sync.registry.vendors.vendor_api import VendorApiClient, nothing_listed
from registry_sync.registry.wire.auth import Authenticator, FixedAuthorization, Token, parse_token
from registry_sync.registry.wire.pull_budget import Held, PullBudget
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.transport import Transport
from registry_sync.registry.wire.urls import shown_url

API_URL = "https://hub.docker.com"

PAGE_SIZE = 100

TOKEN_SECONDS = 600.0


class DockerHubClient(VendorApiClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for Docker Hub.

    The credentials are a Docker ID with a password or personal access token, or an organisation's name with an
    organisation access token.
    """

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    denies_what_is_missing: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = True
    default_api_url: ClassVar[str | None] = API_URL
    _budget: PullBudget | None = None
    _pulls_by_skopeo = 0

    def keep_pulls(self, keep: int) -> None:
        """Leave ``keep`` pulls of each window of the pull limit to machines."""
        account = self._credentials.current().username if self._credentials else ""
        self._budget = PullBudget(self._host, account, keep)

    @property
    def traffic(self) -> Traffic:
        """The requests so far, with the pulls of skopeo that were announced."""
        total = super().traffic
        return replace(total, pulls=total.manifests + self._pulls_by_skopeo)

    @property
    def pull_note(self) -> str:
        """A note that no pull limit is known, so that no pulls can be kept for machines; else empty."""
        return self._budget.unknown_note if self._budget else ""

    @contextmanager
    def hold_pulls(self, repository: Repository, digest: Digest, count: int) -> Iterator[None]:
        """Reserve pulls for skopeo, and count them."""
        with self._hold(repository, digest, count):
            self._pulls_by_skopeo += count
            yield

    def _manifest_call(self, method: str, repository: Repository, target: str | Digest) -> Response:
        if method != "GET":
            return super()._manifest_call(method, repository, target)
        with self._hold(repository, target, 1) as held:
            response = super()._manifest_call(method, repository, target)
            held.reported = response.headers
        return response

    def _hold(self, repository: Repository, target: str | Digest, count: int) -> AbstractContextManager[Held]:
        if self._budget is None:
            return nullcontext(Held())
        return self._budget.hold(count, lambda: self._ask_for_limit(repository, target))

    def _ask_for_limit(self, repository: Repository, target: str | Digest) -> Mapping[str, str] | None:
        """The headers of a HEAD, which does not count; ``None`` where it fails, as the GET then will."""
        try:
            return super()._manifest_call("HEAD", repository, target).headers
        except (NotFound, DeniedError, RefusedError):
            return None

    def _api_authenticator(self, endpoint: Endpoint) -> Authenticator:
        if endpoint.credentials is None:
            return FixedAuthorization(None)
        return HubLogin(endpoint, endpoint.credentials.current(), self._api_url or API_URL)

    def ping(self) -> None:
        """Check that the registry and the API respond and accept our credentials."""
        super().ping()
        try:
            self._api.call("GET", "/v2/namespaces/library/repositories?page_size=1")
        except (NotFound, RefusedError) as error:
            raise ConfigurationError(f"{self._api.base_url} does not answer like Docker Hub's API: {error}") from error

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:
        """The repositories in ``namespace`` that can hold images (not plugins), by name, an order that pushes keep.

        :raises ConfigurationError: when none is visible to us, or private ones are requested without credentials.
        """
        if include_private and not self._credentials:
            advice = "give its registry a connection with a Docker ID and an access token"
            raise ConfigurationError(f"{self._host} lists private repositories only for their members; {advice}")
        hidden, seen = 0, set[str]()
        for row in self._repositories(namespace):
            entry = _repository(row)
            if entry.is_private and not include_private:
                hidden += 1
            elif entry.name not in seen:
                seen.add(entry.name)
                yield entry
        if not seen:
            raise nothing_listed(namespace, self._host, hidden, advice="that its repositories are public or ours")

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:
        """All tags; with ``since``, only as far as needed if Hub lists the newest first: see :func:`read_tags`.

        Hub does so, but does not document it. The digest of a tag is sometimes missing.

        :raises NotFound: when the repository does not exist or is private; Hub does not distinguish the two.
        """
        try:
            yield from read_tags(lambda: self._tag_pages(repository), since=since, where=str(repository))
        except NotFound as error:
            raise NotFound(f"{repository} is missing or not permitted ({error})") from error

    def create_repository(self, repository: Repository) -> None:
        """Create a public repository if it does not exist. The first push would create it too, but possibly private.

        https://docs.docker.com/reference/api/hub/latest/#tag/repositories/operation/CreateRepository

        :raises DeniedError: also without credentials.
        :raises RefusedError: when it does not exist afterwards, for example because the namespace is unknown.
        """
        if fault := self.create_fault():
            raise DeniedError(fault)
        if self._exists(repository):
            return
        namespace, _, name = repository.name.partition("/")
        document = {"namespace": namespace, "name": name, "registry": "docker.io", "is_private": False}
        headers, path = {"Content-Type": "application/json"}, f"/v2/namespaces/{namespace}/repositories"
        try:
            self._api.call("POST", path, headers=headers, body=json.dumps(document).encode())
        except (RefusedError, NotFound) as error:
            if not self._exists(repository):
                raise RefusedError(f"{repository} cannot be created, does its namespace exist? ({error})") from error

    def create_fault(self) -> str:
        """Nobody creates repositories anonymously."""
        fault = f"creating repositories at {self._host} needs a Docker ID and an access token"
        return fault if self._credentials is None else ""

    def _exists(self, repository: Repository) -> bool:
        namespace, _, name = repository.name.partition("/")
        try:
            self._api.call("GET", f"/v2/namespaces/{namespace}/repositories/{name}")
        except NotFound:
            return False
        return True

    def delete_tag(self, repository: Repository, tag: str) -> None:
        """Delete only this tag. An access token needs the permission to delete.

        Docker's API definition omits this call; Docker's own web pages and tools use this path.

        :raises DeniedError: also without credentials.
        """
        if self._credentials is None:
            raise DeniedError(f"deleting tags at {self._host} needs a Docker ID and an access token that may delete")
        self._api.call("DELETE", f"/v2/repositories/{repository.name}/tags/{tag}/")

    def _repositories(self, namespace: str) -> Iterator[dict[str, Any]]:
        path = f"/v2/namespaces/{quote(namespace, safe='')}/repositories?page_size={PAGE_SIZE}&ordering=name"
        for response in self._pages(path):
            for row in response.rows("results", "namespace", "name"):
                if row.get("repository_type") != "plugin":
                    yield row

    def _tag_pages(self, repository: Repository) -> Iterator[list[ListedTag]]:
        """The documented path requires a login. Anonymous users who are denied fall back to the earlier path."""
        namespace, _, name = repository.name.partition("/")
        try:
            yield from self._tags(f"/v2/namespaces/{namespace}/repositories/{name}/tags?page_size={PAGE_SIZE}")
        except DeniedError:
            if self._credentials:
                raise
            yield from self._tags(f"/v2/repositories/{namespace}/{name}/tags?page_size={PAGE_SIZE}")

    def _tags(self, path: str) -> Iterator[list[ListedTag]]:
        for response in self._pages(path):
            yield [_tag(row) for row in response.rows("results", "name")]

    def _pages(self, path: str) -> Iterator[Response]:
        """All pages. A page beyond the end is 404, which happens when entries are deleted while pages are read.

        :raises TemporaryError: when a page is 404 although the listing counts more entries than were read.
        """
        pages, seen = self._api.pages(path, next_of=_next), 0
        yield (first := next(pages))
        seen += len(first.rows("results"))
        while True:
            try:
                response = next(pages)
            except StopIteration:
                return
            except TemporaryError as error:
                if not isinstance(error.__cause__, NotFound):
                    raise
                count = self._api.call("GET", path).json().get("count")
                if not isinstance(count, int) or count > seen:
                    raise TemporaryError(
                        f"a page of {count} entries is missing after {seen} of them: {error}"
                    ) from error
                return
            seen += len(response.rows("results"))
            yield response


class HubLogin:
    """The :class:`~registry_sync.registry.wire.auth.Authenticator` of Hub's API: a ten-minute token for a password.

    https://docs.docker.com/reference/api/hub/latest/#tag/authentication-api/operation/AuthCreateAccessToken
    """

    def __init__(self, endpoint: Endpoint, credentials: Credentials, base_url: str) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._base_url = base_url
        self._token: Token | None = None
        self._lock = threading.Lock()

    def header(self, _scope: str, /) -> str:
        """The header with a token. One thread logs in while the others wait for it.

        :raises DeniedError: when the credentials are rejected.
        """
        with self._lock:
            if self._token is None or time.monotonic() >= self._token.good_until:
                self._token = self._log_in()
            return f"Bearer {self._token.value}"

    def learn(self, _challenges: Sequence[str], scope: str, /, *, sent: str | None) -> str | None:
        """Discard the rejected token, and log in again."""
        with self._lock:
            if self._token and sent == f"Bearer {self._token.value}":
                self._token = None
        return self.header(scope)

    def _log_in(self) -> Token:
        username = self._credentials.username
        document = {"identifier": username, "secret": self._credentials.secret}
        headers = {"Content-Type": "application/json"}
        transport = Transport(self._endpoint, base_url=self._base_url, authenticator=FixedAuthorization(None))
        with closing(transport):
            try:
                body = json.dumps(document).encode()
                response = transport.call_once("POST", "/v2/auth/token", headers=headers, body=body)
            except DeniedError as error:
                raise DeniedError(f"{self._base_url} rejects the login of {username!r}: {error}") from error
        token = parse_token(response.json(), now=time.monotonic(), default_seconds=TOKEN_SECONDS)
        if token is None:
            raise TemporaryError(f"{self._base_url} answered without a token for {username!r}")
        return token


def _next(response: Response) -> str:
    """The address of the next page, ``null`` on the last one. :raises TemporaryError: for anything else."""
    url = response.json().get("next", ...)
    if url is None or (isinstance(url, str) and url):
        return url or ""
    raise TemporaryError(f"{shown_url(response.url)} answered {response.status} without the address of the next page")


def _repository(row: dict[str, Any]) -> ListedRepository:
    """``last_updated`` is the time of the newest push; ``last_modified`` also changes with the description."""
    return ListedRepository(
        name=f"{row['namespace']}/{row['name']}",
        modified_at=parse_time(row.get("last_updated")),
        is_private=row.get("is_private") is not False,
    )


def _tag(row: dict[str, Any]) -> ListedTag:
    """``digest`` (the index's for multi-platform images) is not in the API's definition, and may be ``null``.

    https://github.com/renovatebot/renovate/pull/24164; ``tag_last_pushed`` may be ``null`` too.
    """
    return ListedTag(
        name=row["name"],
        digest=parse_digest(row.get("digest")),
        pushed_at=parse_time(row.get("tag_last_pushed")) or parse_time(row.get("last_updated")),
    )
