"""A whole mirrors file, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from registry_sync.config.mirror import Mirror
from registry_sync.config.node_pools import NodePool
from registry_sync.config.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorsFile:
    """A whole mirrors file, checked; names are unique and every name that is used exists.

    :ivar note: says that this is an earlier text of the file, because the present one cannot be read; else empty.
    :ivar path: of the file, or of the folder with several.
    :ivar mirror_files: the file of each mirror.
    :ivar problems: mistakes in the file, each as ``file:line: message``. Mirrors and node pools with one are left out.
    """

    path: Path
    registries: Mapping[str, Registry]
    mirrors: Mapping[str, Mirror]
    node_pools: Mapping[str, NodePool] = field(default_factory=dict)
    note: str = ""
    problems: tuple[str, ...] = ()
    mirror_files: Mapping[str, Path] = field(default_factory=dict)
