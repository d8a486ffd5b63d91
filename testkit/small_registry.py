"""A registry in memory, with habits of registries that tests cannot install.

Gitea folds the case of tags; distribution 3, zot, olareg and Gitea delete a tag alone.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from registry_sync.oci.reference import Digest
from testkit.loopback import LoopbackHandler, LoopbackServer, Request

Deletes = Literal["tags", "images", "images by tag"]
"""DELETE of a tag deletes it alone, or is refused; or it deletes the image with all its tags, against the spec."""


@dataclass(slots=True)
class _Stored:
    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)


class SmallRegistry:
    """A registry from ``with`` to the block's end. ``requests()`` are those so far, oldest first.

    :param missing_status: the answer about tags, manifests and repositories that are missing, such as JFrog's 403.
    """

    def __init__(
        self, *, folds_case: bool = False, deletes: Deletes = "tags", missing_status: int | None = None
    ) -> None:
        self.folds_case = folds_case
        self.missing_status = missing_status
        self.deletes = deletes
        self.stored: dict[str, _Stored] = defaultdict(_Stored)
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.lock = threading.RLock()
        self._requests: list[Request] = []
        self._server = LoopbackServer(partial(_Handler, self))

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``."""
        return self._server.host

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def tags(self, repository: str) -> dict[str, Digest]:
        """The tags of a repository, as it lists them, with their digests."""
        with self.lock:
            return {tag: Digest.parse(digest) for tag, digest in sorted(self.stored[repository].tags.items())}

    def requests(self) -> list[Request]:
        with self.lock:
            return list(self._requests)

    def clear_requests(self) -> None:
        with self.lock:
            self._requests.clear()

    def note(self, request: Request) -> None:
        with self.lock:
            self._requests.append(request)

    def name_of(self, tag: str) -> str:
        """The name under which a tag is stored."""
        return tag.lower() if self.folds_case else tag

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


_PATH = re.compile(r"/v2/(?P<name>.+?)/(?P<what>manifests|blobs|tags|referrers)/(?P<rest>.+)")


class _Handler(LoopbackHandler):
    def __init__(self, registry: SmallRegistry, *args: Any) -> None:
        self._registry = registry
        super().__init__(*args)

    def do_any(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self._body = b"".join(iter(self._chunk, b""))
        url = urlsplit(self.path)
        with self._registry.lock:
            status, headers, body = self._answer(url.path, parse_qs(url.query))
        self._registry.note(Request(method=self.command, path=url.path, query=url.query, status=status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 - names of the base class

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        if path == "/v2/":
            return 200, {}, b"{}"
        if path == "/v2/_catalog":
            names = sorted(name for name, stored in self._registry.stored.items() if stored.manifests)
            return 200, {}, json.dumps({"repositories": names}).encode()
        found = _PATH.fullmatch(path)
        if found is None:
            return _problem(404, "NAME_UNKNOWN")
        stored, rest = self._registry.stored[found["name"]], found["rest"]
        match found["what"]:
            case "tags":
                if not stored.manifests:
                    return _problem(self._registry.missing_status or 404, "NAME_UNKNOWN")
                return 200, {}, json.dumps({"name": found["name"], "tags": sorted(stored.tags)}).encode()
            case "manifests":
                return self._manifest(stored, rest)
            case "blobs":
                return self._blob(found["name"], rest, query)
        return _problem(404, "UNSUPPORTED")

    def _manifest(self, stored: _Stored, reference: str) -> tuple[int, dict[str, str], bytes]:
        is_digest = ":" in reference
        tag = self._registry.name_of(reference)
        if self.command == "PUT":
            digest = str(Digest.of(self._body))
            stored.manifests[digest] = self.headers["Content-Type"], self._body
            if not is_digest:
                stored.tags[tag] = digest
            return 201, {"Docker-Content-Digest": digest}, b""
        found = reference if is_digest else stored.tags.get(tag)
        if found is None or found not in stored.manifests:
            return _problem(self._registry.missing_status or 404, "MANIFEST_UNKNOWN")
        if self.command == "DELETE":
            return self._delete(stored, tag, found, is_digest=is_digest)
        media_type, content = stored.manifests[found]
        return 200, {"Docker-Content-Digest": found, "Content-Type": media_type}, content

    def _delete(self, stored: _Stored, tag: str, digest: str, *, is_digest: bool) -> tuple[int, dict[str, str], bytes]:
        if not is_digest and self._registry.deletes == "images":
            return _problem(400, "UNSUPPORTED")
        if not is_digest and self._registry.deletes == "tags":
            del stored.tags[tag]
            return 202, {}, b""
        del stored.manifests[digest]
        stored.tags = {name: named for name, named in stored.tags.items() if named != digest}
        return 202, {}, b""

    def _blob(self, name: str, rest: str, query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        blobs, uploads = self._registry.blobs, self._registry.uploads
        if not rest.startswith("uploads/"):
            return (
                (200, {"Docker-Content-Digest": rest}, blobs[rest]) if rest in blobs else _problem(404, "BLOB_UNKNOWN")
            )
        upload = rest.removeprefix("uploads/") or secrets.token_hex(8)
        uploads[upload] = uploads.get(upload, b"") + self._body
        if "digest" in query:
            blobs[query["digest"][0]] = uploads.pop(upload)
            return 201, {"Docker-Content-Digest": query["digest"][0]}, b""
        return 202, {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Range": f"0-{len(uploads[upload]) - 1}"}, b""


def _problem(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps({"errors": [{"code": code}]}).encode()
