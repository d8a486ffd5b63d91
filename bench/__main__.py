"""``python -m bench [ROUTES TAGS]``: print the tables."""

from __future__ import annotations

import sys

from bench.routes import Measured, measure
from registry_sync.report import table

_HEADINGS = (
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


def _row(each: Measured) -> tuple[str, ...]:
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


def main(arguments: list[str]) -> None:
    """Measure and print. Without arguments: 1 route of 100 tags, then 10 of 20."""
    sizes = [(int(arguments[0]), int(arguments[1]))] if arguments else [(1, 100), (10, 20)]
    rows = [_row(each) for routes, tags in sizes for each in measure(routes, tags)]
    print(table(_HEADINGS, rows, right=frozenset(range(1, len(_HEADINGS)))))


if __name__ == "__main__":
    main(sys.argv[1:])
