"""The command line of ``skopeo copy``."""

from __future__ import annotations

from registry_sync.oci.reference import Digest, Reference
from registry_sync.skopeo.config_files import SideFiles, SkopeoFiles
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.runner import SkopeoProgram


def copy_argv(
    program: SkopeoProgram, files: SkopeoFiles, image: ImageCopy, *, timeout_seconds: float, is_quiet: bool = False
) -> list[str]:
    """The command line that copies one digest unchanged.

    Without ``--preserve-digests`` a temporary error can make skopeo push other bytes and report success. Without
    ``--format`` skopeo reports every failure of an index with the same text about converting it.

    :param timeout_seconds: skopeo ends itself after this time, in case the worker was killed.
    :param is_quiet: print errors and warnings only.
    """
    policy_files = files.policy_files if image.enforces_policy else None
    return [
        *program.command,
        *("--command-timeout", f"{timeout_seconds}s"),
        *("--policy", str(policy_files.policy if policy_files else files.default_policy)),
        *("--registries.d", str((policy_files and policy_files.registries_d) or files.empty_registries_d)),
        *("--tmpdir", str(files.temporary)),
        "copy",
        *(("--quiet",) if is_quiet else ()),
        *(("--all", "--preserve-digests", "--format", image.format) if image.is_index else ("--preserve-digests",)),
        # skopeo verifies signatures, and our own client copies them as tags.
        *(("--remove-signatures",) if policy_files else ()),
        *_side_arguments("src", files.source),
        *_side_arguments("dest", files.destination),
        _image_argument(files.source, image.source),
        _image_argument(files.destination, image.destination),
    ]


def _side_arguments(side: str, files: SideFiles) -> list[str]:
    arguments = [f"--{side}-authfile", str(files.auth_file)]
    if files.cert_dir:
        arguments += [f"--{side}-cert-dir", str(files.cert_dir)]
    if not files.tls:
        arguments += [f"--{side}-tls-verify=false"]
    return arguments


def _image_argument(files: SideFiles, reference: Reference) -> str:
    separator = "@" if isinstance(reference.target, Digest) else ":"
    return f"docker://{files.host}/{reference.repository.name}{separator}{reference.target}"
