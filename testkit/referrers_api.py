"""The referrers API of OCI 1.1 in front of a real registry without it, over that registry's storage.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from registry_sync.oci.manifest import INDEX_TYPES, OCI_INDEX, OCI_MANIFEST
from testkit.api_server import ApiServer, Asked, json_answer
from testkit.interceptor import Answer
from testkit.registry import RegistryProcess

_PATH = re.compile(r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ReferrersApi(ApiServer):
    """``/v2/<name>/referrers/<digest>`` from the storage of ``registry``; all other paths from the registry itself.

    Pages of ``page_size`` have a ``Link`` to the next one.
    """

    def __init__(self, registry: RegistryProcess, *, page_size: int = 100) -> None:
        super().__init__(registry.url)
        self._root = registry.storage / "docker" / "registry" / "v2"
        self._page_size = page_size

    def is_api(self, path: str) -> bool:
        return _PATH.fullmatch(path) is not None

    def answer_api(self, asked: Asked) -> Answer:
        """An index of the digest's referrers; empty when it has none or does not exist."""
        match = _PATH.fullmatch(asked.path)
        if match is None or not _DIGEST.fullmatch(match["digest"]):
            return json_answer({"errors": [{"code": "DIGEST_INVALID", "message": "no digest"}]}, 400)
        found = sorted(self._referrers(match["name"], match["digest"]), key=lambda referrer: str(referrer["digest"]))
        start = int(asked.query.get("start", "0"))
        headers = {"Content-Type": OCI_INDEX}
        if start + self._page_size < len(found):
            headers["Link"] = f'<{asked.path}?start={start + self._page_size}>; rel="next"'
        page = found[start : start + self._page_size]
        return json_answer({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page}, headers=headers)

    def _referrers(self, name: str, subject: str) -> Iterator[dict[str, Any]]:
        for revision in (self._root / "repositories" / name / "_manifests" / "revisions" / "sha256").glob("*"):
            blob = self._root / "blobs" / "sha256" / revision.name[:2] / revision.name / "data"
            if not (revision / "link").exists() or not blob.exists():
                continue
            content = blob.read_bytes()
            document = json.loads(content)
            if document.get("subject", {}).get("digest") == subject:
                yield _descriptor(document, f"sha256:{revision.name}", len(content))


def _descriptor(document: dict[str, Any], digest: str, size_bytes: int) -> dict[str, Any]:
    """Descriptor of a referrer. An image manifest without ``artifactType`` has its config's media type."""
    media_type = document.get("mediaType", OCI_MANIFEST)
    kind = document.get("artifactType") or ("" if media_type in INDEX_TYPES else document["config"]["mediaType"])
    found = {"mediaType": media_type, "digest": digest, "size": size_bytes}
    found |= {"artifactType": kind} if kind else {}
    return {**found, **({"annotations": document["annotations"]} if document.get("annotations") else {})}
