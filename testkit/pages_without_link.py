"""Short pages of tags without ``Link`` in front of a real registry, as Nexus sends them."""

from __future__ import annotations

import re

from testkit.api_server import ApiServer, Asked, json_answer
from testkit.interceptor import Answer
from testkit.registry import RegistryProcess

_PATH = re.compile(r"/v2/(?P<name>.+)/tags/list")


class PagesWithoutLink(ApiServer):
    """``tags/list`` of ``registry`` in pages of ``page_size`` whatever ``n`` is; all other paths are the registry's."""

    def __init__(self, registry: RegistryProcess, *, page_size: int) -> None:
        super().__init__(registry.url)
        self._root = registry.storage / "docker" / "registry" / "v2" / "repositories"
        self._page_size = page_size

    def is_api(self, path: str) -> bool:
        return _PATH.fullmatch(path) is not None

    def answer_api(self, asked: Asked) -> Answer:
        """The names after ``last``."""
        match = _PATH.fullmatch(asked.path)
        tags = (self._root / match["name"] / "_manifests" / "tags").iterdir() if match else ()
        names = sorted(path.name for path in tags if path.name > asked.query.get("last", ""))
        return json_answer({"tags": names[: self._page_size]})
