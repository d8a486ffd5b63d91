"""A registry in memory to read from, for content that a real registry does not accept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from registry_sync.oci.reference import Digest
from testkit.images import Image
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer

Hook = Callable[[ScriptedRequest], Reply | None]


class MemorySource(ScriptedServer):
    """Serves one repository under any name.

    :param hook: may answer a request first.
    :ivar algorithm: names the manifests.
    """

    def __init__(self, hook: Hook = lambda _: None, *, algorithm: str = "sha256") -> None:
        super().__init__(lambda request: hook(request) or self._reply(request))
        self.algorithm = algorithm
        self._tags: dict[str, str] = {}
        self._manifests: dict[str, Image] = {}
        self._blobs: dict[str, bytes] = {}

    def add(self, image: Image, tag: str | None = None) -> Digest:
        """Add an image with all of its content. Returns the digest of its manifest."""
        for child in image.children:
            self.add(child)
        for blob in image.blobs:
            self._blobs |= {str(Digest.of(blob.content, name)): blob.content for name in ("sha256", "sha512")}
        digest = Digest.of(image.content, self.algorithm)
        self._manifests[str(digest)] = image
        if tag:
            self._tags[tag] = str(digest)
        return digest

    def _reply(self, request: ScriptedRequest) -> Reply:
        path = urlsplit(request.target).path
        if path == "/v2/":
            return Reply(body=b"{}")
        if path.endswith("/tags/list"):
            return Reply(body=json.dumps({"name": "any", "tags": sorted(self._tags)}).encode())
        if match := re.search("/manifests/(.+)$", path):
            digest = self._tags.get(match[1], match[1])
            if image := self._manifests.get(digest):
                headers = {"Content-Type": image.media_type, "Docker-Content-Digest": digest}
                return Reply(body=image.content, headers=headers)
        if (match := re.search("/blobs/(.+)$", path)) and (blob := self._blobs.get(match[1])) is not None:
            return Reply(body=blob)
        return Reply(status=404, body=b'{"errors": [{"code": "NOT_FOUND"}]}')
