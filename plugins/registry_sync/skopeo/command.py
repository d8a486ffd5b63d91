"""The arguments of ``skopeo copy``."""

from __future__ import annotations

from registry_sync.oci.reference import Reference
from registry_sync.skopeo.config_files import SideFiles, SkopeoFiles
from registry_sync.skopeo.runner import SkopeoProgram


def copy_argv(
    program: SkopeoProgram,
    files: SkopeoFiles,
    source: Reference,
    destination: Reference,
    *,
    is_index: bool,
    format: str,
    timeout_seconds: float,
    is_checked: bool = True,
) -> list[str]:
    """The command that copies one digest unchanged.

    ``--preserve-digests``: without it a passing fault makes skopeo push other bytes, and succeed. ``--format``, the
    index's own: without it skopeo answers every failure of an index with the same text about converting it.

    :param format: ``oci`` or ``v2s2``.
    :param timeout_seconds: after that long skopeo ends by itself, should nobody be left to end it.
    :param is_checked: by the trust policy, if there is one. Signatures themselves are not signed. Those that skopeo
        finds for its check stay behind: a destination has no place for them, but tags, and those we copy ourselves.
    """
    trust = files.trust if is_checked else None
    return [
        *program.command,
        *("--command-timeout", f"{timeout_seconds}s"),
        *("--policy", str(trust.policy if trust else files.policy)),
        *("--registries.d", str((trust and trust.registries_d) or files.registries_d)),
        *("--tmpdir", str(files.temporary)),
        "copy",
        *(("--all", "--preserve-digests", "--format", format) if is_index else ("--preserve-digests",)),
        *(("--remove-signatures",) if trust else ()),
        *_side_arguments("src", files.source),
        *_side_arguments("dest", files.destination),
        _image_argument(files.source, source),
        _image_argument(files.destination, destination),
    ]


def _side_arguments(side: str, files: SideFiles) -> list[str]:
    arguments = [f"--{side}-authfile", str(files.auth_file)]
    if files.cert_dir:
        arguments += [f"--{side}-cert-dir", str(files.cert_dir)]
    if not files.tls:
        arguments += [f"--{side}-tls-verify=false"]
    return arguments


def _image_argument(files: SideFiles, reference: Reference) -> str:
    return f"docker://{files.host}{str(reference).removeprefix(reference.repository.host)}"
