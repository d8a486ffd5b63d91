"""Quay's API v1 in front of a real registry. Tests set its repositories, tags and push times.

It behaves as the real Quay of ``tests/contract/quay.json``.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import requests

from registry_sync.oci.manifest import ACCEPT
from registry_sync.oci.reference import Digest
from testkit.api_server import ApiServer, Asked, json_answer
from testkit.interceptor import Answer
from testkit.waiting import PATIENCE_SECONDS

REPOSITORIES_PER_PAGE = TAGS_PER_PAGE = 100
DEFAULT_LIMIT = 50
LISTING = "/api/v1/repository"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A tag from a push until the next push or its deletion (``end``)."""

    name: str
    digest: Digest
    start: datetime
    end: datetime | None = None


@dataclass(slots=True, kw_only=True)
class _Repository:
    name: str
    is_public: bool
    state: str = "NORMAL"
    active: dict[str, _Row] = field(default_factory=dict)
    ended: list[_Row] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.name.partition("/")[0]


class QuayApi(ApiServer):
    """``/api/v1`` from a table, and ``/v2`` from the registry at ``registry_url``; ``requests()`` counts both.

    ``tokens`` are OAuth tokens with the namespaces that their users may read. As Quay does, it ignores an unknown
    token, restarts a listing at page one when a ``next_page`` has expired, and cuts pages at 100 entries.

    With ``is_ordered=False`` tags come by name, which Quay does not do.
    """

    def __init__(
        self, registry_url: str, *, tokens: Mapping[str, Collection[str]] | None = None, is_ordered: bool = True
    ) -> None:
        super().__init__(registry_url)
        self._registry_url = registry_url
        self._tokens = dict(tokens or {})
        self._is_ordered = is_ordered
        self._repositories: dict[str, _Repository] = {}
        self._next_pages: dict[str, int] = {}
        self._table = threading.RLock()

    def add(self, repository: str, *, is_public: bool = True) -> None:
        """Add a repository ``namespace/name`` without tags."""
        with self._table:
            self._repositories[repository] = _Repository(name=repository, is_public=is_public)

    def push(self, repository: str, tag: str, at: datetime, digest: Digest | None = None) -> None:
        """Push ``tag`` at a time. A missing repository is created as a public one.

        Without a ``digest`` the tag has the one that the registry has for it.
        """
        digest = digest or self._digest_at_registry(repository, tag)
        with self._table:
            if repository not in self._repositories:
                self.add(repository)
            self.delete(repository, tag, at)
            self._repositories[repository].active[tag] = _Row(name=tag, digest=digest, start=at)

    def delete(self, repository: str, tag: str, at: datetime) -> None:
        """Delete a tag, if it exists. Its row stays in the history."""
        with self._table:
            row = self._repositories[repository].active.pop(tag, None)
            if row:
                self._repositories[repository].ended.append(replace(row, end=at))

    def expire(self, repository: str, tag: str, at: datetime) -> None:
        """Set the time at which an active tag will expire, as the label ``quay.expires-after`` does."""
        with self._table:
            active = self._repositories[repository].active
            active[tag] = replace(active[tag], end=at)

    def set_state(self, repository: str, state: str) -> None:
        """Set the state of a repository: NORMAL, READ_ONLY or MIRROR."""
        with self._table:
            self._repositories[repository].state = state

    def revoke(self, token: str) -> None:
        """Expire an OAuth token."""
        with self._table:
            del self._tokens[token]

    def forget_pages(self) -> None:
        """Expire every ``next_page`` so far."""
        with self._table:
            self._next_pages.clear()

    def is_api(self, path: str) -> bool:
        return path.startswith("/api/v1/")

    def answer_api(self, asked: Asked) -> Answer:
        name = asked.path.removeprefix(f"{LISTING}/")
        with self._table:
            if asked.path == LISTING:
                return self._list_repositories(asked)
            if name.endswith("/tag/"):
                return self._list_tags(name.removesuffix("/tag/"), asked)
            if name.endswith("/tag"):
                return Answer(status=308, body=b"", headers={"Location": f"{asked.path}/"})
            if name != asked.path:
                return self._refusal(name, asked) or json_answer(self._shown(self._repositories[name], asked))
            return self._show_namespace(asked.path.removeprefix("/api/v1/"))

    def _show_namespace(self, path: str) -> Answer:
        """An organisation. Users are none here; Quay shows both to anybody."""
        kind, _, name = path.partition("/")
        exists = any(repository.namespace == name for repository in self._repositories.values())
        return json_answer({"name": name}) if kind == "organization" and exists else _error(404, "not_found", "no")

    def _digest_at_registry(self, repository: str, tag: str) -> Digest:
        url, headers = f"{self._registry_url}/v2/{repository}/manifests/{tag}", {"Accept": ACCEPT}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.head(url, headers=headers, timeout=PATIENCE_SECONDS)
        answer.raise_for_status()
        return Digest.parse(answer.headers["Docker-Content-Digest"])

    def _namespaces(self, asked: Asked) -> Collection[str] | None:
        """Namespaces that the request's user may read; ``None`` for an anonymous one."""
        return self._tokens.get(asked.bearer or "")

    def _list_repositories(self, asked: Asked) -> Answer:
        if not {"namespace", "public", "starred"} & set(asked.query):
            return _error(400, "invalid_request", "namespace, starred or public are required for this API call")
        visible = [repository for repository in self._repositories.values() if self._is_listed(repository, asked)]
        start = self._next_pages.get(asked.query.get("next_page", ""), 0)
        end = start + REPOSITORIES_PER_PAGE
        document: dict[str, Any] = {"repositories": [self._shown(each, asked) for each in visible[start:end]]}
        if end < len(visible):
            document["next_page"] = token = secrets.token_urlsafe(32)
            self._next_pages[token] = end
        return json_answer(document)

    def _is_listed(self, repository: _Repository, asked: Asked) -> bool:
        if asked.query.get("namespace", repository.namespace) != repository.namespace:
            return False
        is_own = repository.namespace in (self._namespaces(asked) or ())
        return is_own or (repository.is_public and asked.query.get("public") == "true")

    def _shown(self, repository: _Repository, asked: Asked) -> dict[str, Any]:
        namespace, _, name = repository.name.partition("/")
        shown: dict[str, Any] = {
            "namespace": namespace,
            "name": name,
            "description": None,
            "is_public": repository.is_public,
        }
        shown |= {"kind": "image", "state": repository.state}
        if asked.query.get("last_modified") == "true":
            shown["last_modified"] = max((_seconds(row.start) for row in repository.active.values()), default=None)
        return shown if self._namespaces(asked) is None else {**shown, "is_starred": False}

    def _list_tags(self, name: str, asked: Asked) -> Answer:
        refused = self._refusal(name, asked)
        if refused:
            return refused
        limit = asked.query.get("limit", str(DEFAULT_LIMIT))
        if not limit.isdigit():
            return json_answer({"message": {"limit": "Limit to the number of results to return per page."}}, 400)
        page, size = int(asked.query.get("page", "1")), min(int(limit), TAGS_PER_PAGE)
        rows = self._rows(name, only_active=asked.query.get("onlyActiveTags") == "true")
        start = (page - 1) * size
        tags = [_shown_row(row) for row in rows[start : start + size]]
        return json_answer({"tags": tags, "page": page, "has_additional": start + size < len(rows)})

    def _refusal(self, name: str, asked: Asked) -> Answer | None:
        """Answer for a missing repository, which Quay reports as missing to its owner only."""
        repository, namespaces = self._repositories.get(name), self._namespaces(asked)
        if repository and (repository.is_public or repository.namespace in (namespaces or ())):
            return None
        if namespaces is None:
            return _error(401, "invalid_token", "Requires authentication")
        if name.partition("/")[0] in namespaces:
            return _error(404, "not_found", "Not Found")
        return _error(403, "insufficient_scope", "Unauthorized")

    def _rows(self, name: str, *, only_active: bool) -> list[_Row]:
        repository = self._repositories[name]
        rows = [*repository.active.values(), *(() if only_active else repository.ended)]
        by_name = sorted(rows, key=lambda row: row.name)
        return sorted(by_name, key=lambda row: -_seconds(row.start)) if self._is_ordered else by_name


def _shown_row(row: _Row) -> dict[str, Any]:
    shown = {
        "name": row.name,
        "reversion": False,
        "start_ts": _seconds(row.start),
        "manifest_digest": str(row.digest),
        "is_manifest_list": True,
        "size": None,
        "last_modified": format_datetime(row.start.astimezone(UTC)),
    }
    return {**shown, "end_ts": _seconds(row.end)} if row.end else shown


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _error(status: int, kind: str, detail: str) -> Answer:
    document = {"detail": detail, "error_message": detail, "error_type": kind, "title": kind, "status": status}
    return json_answer({**document, "type": f"http://quay/api/v1/error/{kind}"}, status)
