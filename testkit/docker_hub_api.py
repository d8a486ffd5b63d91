"""Docker Hub's API in front of a real registry. Tests set its repositories, tags and push times.

https://docs.docker.com/reference/api/hub/latest/ and ``tests/contract/docker_hub.json``.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from registry_sync.oci.reference import Digest
from testkit.api_server import ApiServer, Asked, json_answer
from testkit.interceptor import Answer
from testkit.loopback import Request

MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 10
TOKENS = "/v2/auth/token"

_REPOSITORIES = re.compile(r"/v2/namespaces/([^/]+)/repositories")
_REPOSITORY = re.compile(r"/v2/namespaces/([^/]+)/repositories/([^/]+)")
_TAGS = re.compile(r"/v2/namespaces/([^/]+)/repositories/([^/]+)/tags")
_FORMER_TAGS = re.compile(r"/v2/repositories/([^/]+)/([^/]+)/tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tag:
    name: str
    pushed_at: datetime | None
    digest: Digest | None


@dataclass(slots=True, kw_only=True)
class _Repository:
    name: str
    is_private: bool
    kind: str | None
    tags: dict[str, _Tag] = field(default_factory=dict)


class DockerHubApi(ApiServer):
    """The API from a table, and the rest of ``/v2`` from the registry at ``registry_url``.

    ``users`` (identifier to secret) may log in, and then see private repositories too. As the Hub does, it answers 404
    for missing and private repositories and for a page beyond the end. An unknown namespace has no repositories.

    ``logins`` are the documents of log-ins, ``created`` those of calls that create a repository.

    :param is_ordered: list tags newest first; otherwise by name.
    :param tags_need_login: listing tags needs a log-in, as the definition says, except on their former path.
    :param next_origin: address in links to next pages, instead of our own.
    """

    def __init__(
        self,
        registry_url: str,
        *,
        users: Mapping[str, str] | None = None,
        is_ordered: bool = True,
        tags_need_login: bool = False,
        next_origin: str | None = None,
    ) -> None:
        super().__init__(registry_url)
        self.logins: list[Mapping[str, str]] = []
        self.created: list[Mapping[str, Any]] = []
        self._users = dict(users or {})
        self._is_ordered = is_ordered
        self._tags_need_login = tags_need_login
        self._next_origin = next_origin
        self._tokens = set[str]()
        self._repositories: dict[str, _Repository] = {}
        self._table = threading.RLock()
        self._limit: int | None = None
        self._used, self._window_seconds = 0, 0

    def limit_pulls(self, limit: int, *, used: int = 0, window_seconds: int = 21600) -> None:
        """Report a pull limit with every manifest, of which ``used`` pulls are used up. Nothing is refused."""
        self._limit, self._used, self._window_seconds = limit, used, window_seconds

    @property
    def pulls(self) -> int:
        """GETs of manifests that the limit would count."""
        gets = (request for request in self.requests() if request.method == "GET" and request.status == 200)
        return sum("/manifests/" in get.path for get in gets)

    def extra_headers(self, request: Request) -> Mapping[str, str]:
        """The header fields of Docker Hub's pull limit: https://docs.docker.com/docker-hub/usage/pulls/."""
        if self._limit is None or "/manifests/" not in request.path:
            return {}
        with self._table:
            self._used += request.method == "GET" and request.status == 200
            left, window = max(self._limit - self._used, 0), f"w={self._window_seconds}"
        return {"ratelimit-limit": f"{self._limit};{window}", "ratelimit-remaining": f"{left};{window}"}

    def add(self, repository: str, *, is_private: bool = False, kind: str | None = "image") -> None:
        """Add a repository ``namespace/name`` without tags. ``kind`` is image, plugin or ``None``."""
        with self._table:
            self._repositories[repository] = _Repository(name=repository, is_private=is_private, kind=kind)

    def push(self, repository: str, tag: str, at: datetime | None, digest: Digest | None = None) -> None:
        """Push ``tag`` at a time. Without a time or digest the listing has ``null``."""
        with self._table:
            if repository not in self._repositories:
                self.add(repository)
            self._repositories[repository].tags[tag] = _Tag(name=tag, pushed_at=at, digest=digest)

    def delete(self, repository: str, tag: str) -> None:
        with self._table:
            del self._repositories[repository].tags[tag]

    def expire_tokens(self) -> None:
        """Expire all log-ins."""
        with self._table:
            self._tokens.clear()

    def is_api(self, path: str) -> bool:
        return path == TOKENS or path.startswith(("/v2/namespaces/", "/v2/repositories/"))

    def answer_api(self, asked: Asked) -> Answer:
        with self._table:
            if (asked.method, asked.path) == ("POST", TOKENS):
                return self._log_in(json.loads(asked.body))
            if asked.bearer and asked.bearer not in self._tokens:
                return json_answer({"detail": "Token is invalid or expired"}, 401)
            if match := _REPOSITORIES.fullmatch(asked.path):
                if asked.method == "POST":
                    return self._create(match[1], json.loads(asked.body))
                return self._page(asked, [_shown_repository(each) for each in self._listed(match[1], asked)])
            if match := _REPOSITORY.fullmatch(asked.path):
                known = self._repositories.get(f"{match[1]}/{match[2]}")
                return json_answer(_shown_repository(known)) if known else _missing()
            if match := _TAGS.fullmatch(asked.path):
                if self._tags_need_login and not asked.bearer:
                    return json_answer({"detail": "Authentication required"}, 401)
                return self._list_tags(f"{match[1]}/{match[2]}", asked)
            if match := _FORMER_TAGS.fullmatch(asked.path):
                return self._list_tags(f"{match[1]}/{match[2]}", asked)
        return _missing()

    def _log_in(self, document: Mapping[str, str]) -> Answer:
        self.logins.append(document)
        if document["secret"] != self._users.get(document["identifier"]):
            return json_answer({"detail": "Incorrect authentication credentials"}, 401)
        token = secrets.token_urlsafe(16)
        self._tokens.add(token)
        return json_answer({"access_token": token})

    def _create(self, namespace: str, document: Mapping[str, Any]) -> Answer:
        self.created.append(document)
        name = f"{namespace}/{document['name']}"
        if name in self._repositories:
            return json_answer({"message": "Repository with this name already exists"}, 400)
        self.add(name, is_private=bool(document["is_private"]))
        return json_answer(_shown_repository(self._repositories[name]), 201)

    def _listed(self, namespace: str, asked: Asked) -> list[_Repository]:
        own = [repository for repository in self._repositories.values() if repository.name.startswith(f"{namespace}/")]
        return sorted((each for each in own if asked.bearer or not each.is_private), key=lambda each: each.name)

    def _list_tags(self, name: str, asked: Asked) -> Answer:
        repository = self._repositories.get(name)
        if repository is None or (repository.is_private and not asked.bearer):
            return _missing()
        tags = sorted(repository.tags.values(), key=lambda tag: tag.name)
        if self._is_ordered:
            tags.sort(key=lambda each: each.pushed_at or datetime.min.replace(tzinfo=UTC), reverse=True)
        return self._page(asked, [_shown_tag(each) for each in tags])

    def _page(self, asked: Asked, rows: list[dict[str, Any]]) -> Answer:
        number = int(asked.query.get("page", "1"))
        size = min(int(asked.query.get("page_size", str(DEFAULT_PAGE_SIZE))), MAX_PAGE_SIZE)
        start = (number - 1) * size
        if number > 1 and start >= len(rows):
            return _missing()
        query = urlencode({**asked.query, "page": number + 1})
        following = f"{self._next_origin or self.url}{asked.path}?{query}" if start + size < len(rows) else None
        limits = {"X-RateLimit-Limit": "180", "X-RateLimit-Remaining": "179", "X-RateLimit-Reset": "1795458922"}
        document = {"count": len(rows), "next": following, "previous": None, "results": rows[start : start + size]}
        return json_answer(document, headers=limits)


def _shown_repository(repository: _Repository) -> dict[str, Any]:
    namespace, _, name = repository.name.partition("/")
    times = [tag.pushed_at for tag in repository.tags.values() if tag.pushed_at]
    return {
        "name": name,
        "namespace": namespace,
        "repository_type": repository.kind,
        "status": 1,
        "status_description": "active",
        "is_private": repository.is_private,
        "last_updated": _shown_time(max(times, default=None)),
        "last_modified": "2026-11-24T00:00:00Z",
    }


def _shown_tag(tag: _Tag) -> dict[str, Any]:
    return {
        "name": tag.name,
        "digest": str(tag.digest) if tag.digest else None,
        "last_updated": _shown_time(tag.pushed_at),
        "tag_last_pushed": _shown_time(tag.pushed_at),
        "tag_status": "active",
        "images": [],
        "v2": True,
    }


def _shown_time(moment: datetime | None) -> str | None:
    """A time as the Hub writes it, without trailing zeros."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z" if moment else None


def _missing() -> Answer:
    return json_answer({"message": "httperror 404: object not found", "errinfo": {}}, 404)
