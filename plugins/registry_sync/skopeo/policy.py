"""Checks that a worker can enforce the policies of its routes, before the first of them starts.

Some builds of skopeo cannot verify sigstore signatures, as Debian's 1.9.3. They report this only when they verify one,
so a probe copies an image with a sigstore signature from disk to disk.
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
from registry_sync.skopeo.error_texts import SIGSTORE_DISABLED
from registry_sync.skopeo.runner import SkopeoProgram, run
from registry_sync.worker.private_directory import private_directory, writing

SIGSTORE = "sigstoreSigned"
"""The type of requirement in a policy that needs a skopeo with sigstore."""

PROBE_SECONDS = 10
"""Timeout of the probe."""

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
    """Return whether this skopeo verifies sigstore signatures, by giving it an image on disk with an invalid one.

    :raises TemporaryError: when the image cannot be written, or skopeo does not run now.
    """
    with private_directory() as directory:
        image, policy = directory / "image", directory / "policy.json"
        invalid_key = base64.b64encode(b"no key").decode()
        with writing():
            _write_image(image)
            policy.write_text(json.dumps({"default": [{"type": SIGSTORE, "keyData": invalid_key}]}))
        argv = [*skopeo.command, "--policy", str(policy), "copy", f"dir:{image}", f"dir:{directory / 'copy'}"]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), "LANG": "C.UTF-8"}
        output = run(skopeo, argv, Workspace(directory=directory, environment=environment), PROBE_SECONDS)
        return SIGSTORE_DISABLED not in output


def _write_image(directory: Path) -> None:
    """Write an image with an invalid signature in skopeo's ``dir:`` layout.

    https://github.com/containers/image/blob/main/directory/directory_dest.go
    """
    directory.mkdir()
    (directory / "version").write_text(_DIRECTORY_VERSION)
    (directory / "manifest.json").write_text(json.dumps(_MANIFEST))
    (directory / "signature-1").write_bytes(b"\0sigstore-json\n" + json.dumps(_SIGNATURE).encode())


def check_policies(policies: Iterable[PolicyFiles | None], skopeo: SkopeoProgram) -> None:
    """Check each policy once: its files exist, it can be parsed, and this skopeo can enforce it.

    :raises ConfigurationError: when a check fails.
    :raises TemporaryError: when skopeo cannot be asked now.
    """
    for policy_files in dict.fromkeys(policies):
        if policy_files is not None:
            _check(policy_files, skopeo)


def _check(policy_files: PolicyFiles, skopeo: SkopeoProgram) -> None:
    policy = _read_policy(policy_files)
    if policy_files.registries_d and not policy_files.registries_d.is_dir():
        raise ConfigurationError(f"registries_d {str(policy_files.registries_d)!r} is not a directory on this worker")
    if SIGSTORE in _list_types(policy) and not can_verify_sigstore(skopeo):
        raise ConfigurationError(
            f"the policy {str(policy_files.policy)!r} requires sigstore signatures ({SIGSTORE}), which {skopeo.label} "
            f"{skopeo.version} cannot verify: Debian 12 builds it without; install skopeo 1.18 or later, as Debian 13 "
            "and https://github.com/containers/skopeo/blob/main/install.md have it, or require signedBy (GPG)"
        )


def _read_policy(policy_files: PolicyFiles) -> dict[str, Any]:
    where = f"the policy {str(policy_files.policy)!r}"
    try:
        document = json.loads(policy_files.policy.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read on this worker: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict) or "default" not in document:
        raise ConfigurationError(f"{where} is not a containers-policy.json(5): it has no 'default'")
    return document


def _list_types(document: Any) -> Iterator[str]:
    """The ``type`` of every requirement, at any depth."""
    if isinstance(document, dict):
        if isinstance(kind := document.get("type"), str):
            yield kind
        document = list(document.values())
    if isinstance(document, list):
        for item in document:
            yield from _list_types(item)
