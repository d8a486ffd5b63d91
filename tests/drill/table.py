"""The table of the drill with newer runtimes: results of several runs, side by side, in ``docs/node-failures.md``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from testkit.page_block import PageBlock
from testkit.project import PROJECT

RESULTS = PROJECT / ".runtimes" / "results"
BLOCK = PageBlock(page="node-failures.md", command="make drill-new")

Results = dict[str, dict[str, str]]
"""What a runtime did in each case, by the runtime's name."""


def is_wanted() -> bool:
    """Return whether this run is one of ``make drill-new``."""
    return os.environ.get("DRILL") == "new"


def record(runtime: str, case: str, result: str) -> None:
    """Keep a result for the table. Each runtime has a file, because the versions differ between runs."""
    if is_wanted():
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{runtime}.json"
        results = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**results, case: result}))


def table(results: Mapping[str, Mapping[str, str]]) -> str:
    """A Markdown table: a row for each case, a column for each runtime."""
    cases = dict.fromkeys(case for of_runtime in results.values() for case in of_runtime)
    rows = [["", *results], ["---"] * (len(results) + 1)]
    rows += [[case, *(of_runtime.get(case, "–") for of_runtime in results.values())] for case in cases]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def read_results(folder: Path = RESULTS) -> Results:
    """The results of all runs, by the runtimes' names."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


if __name__ == "__main__":
    text = table(read_results())
    BLOCK.write(text)
    print(text)
