"""GitHub's packages API in front of a real registry. Tests set its owners, packages, tags and push times.

It follows ``tests/contract/github-packages.json``, and stands where GitHub Enterprise Server has it: below ``/api/v3``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlencode

import requests

from registry_sync.oci.reference import Digest
from testkit.api_server import ApiServer, Asked, json_answer
from testkit.interceptor import Answer
from testkit.waiting import PATIENCE_SECONDS

PREFIX = "/api/v3"
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 30, 100

_PACKAGES = re.compile(PREFIX + r"/(orgs|users)/([^/]+)/packages")
_VERSIONS = re.compile(PREFIX + r"/(orgs|users)/([^/]+)/packages/container/([^/]+)/versions")
_VERSION = re.compile(PREFIX + r"/(orgs|users)/([^/]+)/packages/container/([^/]+)/versions/(\d+)")


@dataclass(slots=True, kw_only=True)
class _Version:
    id: int
    digest: Digest
    created_at: datetime
    tags: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Package:
    name: str
    visibility: str
    versions: list[_Version] = field(default_factory=list)


class GhcrApi(ApiServer):
    """The API from a table, and ``/v2`` from the registry at ``registry_url``; ``requests()`` counts both.

    ``tokens`` may use the API; all others get 401. Versions come newest first, and one that is deleted is deleted at
    the registry too. As GitHub does, it answers 404 for an owner at the path of the other kind, and links to the number
    of the owner.

    :param users: owners that are users; all others are organisations.
    """

    def __init__(
        self, registry_url: str, *, tokens: Collection[str] = ("ghp_token",), users: Collection[str] = ()
    ) -> None:
        super().__init__(registry_url)
        self._registry_url = registry_url
        self._tokens = frozenset(tokens)
        self._users = frozenset(users)
        self._packages: dict[str, _Package] = {}
        self._table = threading.RLock()

    def add(self, repository: str, *, visibility: str = "public") -> None:
        """Add a package ``owner/name`` without versions. ``visibility`` is public, private or internal."""
        with self._table:
            self._packages[repository] = _Package(name=repository, visibility=visibility)

    def push(self, repository: str, tag: str | None, at: datetime, digest: Digest) -> None:
        """Push an image, or move a tag to an earlier one, whose time stays. Without a ``tag`` it is a platform's."""
        with self._table:
            if repository not in self._packages:
                self.add(repository)
            versions = self._packages[repository].versions
            for version in versions:
                version.tags = [name for name in version.tags if name != tag]
            held = next((version for version in versions if version.digest == digest), None)
            if held is None:
                held = _Version(id=1000 + len(versions), digest=digest, created_at=at)
                versions.append(held)
            held.tags += [tag] if tag else []

    def tags(self, repository: str) -> set[str]:
        """The tags of all versions."""
        with self._table:
            return {tag for version in self._packages[repository].versions for tag in version.tags}

    def is_api(self, path: str) -> bool:
        return path.startswith(f"{PREFIX}/")

    def answer_api(self, asked: Asked) -> Answer:
        with self._table:
            if asked.bearer not in self._tokens:
                return _error(401, "Requires authentication")
            if match := _PACKAGES.fullmatch(asked.path):
                return self._list_packages(match[1], match[2], asked)
            if match := _VERSIONS.fullmatch(asked.path):
                return self._list_versions(match[1], f"{match[2]}/{unquote(match[3])}", asked)
            if (match := _VERSION.fullmatch(asked.path)) and asked.method == "DELETE":
                return self._delete(match[1], f"{match[2]}/{unquote(match[3])}", int(match[4]))
        return _error(404, "Not Found")

    def _is_at(self, kind: str, owner: str) -> bool:
        return (kind == "users") == (owner in self._users)

    def _list_packages(self, kind: str, owner: str, asked: Asked) -> Answer:
        if asked.query.get("package_type") != "container":
            return _error(400, "Invalid argument.")
        own = [package for name, package in sorted(self._packages.items()) if name.startswith(f"{owner}/")]
        if not (own and self._is_at(kind, owner)):
            return _error(404, "Not Found")
        return self._page(asked, "/organizations/7/packages", [_shown_package(package) for package in own])

    def _list_versions(self, kind: str, repository: str, asked: Asked) -> Answer:
        package = self._packages.get(repository)
        if package is None or not self._is_at(kind, repository.partition("/")[0]):
            return _error(404, "Package not found.")
        versions = sorted(package.versions, key=lambda version: (version.created_at, version.id), reverse=True)
        path = "/organizations/7/packages/container/name/versions"
        return self._page(asked, path, [_shown_version(repository, version) for version in versions])

    def _delete(self, kind: str, repository: str, number: int) -> Answer:
        package = self._packages.get(repository)
        versions = package.versions if package and self._is_at(kind, repository.partition("/")[0]) else []
        kept = [version for version in versions if version.id != number]
        if package is None or len(kept) == len(versions):
            return _error(404, "Package not found.")
        if any(version.tags for version in versions) and not any(version.tags for version in kept):
            return _error(400, "You cannot delete the last tagged version of a package. You must delete the package.")
        (deleted,) = (version for version in versions if version.id == number)
        url = f"{self._registry_url}/v2/{repository}/manifests/{deleted.digest}"
        requests.delete(url, timeout=PATIENCE_SECONDS).raise_for_status()
        package.versions = kept
        return Answer(status=204, body=b"", headers={})

    def _page(self, asked: Asked, linked_path: str, rows: list[dict[str, Any]]) -> Answer:
        number = int(asked.query.get("page", "1"))
        size = min(int(asked.query.get("per_page", str(DEFAULT_PAGE_SIZE))), MAX_PAGE_SIZE)
        start = (number - 1) * size
        query = urlencode({**asked.query, "page": number + 1})
        has_more = start + size < len(rows)
        link = {"Link": f'<https://api.github.example{linked_path}?{query}>; rel="next"'} if has_more else {}
        limits = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "1795458922"}
        return json_answer(rows[start : start + size], headers={**limits, **link})


def _shown_package(package: _Package) -> dict[str, Any]:
    name = package.name.partition("/")[2]
    return {
        "id": 197,
        "name": name,
        "package_type": "container",
        "version_count": len(package.versions),
        "visibility": package.visibility,
        "url": f"https://api.github.example/packages/{name}",
        "html_url": f"https://github.example/packages/{name}",
        "created_at": "2020-05-19T22:19:11Z",
        "updated_at": "2020-05-19T22:19:11Z",
    }


def _shown_version(repository: str, version: _Version) -> dict[str, Any]:
    url = f"https://api.github.example/packages/{repository}/versions/{version.id}"
    return {
        "id": version.id,
        "name": str(version.digest),
        "url": url,
        "package_html_url": url,
        "created_at": _shown_time(version.created_at),
        "updated_at": _shown_time(version.created_at),
        "html_url": url,
        "metadata": {"package_type": "container", "container": {"tags": version.tags}},
    }


def _shown_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _error(status: int, message: str) -> Answer:
    document = {"message": message, "documentation_url": "https://docs.github.example/rest", "status": str(status)}
    return json_answer(document, status)
