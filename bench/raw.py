"""``python -m bench.raw JOB``: the same images by GET and PUT alone, four at once, without any check.

It is the floor that tools are compared with where bytes count: nothing is hashed, looked up or verified. Blobs pass
through this program, or through ``curl | curl`` as in a script.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from registry_sync.oci.manifest import ACCEPT

AT_ONCE = 4
CHUNK_BYTES = 1 << 20


def command(source: str, destination: str, images: dict[str, list[str]], *, curl: str | None = None) -> list[str]:
    """The command line that copies the tags of each repository; their manifests are images, not indexes.

    :param curl: path of the curl that moves blobs; ``None`` moves them here.
    """
    job = {"source": source, "destination": destination, "images": images, "curl": curl}
    return [sys.executable, "-m", "bench.raw", json.dumps(job)]


def main() -> None:
    job = json.loads(sys.argv[1])
    work = [(name, tag) for name, tags in job["images"].items() for tag in tags]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda image: _copy(job["source"], job["destination"], job["curl"], *image), work))


def _copy(source: str, destination: str, curl: str | None, name: str, tag: str) -> None:
    here, there = http.client.HTTPConnection(source), http.client.HTTPConnection(destination)
    manifest, media_type = _manifest(here, name, tag)
    document = json.loads(manifest)
    for blob in (document["config"], *document["layers"]):
        _copy_blob(here, there, curl, name, blob)
    headers = {"Content-Type": media_type}
    _send(there, "PUT", f"/v2/{name}/manifests/{tag}", headers=headers, body=manifest).read()


def _manifest(here: http.client.HTTPConnection, name: str, tag: str) -> tuple[bytes, str]:
    response = _send(here, "GET", f"/v2/{name}/manifests/{tag}", headers={"Accept": ACCEPT})
    return response.read(), response.headers["Content-Type"]


def _copy_blob(
    here: http.client.HTTPConnection,
    there: http.client.HTTPConnection,
    curl: str | None,
    name: str,
    blob: dict[str, Any],
) -> None:
    started = _send(there, "POST", f"/v2/{name}/blobs/uploads/")
    started.read()
    location = urlsplit(started.headers["Location"])
    target = f"{location.path}?{location.query}&digest={blob['digest']}"
    source = f"/v2/{name}/blobs/{blob['digest']}"
    headers = {"Content-Length": str(blob["size"]), "Content-Type": "application/octet-stream"}
    if curl:
        _pipe(curl, f"http://{here.host}:{here.port}{source}", f"http://{there.host}:{there.port}{target}", headers)
    else:
        response = _send(here, "GET", source)
        _send(there, "PUT", target, headers=headers, body=_chunks(response)).read()


def _pipe(curl: str, source: str, target: str, headers: dict[str, str]) -> None:
    """Run ``curl SOURCE | curl -T - TARGET``."""
    options = [option for name, value in headers.items() for option in ("-H", f"{name}: {value}")]
    with subprocess.Popen([curl, "-sSf", source], stdout=subprocess.PIPE) as reading:
        subprocess.run([curl, "-sSf", "-T", "-", *options, target], stdin=reading.stdout, check=True)
    if reading.returncode:
        raise SystemExit(f"curl {source} ended with {reading.returncode}")


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
