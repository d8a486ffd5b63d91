"""``python -m bench``: print the tables."""

from __future__ import annotations

import logging

from bench.heads import Head, measure_heads
from bench.movers import Moved, measure_movers
from bench.routes import Measured, measure
from bench.selection import MeasuredSelection, measure_selections
from bench.states import ROUTES, TAGS, Answered, measure_states
from bench.vendors import Hourly, Pair, measure_pairs, measure_window
from registry_sync.text_table import table

_PASSES = (
    "pass",
    "routes",
    "tags",
    "copied",
    "requests source",
    "destination",
    "writes",
    "per 100 tags",
    "wall s",
    "CPU s",
    "peak MB",
)
_PAIRS = ("source", "destination", "tags", "requests source", "destination", "per 100 tags")
_WINDOW = ("repositories", "tags", "modified", "requests to read", "to copy", "copied")


def _pass_row(each: Measured) -> tuple[str, ...]:
    return (
        each.what,
        str(each.routes),
        str(each.tags),
        str(each.copied),
        str(each.source_requests),
        str(each.destination_requests),
        str(each.writes),
        f"{each.requests_per_100_tags:.0f}",
        f"{each.wall_seconds:.1f}",
        f"{each.cpu_seconds:.1f}",
        f"{each.peak_megabytes:.0f}",
    )


def _pair_row(each: Pair) -> tuple[str, ...]:
    requests = (each.tags, each.source_requests, each.destination_requests)
    return (each.source, each.destination, *map(str, requests), f"{each.per_100_tags:.1f}")


def _window_row(each: Hourly) -> tuple[str, ...]:
    numbers = (each.repositories, each.tags, each.modified, each.read_requests, each.copy_requests, each.copied)
    return tuple(map(str, numbers))


_SELECTIONS = ("tags", "names", "CPU s", "× no names")


def _selection_row(measured: MeasuredSelection) -> tuple[str, ...]:
    return (f"{measured.tags:,}", str(measured.names), f"{measured.cpu_seconds:.2f}", f"{measured.ratio:.1f}")


_HEADS = ("600 HEADs by", "CPU ms each", "× the pool")


def _head_row(head: Head) -> tuple[str, ...]:
    return (head.what, f"{head.cpu_milliseconds:.2f}", f"{head.ratio:.1f}")


_ANSWERS = ("query or page", "ms", "peak MB", "kB")


def _answer_row(answered: Answered) -> tuple[str, ...]:
    numbers = (answered.peak_megabytes, answered.kilobytes)
    sizes = ("-" if number is None else f"{number:.1f}" for number in numbers)
    return (answered.what, f"{answered.milliseconds:.0f}", *sizes)


_MOVERS = ("cold copy of", "by", "same", "requests", "connections", "CPU s", "wall s", "peak MB")


def _mover_row(what: str, moved: Moved) -> tuple[str, ...]:
    costs = (moved.cpu_seconds, moved.wall_seconds)
    counts = (f"{moved.same}/{moved.images}", str(moved.requests), str(moved.connections))
    return (what, moved.tool, *counts, *(f"{seconds:.2f}" for seconds in costs), f"{moved.peak_megabytes:.0f}")


_WORK = {"10 × 5 small images": (10, 5, 50_000), "1 × 4 images, 1.7 GB": (1, 4, 100_000_000)}
"""Repositories, tags of each, and bytes of each layer."""


def main() -> None:
    """Measure and print: real copies between two plain registries, then what is in sync between the vendors' kinds."""
    logging.disable(logging.WARNING)
    print("A HEAD of one tag:\n")
    print(table(_HEADS, [_head_row(each) for each in measure_heads(600)], right=frozenset((1, 2))))
    rows = [_pass_row(each) for routes, tags in ((1, 100), (10, 20)) for each in measure(routes, tags)]
    print("\nCopies between two registries of the OCI distribution spec:\n")
    print(table(_PASSES, rows, right=frozenset(range(1, len(_PASSES)))))
    rows = [
        _mover_row(what, moved)
        for what, (repositories, tags, size) in _WORK.items()
        for moved in measure_movers(repositories, tags, layer_bytes=size)
    ]
    print("\nThe same images by both movers, and by the peers on PATH:\n")
    print(table(_MOVERS, rows, right=frozenset(range(2, len(_MOVERS)))))
    print("\nTags in sync, by the kinds of the registries (stand-ins with their APIs, on loopback):\n")
    print(table(_PAIRS, [_pair_row(each) for each in measure_pairs(300)], right=frozenset(range(2, len(_PAIRS)))))
    print("\nAn hourly window, quay to acr:\n")
    print(table(_WINDOW, [_window_row(measure_window(1000, 300, 5))], right=frozenset(range(len(_WINDOW)))))
    print("\nSelecting tags, by the number of names that the rules list:\n")
    print(table(_SELECTIONS, [_selection_row(each) for each in measure_selections()], right=frozenset(range(4))))
    print(f"\nQueries and pages over the states of {ROUTES:,} routes with {TAGS} tags each (SQLite):\n")
    print(table(_ANSWERS, [_answer_row(each) for each in measure_states()], right=frozenset({1, 2, 3})))


if __name__ == "__main__":
    main()
