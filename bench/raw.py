"""``python -m bench.raw JOB``: the same images by GET and PUT alone, four at once, without any check.

It is the floor that tools are compared with where bytes count: nothing is hashed, looked up or verified.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from registry_sync.oci.manifest import ACCEPT

AT_ONCE = 4
CHUNK_BYTES = 1 << 20


def command(source: str, destination: str, images: dict[str, list[str]]) -> list[str]:
    """The command line that copies the tags of each repository; their manifests are images, not indexes."""
    job = {"source": source, "destination": destination, "images": images}
    return [sys.executable, "-m", "bench.raw", json.dumps(job)]


def main() -> None:
    job = json.loads(sys.argv[1])
    work = [(name, tag) for name, tags in job["images"].items() for tag in tags]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda image: _copy(job["source"], job["destination"], *image), work))


def _copy(source: str, destination: str, name: str, tag: str) -> None:
    here, there = http.client.HTTPConnection(source), http.client.HTTPConnection(destination)
    manifest, media_type = _manifest(here, name, tag)
    document = json.loads(manifest)
    for blob in (document["config"], *document["layers"]):
        _copy_blob(here, there, name, blob)
    headers = {"Content-Type": media_type}
    _send(there, "PUT", f"/v2/{name}/manifests/{tag}", headers=headers, body=manifest).read()


def _manifest(here: http.client.HTTPConnection, name: str, tag: str) -> tuple[bytes, str]:
    response = _send(here, "GET", f"/v2/{name}/manifests/{tag}", headers={"Accept": ACCEPT})
    return response.read(), response.headers["Content-Type"]


def _copy_blob(
    here: http.client.HTTPConnection, there: http.client.HTTPConnection, name: str, blob: dict[str, Any]
) -> None:
    started = _send(there, "POST", f"/v2/{name}/blobs/uploads/")
    started.read()
    location = urlsplit(started.headers["Location"])
    response = _send(here, "GET", f"/v2/{name}/blobs/{blob['digest']}")
    headers = {"Content-Length": str(blob["size"]), "Content-Type": "application/octet-stream"}
    path = f"{location.path}?{location.query}&digest={blob['digest']}"
    _send(there, "PUT", path, headers=headers, body=_chunks(response)).read()


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(CHUNK_BYTES):
        yield chunk


def _send(connection: http.client.HTTPConnection, method: str, path: str, **options: Any) -> http.client.HTTPResponse:
    connection.request(method, path, **options)
    response = connection.getresponse()
    if not 200 <= response.status < 300:
        raise SystemExit(f"{method} {path} answered {response.status}: {response.read()[:200]!r}")
    return response


if __name__ == "__main__":
    main()
