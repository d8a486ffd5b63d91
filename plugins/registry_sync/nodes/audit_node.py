"""Compare all files of a node with the rendered ones, and find folders below ``certs.d`` that were not rendered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.compare_file import Difference, compare_document, compare_file
from registry_sync.nodes.containerd_config import CRI_PLUGIN, cri_plugin_of
from registry_sync.nodes.node_folder import NodeFolder, read_node_folder
from registry_sync.nodes.render import hosts_folder
from registry_sync.nodes.runtime_files import same_registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The pool that nodes are compared with. ``allowed``: globs of keys that nodes may have besides."""

    file: MirrorsFile
    pool: NodePool
    runtime: Runtime
    versions: Versions
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAudit:
    """The result for one node, a file or a folder with its files. ``problem``: why it could not be read, if so."""

    path: Path
    differences: tuple[Difference, ...] = ()
    problem: str = ""


def audit_node(baseline: Baseline, path: Path) -> NodeAudit:
    """Compare a node's folder, or one file. A node that cannot be read does not hide others."""
    try:
        differences = [*_compare_node(baseline, path)]
    except ConfigurationError as error:
        return NodeAudit(path=path, problem=str(error))
    kept = tuple(difference for difference in differences if not _is_allowed(difference, baseline.allowed))
    return NodeAudit(path=path, differences=kept)


def _is_allowed(difference: Difference, allowed: Sequence[str]) -> bool:
    """Only additional keys can be allowed: missing keys, other values and typos break the rendered configuration."""
    return difference.verdict == "unexpected" and any(fnmatchcase(difference.key, pattern) for pattern in allowed)


def _compare_node(baseline: Baseline, path: Path) -> Iterator[Difference]:
    if not path.is_dir():
        yield from compare_file(baseline.file, baseline.pool, baseline.runtime, baseline.versions, path)
        return
    node = read_node_folder(path, baseline.runtime)
    document = {} if node.main is None else node.main
    yield from compare_document(baseline.file, baseline.pool, baseline.runtime, baseline.versions, document)
    if baseline.runtime == "containerd":
        yield from _replaced_plugin(baseline, node, path)
        yield from _compare_hosts(baseline, node)


def _replaced_plugin(baseline: Baseline, node: NodeFolder, folder: Path) -> Iterator[Difference]:
    """A difference where an imported file replaces the registry settings without naming them.

    containerd before 2.0 takes the whole table of a plugin from the last file that has one (observed with 1.6; later
    ones join the tables).
    """
    number = node.main.get("version") if node.main else None
    if number != 2 or baseline.versions.are_at_least("2"):
        return
    last = [
        (path, plugin) for path, document in node.imported.items() if (plugin := cri_plugin_of(document)) is not None
    ]
    if last and not last[-1][1].get("registry"):
        yield Difference(
            key=f"{last[-1][0].relative_to(folder)}: plugins.{CRI_PLUGIN}",
            verdict="different",
            advice="containerd before 2.0 takes the whole table of the plugin from this imported file, and uses no "
            "mirror: repeat the registry table in it",
        )


def _compare_hosts(baseline: Baseline, node: NodeFolder) -> Iterator[Difference]:
    """Compare the registry's own folder below ``certs.d``, and find other folders that affect any registry."""
    host = baseline.file.registries[baseline.pool.registry].host
    own = hosts_folder(host)
    used = own if own in node.hosts else host
    if used in node.hosts:
        yield from compare_file(baseline.file, baseline.pool, "containerd", baseline.versions, node.hosts[used])
    else:
        advice = f"containerd uses no mirror for {host}"
        yield Difference(key=f"certs.d/{own}/hosts.toml", verdict="missing", advice=advice)
    for folder in node.hosts:
        if folder not in {own, host} and (difference := _other_folder(folder, host, own)):
            yield difference


def _other_folder(folder: str, host: str, own: str) -> Difference | None:
    """A difference for a folder that is not another registry's."""
    key = f"certs.d/{folder}/hosts.toml"
    if folder == "_default":
        advice = "it applies to every registry without a folder of its own: their images are pulled from it; remove it"
        return Difference(key=key, verdict="unexpected", advice=advice)
    if same_registry(folder, host):
        return Difference(key=key, verdict="unknown", advice=f"containerd ignores it: it looks for {own}")
    if get_close_matches(folder, [own], n=1, cutoff=0.8):
        return Difference(key=key, verdict="unknown", advice=f"did you mean {own!r}?")
    return None
