"""What a skopeo can do that its version does not tell: whether it can verify sigstore signatures.

Debian builds its skopeo without that (seen with 1.9.3), and says so only when there is a signature to verify.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from registry_sync.errors import ConfigurationError
from registry_sync.skopeo.config_files import PolicyFiles, Workspace
from registry_sync.skopeo.errors import SIGSTORE_DISABLED
from registry_sync.skopeo.runner import SkopeoProgram, run
from registry_sync.worker.private_directory import private_directory, writing

PROBE_SECONDS = 10

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


SIGSTORE = "sigstoreSigned"


def check_policies(policies: Iterable[PolicyFiles | None], skopeo: SkopeoProgram) -> None:
    """See that this worker can enforce what the routes ask for, before one of them starts.

    :raises ConfigurationError: when a file is not there or no policy, or asks for what this skopeo cannot do.
    """
    for trust in dict.fromkeys(policies):
        if trust is not None:
            _check(trust, skopeo)


def _check(trust: PolicyFiles, skopeo: SkopeoProgram) -> None:
    policy = _read_policy(trust)
    if trust.registries_d and not trust.registries_d.is_dir():
        raise ConfigurationError(f"there is no folder {str(trust.registries_d)!r}, the registries_d, on this worker")
    if SIGSTORE in _types(policy) and not can_verify_sigstore(skopeo):
        raise ConfigurationError(
            f"the policy {str(trust.policy)!r} asks for sigstore signatures ({SIGSTORE}), which {skopeo.shown} "
            f"{skopeo.version} cannot verify: Debian 12 builds it without; install skopeo 1.18 or later, as Debian 13 "
            "and https://github.com/containers/skopeo/blob/main/install.md have it, or ask for signedBy (GPG)"
        )


def _read_policy(trust: PolicyFiles) -> dict[str, Any]:
    where = f"the policy {str(trust.policy)!r}"
    try:
        document = json.loads(trust.policy.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read on this worker: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict) or "default" not in document:
        raise ConfigurationError(f"{where} is no containers-policy.json(5): it has no 'default'")
    return document


def _types(document: Any) -> Iterator[str]:
    """Every ``type`` of requirement, at whatever depth."""
    if isinstance(document, dict):
        if isinstance(kind := document.get("type"), str):
            yield kind
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from _types(each)
