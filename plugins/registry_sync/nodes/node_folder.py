"""Read a folder with the files of a node, as they are on it, into one document for its runtime.

The folder is a copy of ``/``, of ``/etc``, or of the runtime's own folder below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry_sync.config.node_pools import Runtime
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.containerd_config import CRI_PLUGIN, IMAGES_PLUGIN
from registry_sync.nodes.runtime_files import FORMATS, read_document

HOMES: Mapping[Runtime, tuple[str, ...]] = {
    "docker": ("etc/docker",),
    "containerd": ("etc/containerd",),
    "crio": ("etc/containers",),
    "k3s": ("etc/rancher/k3s", "etc/rancher/rke2"),
    "talos": (),
}
"""The folders of a machine that have a runtime's files."""

MAIN_FILES: Mapping[Runtime, tuple[str, ...]] = {
    "docker": ("daemon.json",),
    "containerd": ("config.toml", "certs.d"),
    "crio": ("registries.conf", "registries.conf.d"),
    "k3s": ("registries.yaml",),
    "talos": ("*.yaml", "*.yml"),
}
"""The files and folders of which a node has at least one, below its home."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFolder:
    """The files of a node.

    ``main``: the settings of all its files but hosts.toml, as if in one file; ``None`` where it has none.
    ``hosts``: for containerd, the folders below ``certs.d`` that have a hosts.toml. ``imported``: the files that its
    config.toml imports, in their order.
    """

    main: Any
    hosts: Mapping[str, Path]
    imported: Mapping[Path, Any] = field(default_factory=dict)


def read_node_folder(folder: Path, runtime: Runtime) -> NodeFolder:
    """Read the files of a node.

    :raises ConfigurationError: when a file cannot be read, or the folder has no file of the runtime.
    """
    home = _find_home(folder, runtime)
    _refuse_links_outside(folder, home)
    match runtime:
        case "containerd":
            main, imported = _read_containerd(folder, home)
            return NodeFolder(main=main, hosts=_find_hosts(home / "certs.d"), imported=imported)
        case "crio":
            return NodeFolder(main=_read_crio(home), hosts={})
        case "talos":
            documents = [read_document(path, runtime) for path in sorted([*home.glob("*.yaml"), *home.glob("*.yml")])]
            return NodeFolder(main=[part for document in documents for part in document], hosts={})
    return NodeFolder(main=read_document(home / FORMATS[runtime].name, runtime), hosts={})


def _find_home(folder: Path, runtime: Runtime) -> Path:
    places = [place for home in HOMES[runtime] for place in (home, home.removeprefix("etc/"))]
    for home in (*(folder / place for place in places), folder):
        if any(any(home.glob(name)) for name in MAIN_FILES[runtime]):
            return home
    files = [f"{home}/{name}" for home in HOMES[runtime] or (".",) for name in MAIN_FILES[runtime]]
    raise ConfigurationError(f"{folder}: it has no file of {runtime}, such as {' or '.join(files)}")


_SUFFIXES = frozenset({".toml", ".json", ".conf", ".yaml", ".yml"})


def _refuse_links_outside(folder: Path, home: Path) -> None:
    """:raises ConfigurationError: for a link that leads out of the folder: to a file of this machine, or to none."""
    root = folder.resolve()
    for path in (home, *home.rglob("*")):
        is_read = path.suffix in _SUFFIXES or path.is_dir()
        if path.is_symlink() and is_read and not path.resolve().is_relative_to(root):
            target = path.readlink()
            raise ConfigurationError(f"{path}: a symbolic link to {target}, which leads out of {folder}; copy by cp -L")


def _find_hosts(certs: Path) -> dict[str, Path]:
    return {path.parent.name: path for path in sorted(certs.glob("*/hosts.toml"))}


def _read_containerd(root: Path, home: Path) -> tuple[Any, dict[Path, Any]]:
    """The ``config.toml`` with the files that it imports, which override it (``imports``, from containerd 1.3 on).

    Also returns the imported files by themselves, because containerd before 2.0 does not join tables of one plugin.
    """
    path = home / "config.toml"
    read: dict[Path, Any] = {}
    if not path.exists():
        return None, read
    document = read_document(path, "containerd")
    imports = document.get("imports")
    for pattern in imports if isinstance(imports, Sequence) and not isinstance(imports, str) else ():
        for imported in _find_imports(str(pattern), root, home):
            read[imported] = read_document(imported, "containerd")
            document = _merge(document, _as_version_of(document, read[imported]))
    return document, read


def _find_imports(pattern: str, root: Path, home: Path) -> list[Path]:
    """The files of the copy that a pattern such as ``/etc/containerd/conf.d/*.toml`` names."""
    absolute = pattern.removeprefix("/")
    places = ((home, absolute.removeprefix("etc/containerd/")), (root, absolute))
    found = {path.resolve(): path for place, name in places if name for path in sorted(place.glob(name))}
    return list(found.values())


def _as_version_of(document: Mapping[str, Any], imported: Mapping[str, Any]) -> Mapping[str, Any]:
    """An imported file with the plugin id of the main file's version: containerd migrates each file alone."""
    rest = {key: value for key, value in imported.items() if key != "version"}
    plugins = rest.get("plugins")
    if imported.get("version") == 2 and document.get("version") != 2 and isinstance(plugins, Mapping):
        renamed = {IMAGES_PLUGIN if name == CRI_PLUGIN else name: plugin for name, plugin in plugins.items()}
        return {**rest, "plugins": renamed}
    return rest


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _read_crio(home: Path) -> Any:
    """All tables of ``registries.conf`` and its drop-ins. A later file replaces tables with the same prefix.

    https://github.com/containers/image/blob/main/docs/containers-registries.conf.d.5.md
    """
    main = home / "registries.conf"
    paths = [*([main] if main.exists() else []), *sorted((home / "registries.conf.d").glob("*.conf"))]
    tables: list[Any] = []
    for path in paths:
        own = _tables(read_document(path, "crio").get("registry"))
        prefixes = {_prefix(table) for table in own}
        tables = [table for table in tables if _prefix(table) not in prefixes] + own
    return {"registry": tables} if tables else {}


def _tables(value: Any) -> list[Any]:
    return [table for table in value if isinstance(table, Mapping)] if isinstance(value, Iterable) else []


def _prefix(table: Mapping[str, Any]) -> Any:
    return table.get("prefix", table.get("location"))
