"""A shell script that puts a runtime's rendered files onto a machine, and restarts the runtime only where needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry_sync.config.node_pools import Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.containerd_config import CRI_PLUGIN, IMAGES_PLUGIN
from registry_sync.nodes.render import RenderedFile, render_template

TARGETS: Mapping[Runtime, Mapping[str, str]] = {
    "containerd": {"hosts.toml": "/etc/containerd/{path}"},
    "crio": {"registries.conf": "/etc/containers/registries.conf.d/50-registry-sync.conf"},
    "k3s": {"registries.yaml": "$home/registries.yaml"},
}
"""Paths of whole files, by runtime. ``$home`` is that of k3s or RKE2.

containerd's config.toml is edited, not replaced.
"""

HOMES: Mapping[Runtime, str] = {
    "containerd": "/etc/containerd",
    "crio": "/etc/containers/registries.conf.d",
    "k3s": "/etc/rancher/k3s",
}

ACTIONS: Mapping[Runtime, str] = {
    "containerd": "systemctl try-restart containerd",
    "crio": "systemctl try-reload-or-restart crio",
    "k3s": 'systemctl try-restart "k3s*.service" "rke2-*.service"',
}
"""Commands that make a running runtime read a changed file. containerd needs one for config.toml only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFile:
    """A rendered file with its absolute path on the machine."""

    path: str
    text: str


def place_files(files: Sequence[RenderedFile], runtime: Runtime) -> list[PlacedFile]:
    """The files that are put onto a machine whole.

    :raises ConfigurationError: for runtimes whose file has to be merged into an existing one.
    """
    if runtime not in TARGETS:
        raise ConfigurationError(
            f"{runtime} has one file for all its settings, which cannot be replaced by a script: render without --as, "
            "and merge the file"
        )
    targets = TARGETS[runtime]
    return [
        PlacedFile(path=targets[file.path.name].format(path=file.path), text=file.text)
        for file in files
        if file.path.name in targets
    ]


def install_script(files: Sequence[RenderedFile], runtime: Runtime, versions: Versions, mirrors: Sequence[str]) -> str:
    """The script.

    :param versions: of the runtime on the machines.
    :param mirrors: hosts of the pool's mirrors; a left-over ``_default/`` is known by them.
    :raises ConfigurationError: as :func:`place_files` does.
    """
    placed = place_files(files, runtime)
    return render_template(
        "install.sh.j2",
        runtime=runtime,
        is_2=versions.are_at_least("2"),
        files=placed,
        hosts=mirrors,
        home=HOMES[runtime],
        action=ACTIONS[runtime],
        plugins=(CRI_PLUGIN, IMAGES_PLUGIN),
    )
