"""Copies of big layers: speed beside plain GET and PUT, and memory, which must not grow with the layers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contest import Contest, Result, hold
from bench.scope import Scope
from bench.storage import big_images
from bench.tables import Findings, Table, contest_table

LIMIT_SECONDS = 600.0


def measure(scope: Scope) -> Findings:
    """Every tool with big layers, and ours with layers of a quarter of the size."""
    count, megabytes = scope.sizes.big_images, scope.sizes.big_megabytes
    small = max(1, megabytes // 4)
    with big_images(count, layer_bytes=megabytes * 1_000_000) as storage:
        big = hold(Contest(source=storage, limit_seconds=LIMIT_SECONDS), [*scope.raws, *scope.ours, *scope.peers])
    with big_images(count, layer_bytes=small * 1_000_000) as storage:
        smaller = hold(Contest(source=storage, limit_seconds=LIMIT_SECONDS), scope.ours)
    return Findings(
        tables=[
            contest_table(f"{count} images with a layer of {megabytes:,} MB each, copied to an empty registry:", big),
            _memory({small: smaller, megabytes: [result for result in big if result.tool.is_ours]}),
        ]
    )


def _memory(by_size: dict[int, Sequence[Result]]) -> Table:
    headings = ("peak MB by size of the layers", *(f"{megabytes:,} MB" for megabytes in by_size))
    rows = [
        (results[0].tool.name, *(f"{result.cost.peak_megabytes:.0f}" for result in results))
        for results in zip(*by_size.values(), strict=True)
    ]
    return Table(title="Memory of all processes by the size of the layers:", headings=headings, rows=rows)
