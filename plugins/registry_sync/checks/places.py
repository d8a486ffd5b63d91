"""The places where tasks of mirrors run: the queues and pools that the mirrors file names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from registry_sync.config.document import MirrorsFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A queue and a pool, and the destinations whose tasks run there.

    :ivar queue: ``None`` is Airflow's default queue.
    """

    queue: str | None
    pool: str
    destinations: tuple[str, ...]

    @property
    def label(self) -> str:
        """The place for people, such as ``queue acr, pool registry_acr``."""
        return f"{f'queue {self.queue}' if self.queue else 'default queue'}, pool {self.pool}"


def list_places(file: MirrorsFile) -> Sequence[Place]:
    """The place of each destination that a mirror has. Destinations with the same queue and pool share one."""
    used = {name for mirror in file.mirrors.values() for name in mirror.destinations}
    found: dict[tuple[str | None, str], list[str]] = {}
    for name, registry in file.registries.items():
        if name in used:
            found.setdefault((registry.queue, registry.pool), []).append(name)
    return [Place(queue=queue, pool=pool, destinations=tuple(names)) for (queue, pool), names in found.items()]


def task_names(places: Sequence[Place]) -> Sequence[str]:
    """A task id for each place: its first destination, which no other place has.

    >>> task_names([Place(queue=None, pool="default_pool", destinations=("acr", "hub"))])
    ['check_acr']
    """
    return [f"check_{re.sub(r'[^A-Za-z0-9_.-]', '_', place.destinations[0])}" for place in places]


def part_of_file(file: MirrorsFile, place: Place) -> MirrorsFile:
    """The mirrors to the destinations of a place, and the registries of these mirrors."""
    mirrors = {
        name: replace(mirror, destinations=own)
        for name, mirror in file.mirrors.items()
        if (own := tuple(destination for destination in mirror.destinations if destination in place.destinations))
    }
    names = {name for mirror in mirrors.values() for name in (mirror.source, *mirror.destinations)}
    registries = {name: registry for name, registry in file.registries.items() if name in names}
    return replace(file, registries=registries, mirrors=mirrors, node_pools={})
