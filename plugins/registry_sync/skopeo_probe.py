"""What a skopeo can do that its version does not tell: whether it can verify sigstore signatures.

Debian builds its skopeo without that (seen with 1.9.3), and says so only when there is a signature to verify.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from registry_sync.private_directory import private_directory, writing
from registry_sync.skopeo_files import Workspace
from registry_sync.skopeo_program import SkopeoProgram, run

PROBE_SECONDS = 10
SIGSTORE_DISABLED = "sigstore disabled"

_DIRECTORY_VERSION = "Directory Transport Version: 1.2\n"
_MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{64 * '0'}", "size": 2},
    "layers": [],
}
_SIGNATURE = {
    "mimeType": "application/vnd.dev.cosign.simplesigning.v1+json",
    "payload": "e30=",
    "annotations": {"dev.cosignproject.cosign/signature": "AAAA"},
}


def can_verify_sigstore(skopeo: SkopeoProgram) -> bool:
    """Whether this skopeo gets as far as looking at a sigstore signature. It is given an image on disk with a bad one.

    :raises ConfigurationError: when it does not run at all.
    :raises TemporaryError: when there is no room for the image.
    """
    with private_directory() as directory:
        image, policy = directory / "image", directory / "policy.json"
        key = base64.b64encode(b"no key").decode()
        with writing():
            _write_image(image)
            policy.write_text(json.dumps({"default": [{"type": "sigstoreSigned", "keyData": key}]}))
        argv = [*skopeo.command, "--policy", str(policy), "copy", f"dir:{image}", f"dir:{directory / 'copy'}"]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), "LANG": "C.UTF-8"}
        said = run(skopeo, argv, Workspace(directory=directory, environment=environment), PROBE_SECONDS)
        return SIGSTORE_DISABLED not in said


def _write_image(directory: Path) -> None:
    """https://github.com/containers/image/blob/main/directory/directory_dest.go."""
    directory.mkdir()
    (directory / "version").write_text(_DIRECTORY_VERSION)
    (directory / "manifest.json").write_text(json.dumps(_MANIFEST))
    (directory / "signature-1").write_bytes(b"\0sigstore-json\n" + json.dumps(_SIGNATURE).encode())
