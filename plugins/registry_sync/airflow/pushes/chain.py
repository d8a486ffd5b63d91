"""Pushes of our own that start other mirrors: those that read from a destination."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry_sync.airflow.pushes.assets import pushes_alias, pushes_asset
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.events.event_extra import MAX_PUSHES, to_extra
from registry_sync.events.push import Push, merge_pushes
from registry_sync.registry.same_registry import same_registry
from registry_sync.state.names import destination_of
from registry_sync.state.run_row import RunRow

if TYPE_CHECKING:
    from airflow.sdk import Context

_NEW_TAGS = frozenset({"arrived", "moved", "backed_up"})
"""Kinds of change that another mirror may have to copy. Deletions are left to pruning."""


Downstream = Mapping[str, Mapping[str, str]]
"""By the name of a destination, the mirrors that read from it, each with the name of its source."""


def downstream_mirrors(mirror: Mirror, file: MirrorsFile) -> Downstream:
    """The mirrors that read from a destination of a mirror and whose events chain.

    One registry may have two names, each with a login of its own: to write, and to read.
    """
    told = [other for other in file.mirrors.values() if _is_told(other, file)]
    hosts = {name: registry.host for name, registry in file.registries.items()}
    found = {
        name: {other.name: other.source for other in told if same_registry(hosts[other.source], hosts[name])}
        for name in mirror.destinations
    }
    return {name: mirrors for name, mirrors in found.items() if mirrors}


def _is_told(mirror: Mirror, file: MirrorsFile) -> bool:
    rules = mirror.events_from(file.registries[mirror.source])
    return rules is not None and rules.chain


def emit_pushes(context: Context, mirror: str, source: str, host: str, rows: Iterable[RunRow]) -> None:
    """Add events for a mirror that reads from a registry, with the changes of a run there.

    A loop of mirrors ends by itself: a tag in sync is not changed again.

    :param source: the name of the registry as the source of ``mirror``.
    """
    pushes, now = merge_pushes(pushes_of(rows, host)), datetime.now(UTC)
    for start in range(0, len(pushes), MAX_PUSHES):
        alias = context["outlet_events"][pushes_alias(mirror)]
        alias.add(pushes_asset(mirror), extra=to_extra(source, pushes[start : start + MAX_PUSHES], now))


def pushes_of(rows: Iterable[RunRow], host: str) -> Iterator[Push]:
    """The pushes that a run made to a registry. A row without all of its changes stands for all tags."""
    for row in rows:
        if row.changes.total > len(row.changes.changes):
            yield Push(repository=destination_of(row.route), tags=None)
            continue
        for change in row.changes.changes:
            if change.kind in _NEW_TAGS:
                yield Push(repository=change.repository.removeprefix(f"{host}/"), tags=(change.tag,))
