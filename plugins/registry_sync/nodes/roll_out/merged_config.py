"""Forms whose product merges settings of containerd into its own ``config.toml``: EKS and kind."""

from __future__ import annotations

from pathlib import PurePosixPath

from registry_sync.errors import ConfigurationError
from registry_sync.nodes.containerd_config import CRI_PLUGIN, IMAGES_PLUGIN
from registry_sync.nodes.roll_out.roll_out import RollOut
from registry_sync.nodes.roll_out.yaml_text import yaml_text

CONFIG = f"""\
# No version: this is merged into a file that has one. containerd ignores the plugin that its version does not have.
[plugins."{CRI_PLUGIN}".registry]
  config_path = "/etc/containerd/certs.d"

[plugins."{IMAGES_PLUGIN}".registry]
  config_path = "/etc/containerd/certs.d"
"""


def kind(roll_out: RollOut) -> str:
    """https://kind.sigs.k8s.io/docs/user/local-registry/: hosts.toml is mounted from the folder of this file."""
    _check_containerd(roll_out, "kind runs containerd")
    mounts = [
        {"hostPath": file.path.lstrip("/").removeprefix("etc/containerd/"), "containerPath": file.path}
        for file in roll_out.placed_files()
    ]
    document = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "containerdConfigPatches": [CONFIG],
        "nodes": [{"role": "control-plane", "extraMounts": mounts}],
    }
    return yaml_text(document)


def eks(roll_out: RollOut) -> str:
    """User data of AL2023: https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/api/."""
    _check_containerd(roll_out, "EKS' nodes run containerd")
    node = {"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": {"containerd": {"config": CONFIG}}}
    writes = "".join(
        f"mkdir -p {PurePosixPath(file.path).parent}\ncat > {file.path} <<'END_OF_FILE'\n{file.text}END_OF_FILE\n"
        for file in roll_out.placed_files()
    )
    return (
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="//"\n\n'
        f"--//\nContent-Type: text/x-shellscript\n\n#!/bin/sh\nset -eu\n{writes}"
        f"\n--//\nContent-Type: application/node.eks.aws\n\n{yaml_text(node)}\n--//--\n"
    )


def _check_containerd(roll_out: RollOut, reason: str) -> None:
    if roll_out.runtime != "containerd":
        raise ConfigurationError(f"{reason}; give --runtime containerd")
