"""The index of a destination: one row of figures per route, in parts that each fit into one value. Pure.

A row stays in its part, so that a run over a few routes changes few parts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from registry_sync.state.destination import RouteFigures, RouteIndex
from registry_sync.state.document import as_document, size_of

MAX_PART_BYTES = 48_000


def update_index(
    parts: Sequence[RouteIndex], rows: Mapping[str, RouteFigures], gone: Collection[str]
) -> list[RouteIndex]:
    """The parts after a run.

    :param rows: new or changed rows, by the name of the route.
    :param gone: names of the routes that are removed.
    """
    placed, updated = set[str](gone), list[dict[str, RouteFigures]]()
    for part in parts:
        names = [name for name in part.routes if name not in placed]
        updated.append({name: rows.get(name, part.routes[name]) for name in names})
        placed.update(names)
    waiting = {name: row for name, row in rows.items() if name not in placed}
    for routes in updated:
        waiting |= _cut(routes)
    _place(updated, waiting)
    while updated and not updated[-1]:
        updated.pop()
    return [RouteIndex(routes=routes) for routes in updated]


def _cut(routes: dict[str, RouteFigures]) -> dict[str, RouteFigures]:
    """Remove the last rows of a part that has grown too large, and return them."""
    removed = {}
    while routes and _size(routes) > MAX_PART_BYTES:
        name, row = routes.popitem()
        removed[name] = row
    return removed


def _place(parts: list[dict[str, RouteFigures]], waiting: Mapping[str, RouteFigures]) -> None:
    """Add rows to the first part that has room, else to a new one."""
    sizes = [_size(routes) for routes in parts]
    for name, row in sorted(waiting.items()):
        needed = len(json.dumps({name: as_document(row)}))
        number = next((number for number, size in enumerate(sizes) if size + needed <= MAX_PART_BYTES), len(parts))
        if number == len(parts):
            parts.append({})
            sizes.append(_size({}))
        parts[number][name] = row
        sizes[number] += needed


def _size(routes: dict[str, RouteFigures]) -> int:
    return size_of(as_document(RouteIndex(routes=routes)))
