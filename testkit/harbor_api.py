"""Harbor's API v2.0 in front of a real registry, as a real Harbor 2.16 answers.

``with_detail=false`` omits the metadata of a project, with its ``public``: ``assembleProjects`` in
https://github.com/goharbor/harbor/blob/v2.13.0/src/controller/project/controller.go, since 2.3 at the latest.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import requests

from registry_sync.oci.manifest import ACCEPT
from testkit.api_server import ApiServer, Asked, json_answer
from testkit.interceptor import Answer
from testkit.waiting import PATIENCE_SECONDS

BASE = "/api/v2.0/projects"
UNSIGNED = "The image is not signed by cosign."
_ARTIFACTS = re.compile(rf"{BASE}/([^/]+)/repositories/([^/]+)/artifacts(?:/([^/]+))?")


class HarborApi(ApiServer):
    """``/api/v2.0`` from the content of ``registry_url``; ``requests()`` counts the API and ``/v2``.

    :ivar accessories: of the artifacts that have any, by their digests.
    """

    def __init__(self, registry_url: str) -> None:
        super().__init__(registry_url)
        self._registry_url = registry_url
        self._projects: dict[str, dict[str, Any]] = {}
        self.accessories: dict[str, list[dict[str, Any]]] = {}

    def add_project(self, name: str, *, is_public: bool | None = True, registry_id: int = 0) -> None:
        """Add a project. ``registry_id`` makes it a proxy cache; ``is_public=None`` leaves it out of the metadata."""
        metadata = {} if is_public is None else {"public": str(is_public).lower()}
        proxy = {"registry_id": registry_id} if registry_id else {}
        self._projects[name] = {"project_id": len(self._projects) + 1, "name": name, "metadata": metadata, **proxy}

    def forbid_pulls(self) -> None:
        """Refuse to give unsigned images, as a project with content trust does. Pushes and the API go on."""
        problem = {"errors": [{"code": "PROJECTPOLICYVIOLATION", "message": UNSIGNED}]}
        for method in ("GET", "HEAD"):
            self.answer(method, "/manifests/", 412, json.dumps(problem).encode())

    def forget_project(self, name: str) -> None:
        """Answer requests for a project's repositories as if it did not exist: 401 with an empty challenge."""
        text = f"project {name} not found: project {name} not found"
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": text}]}).encode()
        for method in ("GET", "HEAD", "PUT", "POST"):
            self.answer(method, f"^/v2/{name}/", 401, body, {"WWW-Authenticate": ""})

    def is_api(self, path: str) -> bool:
        return path.startswith("/api/v2.0/")

    def answer_api(self, asked: Asked) -> Answer:
        if asked.path == BASE:
            return self._list_projects(asked)
        match = _ARTIFACTS.fullmatch(asked.path)
        name = asked.path.removeprefix(f"{BASE}/").removesuffix("/repositories")
        if match:
            return self._answer_artifacts(f"{match[1]}/{unquote(unquote(match[2]))}", match[3], asked)
        if name in self._projects:
            names = self._get("/v2/_catalog").get("repositories") or []
            return _page([{"name": each} for each in names if each.startswith(f"{name}/")])
        return _missing(f"project {name} not found")

    def _list_projects(self, asked: Asked) -> Answer:
        wanted = asked.query.get("q", "").removeprefix("name=")
        shown = [project for name, project in self._projects.items() if wanted in ("", name)]
        if asked.query.get("with_detail") == "false":
            shown = [{key: value for key, value in each.items() if key != "metadata"} for each in shown]
        return _page(shown)

    def _answer_artifacts(self, repository: str, reference: str | None, asked: Asked) -> Answer:
        has_accessories = asked.query.get("with_accessory") == "true"
        by_digest: dict[str, list[str]] = {}
        for tag in self._get(f"/v2/{repository}/tags/list").get("tags") or []:
            by_digest.setdefault(self._digest(repository, tag), []).append(tag)
        if reference is None:
            return _page([self._artifact(each, tags, has_accessories) for each, tags in by_digest.items()])
        digest = self._digest(repository, reference)
        return json_answer(self._artifact(digest, [], has_accessories)) if digest else _missing("artifact not found")

    def _artifact(self, digest: str, tags: list[str], has_accessories: bool) -> dict[str, Any]:
        accessories = self.accessories.get(digest) if has_accessories else None
        shown = [{"id": 1, "name": tag, "push_time": "2026-11-23T12:00:00.123Z", "immutable": False} for tag in tags]
        return {"id": 1, "digest": digest, "type": "IMAGE", "tags": shown or None, "accessories": accessories}

    def _digest(self, repository: str, reference: str) -> str:
        url = f"{self._registry_url}/v2/{repository}/manifests/{reference}"
        with requests.Session() as session:
            session.trust_env = False
            answer = session.head(url, headers={"Accept": ACCEPT}, timeout=PATIENCE_SECONDS)
        return answer.headers.get("Docker-Content-Digest", "")

    def _get(self, path: str) -> dict[str, Any]:
        with requests.Session() as session:
            session.trust_env = False
            document = session.get(f"{self._registry_url}{path}", timeout=PATIENCE_SECONDS).json()
        return document if isinstance(document, dict) else {}


def _page(items: list[dict[str, Any]]) -> Answer:
    return json_answer(items, headers={"X-Total-Count": str(len(items))})


def _missing(message: str) -> Answer:
    return json_answer({"errors": [{"code": "NOT_FOUND", "message": message}]}, 404)
