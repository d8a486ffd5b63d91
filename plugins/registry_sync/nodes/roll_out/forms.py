"""The table of forms of ``nodes render --as``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.nodes.render import RenderedFile
from registry_sync.nodes.roll_out.daemon_set import daemon_set
from registry_sync.nodes.roll_out.kyverno import kyverno
from registry_sync.nodes.roll_out.machines import ansible, butane, cloud_init, script
from registry_sync.nodes.roll_out.merged_config import eks, kind
from registry_sync.nodes.roll_out.products import buildkit, gke, openshift
from registry_sync.nodes.roll_out.roll_out import RollOut

FORMS: Mapping[str, tuple[str, Callable[[RollOut], str]]] = {
    "script": ("install.sh", script),
    "cloud-init": ("user-data.yaml", cloud_init),
    "butane": ("mirrors.yaml", butane),
    "ansible": ("tasks.yaml", ansible),
    "daemonset": ("daemonset.yaml", daemon_set),
    "eks": ("user-data.txt", eks),
    "gke": ("containerd-config.yaml", gke),
    "kind": ("kind.yaml", kind),
    "buildkit": ("buildkitd.toml", buildkit),
    "kyverno": ("kyverno.yaml", kyverno),
    "openshift": ("mirror-sets.yaml", openshift),
}
"""The name of the file, and the function that writes it, by the name of the form."""


def render_as(
    form: str, file: MirrorsFile, pool: NodePool, runtime: Runtime | None, versions: Versions
) -> RenderedFile:
    """The file that brings a pool's configuration onto its machines.

    :param runtime: if it is known; some forms need none.
    :raises ConfigurationError: when the form does not fit the runtime or the pool.
    """
    name, write = FORMS[form]
    roll_out = RollOut(file=file, pool=pool, chosen_runtime=runtime, versions=versions)
    return RenderedFile(path=PurePosixPath(name), text=write(roll_out))
