"""The APIs of GitLab and of its registry in front of a real registry. Tests set projects, tags and push times.

It follows ``tests/contract/gitlab.json``, and GitLab's descriptions where that is silent.
"""

from __future__ import annotations

import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlencode

from registry_sync.oci.reference import Digest
from testkit.api_server import ApiServer, Asked, json_answer
from testkit.interceptor import Answer

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 20, 100
DEFAULT_TAGS, MAX_TAGS = 100, 1000

_TAGS = re.compile(r"/gitlab/v1/repositories/(.+)/tags/list/")
_REPOSITORIES = re.compile(r"/api/v4/(groups|projects)/([^/]+)/registry/repositories")
_PROJECTS = re.compile(r"/api/v4/groups/([^/]+)/projects")
_PROJECT = re.compile(r"/api/v4/projects/([^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Project:
    id: int
    path: str
    visibility: str
    registry_access: str

    @property
    def is_public(self) -> bool:
        return self.visibility == "public" and self.registry_access == "enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tag:
    name: str
    digest: Digest
    created_at: datetime
    published_at: datetime


class GitlabApi(ApiServer):
    """``/api/v4`` and ``/gitlab/v1`` from a table, the rest from the registry at ``registry_url``.

    ``tokens`` are those of members with the role Reporter. As GitLab does, it answers 404 for what is hidden, 403 to
    those who see a group and have no role in it, and links to the next page by its own name.

    :param has_database: the registry has a metadata database; otherwise it has no ``/gitlab/v1``.
    :param sorts: the registry sorts by time; earlier ones refuse that.
    """

    def __init__(
        self, registry_url: str, *, tokens: Collection[str] = (), has_database: bool = True, sorts: bool = True
    ) -> None:
        super().__init__(registry_url)
        self._tokens = frozenset(tokens)
        self._has_database = has_database
        self._sorts = sorts
        self._projects: dict[str, _Project] = {}
        self._repositories: dict[str, dict[str, _Tag]] = {}
        self._table = threading.RLock()

    def add_project(self, path: str, *, visibility: str = "public", registry_access: str = "enabled") -> None:
        """Add a project ``group/project``. Its repositories are those whose name begins with its path."""
        with self._table:
            number = len(self._projects) + 1
            self._projects[path] = _Project(
                id=number, path=path, visibility=visibility, registry_access=registry_access
            )

    def push(self, repository: str, tag: str, at: datetime, digest: Digest) -> None:
        """Push a tag, or move it."""
        with self._table:
            tags = self._repositories.setdefault(repository, {})
            created_at = tags[tag].created_at if tag in tags else at
            tags[tag] = _Tag(name=tag, digest=digest, created_at=created_at, published_at=at)

    def is_api(self, path: str) -> bool:
        return path.startswith(("/api/v4/", "/gitlab/v1/"))

    def answer_api(self, asked: Asked) -> Answer:
        with self._table:
            if match := _TAGS.fullmatch(asked.path):
                return self._list_tags(match[1], asked)
            if match := _REPOSITORIES.fullmatch(asked.path):
                return self._list_repositories(match[1], unquote(match[2]), asked)
            if match := _PROJECTS.fullmatch(asked.path):
                return self._list_projects(unquote(match[1]), asked)
            if match := _PROJECT.fullmatch(asked.path):
                project = self._projects.get(unquote(match[1]))
                return json_answer(_shown_project(project)) if project and self._sees(project, asked) else _missing()
        return _missing()

    def _sees(self, project: _Project, asked: Asked) -> bool:
        return project.visibility == "public" or asked.bearer in self._tokens

    def _list_tags(self, name: str, asked: Asked) -> Answer:
        size, sort = int(asked.query.get("n", DEFAULT_TAGS)), asked.query.get("sort", "name")
        tags = self._repositories.get(name)
        if not self._has_database or tags is None:
            return json_answer({"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known"}]}, 404)
        if size > MAX_TAGS or (sort != "name" and not self._sorts):
            return json_answer({"errors": [{"code": "INVALID_QUERY_PARAMETER_VALUE", "message": "invalid"}]}, 400)
        is_by_time = sort == "-published_at"
        rows = sorted(tags.values(), key=lambda tag: _marker(tag) if is_by_time else tag.name, reverse=is_by_time)
        if last := asked.query.get("last"):
            after = b64decode(last).decode() if is_by_time else last
            rows = [tag for tag in rows if (_marker(tag) < after if is_by_time else tag.name > after)]
        page, headers = rows[:size], dict[str, str]()
        if len(rows) > size:
            marker = b64encode(_marker(page[-1]).encode()).decode() if is_by_time else page[-1].name
            query = urlencode({**asked.query, "last": marker})
            headers["Link"] = f'<https://registry.internal{asked.path}?{query}>; rel="next"'
        return json_answer([_shown_tag(tag) for tag in page], headers=headers)

    def _list_repositories(self, kind: str, path: str, asked: Asked) -> Answer:
        projects = self._projects_of(kind, path, asked)
        if not projects:
            return _missing()
        if kind == "groups" and asked.bearer not in self._tokens:
            return json_answer({"message": "403 Forbidden"}, 403)
        rows = [
            {
                "id": number,
                "name": "",
                "path": name,
                "project_id": project.id,
                "location": f"{self.host}/{name}",
                "created_at": "2026-01-10T13:38:57.391Z",
            }
            for number, name in enumerate(sorted(self._repositories), start=1)
            for project in projects
            if f"{name}/".startswith(f"{project.path}/")
        ]
        return self._page(rows, asked)

    def _list_projects(self, path: str, asked: Asked) -> Answer:
        projects = self._projects_of("groups", path, asked)
        shown = [project for project in projects if project.visibility == asked.query.get("visibility")]
        return self._page([_shown_project(project) for project in shown], asked) if projects else _missing()

    def _projects_of(self, kind: str, path: str, asked: Asked) -> list[_Project]:
        own = [
            project
            for project in self._projects.values()
            if (project.path == path if kind == "projects" else project.path.startswith(f"{path}/"))
        ]
        return [project for project in own if self._sees(project, asked)]

    def _page(self, rows: list[dict[str, Any]], asked: Asked) -> Answer:
        number = int(asked.query.get("page", "1"))
        size = min(int(asked.query.get("per_page", DEFAULT_PAGE_SIZE)), MAX_PAGE_SIZE)
        start, query = (number - 1) * size, urlencode({**asked.query, "page": number + 1})
        following = f'<https://gitlab.internal{asked.path}?{query}>; rel="next"'
        headers = {"Link": following} if start + size < len(rows) else {}
        return json_answer(rows[start : start + size], headers=headers)


def _marker(tag: _Tag) -> str:
    return f"{_shown_time(tag.published_at)}|{tag.name}"


def _shown_project(project: _Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "path_with_namespace": project.path,
        "visibility": project.visibility,
        "container_registry_access_level": project.registry_access,
    }


def _shown_tag(tag: _Tag) -> dict[str, Any]:
    row = {
        "name": tag.name,
        "digest": str(tag.digest),
        "media_type": "application/vnd.oci.image.index.v1+json",
        "size_bytes": 286734237,
        "created_at": _shown_time(tag.created_at),
        "published_at": _shown_time(tag.published_at),
    }
    return {**row, **({"updated_at": _shown_time(tag.published_at)} if tag.published_at != tag.created_at else {})}


def _shown_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _missing() -> Answer:
    return json_answer({"message": "404 Not Found"}, 404)
