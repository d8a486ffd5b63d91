"""Read the digests that tags have now from the registries, and compare them with the state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from registry_sync.cli.connections import CommandConnections
from registry_sync.config.document import MirrorsFile
from registry_sync.config.registry import Registry
from registry_sync.errors import RegistrySyncError
from registry_sync.oci.reference import Repository
from registry_sync.routes.load import load_mirrors
from registry_sync.state.lookup.find import FoundRepository
from registry_sync.state.lookup.tag_matrix import Cell, Column
from registry_sync.sync.session import Connections

Verdict = Literal["same", "differs", "error", ""]
"""``same``: the state is right. ``differs``: it is not. Empty: the state says nothing about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDigest:
    """The digest that a tag has at a registry now; ``None`` when it does not exist, or when there is an ``error``."""

    digest: str | None = None
    error: str = ""
    verdict: Verdict = ""


LiveDigests = Mapping[tuple[str, str], LiveDigest]
"""By the whole name of a repository, and tag."""


def read_live(path: Path, found: Iterable[FoundRepository]) -> LiveDigests:
    """Read the tags of an answer at their sources and destinations, with the Connections of the mirrors file.

    :raises ConfigurationError: when there is no usable mirrors file.
    """
    file = load_mirrors(path)
    with CommandConnections() as connections:
        return {key: digest for item in found for key, digest in _read_item(file, item, connections)}


def _read_item(
    file: MirrorsFile, item: FoundRepository, connections: Connections
) -> Iterator[tuple[tuple[str, str], LiveDigest]]:
    for row in item.rows:
        if item.columns:
            source = _registry(file, item.columns[0], is_source=True)
            yield (item.source, row.tag), _read(source, item.source, row.tag, connections)
        for column, cell in zip(item.columns, row.cells, strict=True):
            live = _read(_registry(file, column, is_source=False), column.repository, row.tag, connections)
            yield (column.repository, row.tag), _judge(live, cell)


def _registry(file: MirrorsFile, column: Column, *, is_source: bool) -> Registry | None:
    """The registry of a column; ``None`` when the mirrors file names another one now."""
    mirror = file.mirrors.get(column.mirror)
    name = mirror and (mirror.source if is_source else column.destination)
    registry = file.registries.get(name) if name else None
    host = (column.source if is_source else column.repository).partition("/")[0]
    return registry if registry and registry.host == host else None


def _read(registry: Registry | None, repository: str, tag: str, connections: Connections) -> LiveDigest:
    if registry is None:
        return LiveDigest(error=f"the mirrors file has no such route to {repository} any more", verdict="error")
    try:
        with connections.client(registry) as client:
            digest = client.head_manifest(Repository.parse(repository), tag)
    except RegistrySyncError as error:
        return LiveDigest(error=str(error), verdict="error")
    return LiveDigest(digest=str(digest) if digest else None)


def _judge(live: LiveDigest, cell: Cell) -> LiveDigest:
    """Compare a digest with the state: the digest that a tag should have, and its status."""
    if live.error or cell.status in {"unknown", "not_selected"} or cell.digest is None:
        return live
    is_as_wanted = live.digest == cell.digest
    is_right = is_as_wanted == (cell.status == "in_sync")
    if is_right and cell.status in {"changed", "locked", "kept"}:
        is_right = live.digest is not None  # another image is expected
    return LiveDigest(digest=live.digest, verdict="same" if is_right else "differs")
