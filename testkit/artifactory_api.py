"""Artifactory's query language and catalogs in front of a real registry. Tests set its repositories and manifests.

It answers the queries of our client only, as JFrog's pages describe: https://jfrog.com/help/r/jfrog-rest-apis/aql-execution.
"""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from registry_sync.oci.reference import Digest
from testkit.api_server import ApiServer, Asked, json_answer
from testkit.interceptor import Answer

_QUERY = re.compile(r"items\.find\((\{.*\})\)\.include\((.*)\)")
_CATALOG = re.compile(r"/artifactory/api/docker/([^/]+)/v2/_catalog")

TRIMMED = "AQL query reached the search hard limit, results are trimmed."


class ArtifactoryApi(ApiServer):
    """``/artifactory/api`` from a table, and ``/v2`` from the registry at ``registry_url``.

    :ivar types: the type of each of Artifactory's own repositories, by its key; local by default.
    :ivar queries: the queries so far.
    :ivar is_trimmed: answers say that they reached the limit of a search.
    """

    def __init__(self, registry_url: str) -> None:
        super().__init__(registry_url)
        self.types: dict[str, str] = {}
        self.queries: list[str] = []
        self.is_trimmed = False
        self._items: list[dict[str, Any]] = []
        self._table = threading.RLock()

    def push(self, repository: str, tag: str, at: datetime, digest: Digest, *, is_index: bool = False) -> None:
        """Push a tag to ``key/image``, in place of an earlier one of the same type."""
        key, _, image = repository.partition("/")
        place = {"repo": key, "path": f"{image}/{tag}", "name": "list.manifest.json" if is_index else "manifest.json"}
        time = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        with self._table:
            self.types.setdefault(key, "LOCAL")
            self._items = [item for item in self._items if place.items() - item.items()]
            times = {"created": "2020-01-01T00:00:00.000Z", "modified": "2020-01-01T00:00:00.000Z", "updated": time}
            self._items.append({**place, "sha256": digest.encoded, **times})

    def is_api(self, path: str) -> bool:
        return path.startswith("/artifactory/api/")

    def answer_api(self, asked: Asked) -> Answer:
        with self._table:
            if asked.path == "/artifactory/api/repositories":
                return json_answer([{"key": key, "type": kind, "url": "u"} for key, kind in self.types.items()])
            if match := _CATALOG.fullmatch(asked.path):
                own = [item["path"].rpartition("/")[0] for item in self._items if item["repo"] == match[1]]
                return json_answer({"repositories": sorted(set(own))})
            if asked.path == "/artifactory/api/search/aql" and asked.method == "POST":
                return self._search(asked.body.decode())
        return json_answer({"errors": [{"status": 404, "message": "Not Found"}]}, 404)

    def _search(self, query: str) -> Answer:
        self.queries.append(query)
        if (match := _QUERY.fullmatch(query)) is None:
            return json_answer({"errors": [{"message": "Failed to parse query"}]}, 400)
        criteria, fields = json.loads(match[1]), json.loads(f"[{match[2]}]")
        names = {choice["name"] for choice in criteria["$or"]}
        found = [
            {field: item[field] for field in fields}
            for item in self._items
            if item["repo"] == criteria["repo"]
            and item["name"] in names
            and fnmatchcase(item["path"], criteria["path"]["$match"])
        ]
        extent = {"start_pos": 0, "end_pos": len(found), "total": len(found)}
        return json_answer(
            {"results": found, "range": {**extent, **({"notification": TRIMMED} if self.is_trimmed else {})}}
        )
