"""Render the table in ``docs/faults.md``, from the results of a whole run or from the specification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from testkit.page_block import PageBlock
from tests.faults.specification import DIRECT, SPECIFICATION, Row, Seen, every_case
from tests.faults.stages import STAGES

BLOCK = PageBlock(page="faults.md", command="make reliability")

_OUTCOMES: Mapping[str, str] = {
    "success": "success",
    "skipped": "success; the tag is skipped",
    "wait": "**deferred**",
    "retry: temporary": "**retry**",
    "fail: denied": "**fails at once** (denied)",
    "fail: locked": "**fails at once** (locked)",
    "fail: refused": "**fails at once** (refused)",
    "fail: configuration": "**fails at once** (configuration)",
    "": "not tested: skopeo sleeps a minute, then retries",
}


def specified() -> Seen:
    """The specified result of every case."""
    return {(each.fault, each.stage, each.mover): (each.lasting, each.passing, each.says) for each in every_case()}


def render(seen: Seen) -> str:
    """Render the Markdown tables of both movers: a row per fault and result, with the stages that have this result."""
    skopeo, direct = ({case: seen[case] for case in seen if case[2] == mover} for mover in ("skopeo", "direct"))
    heading = "With `transfer: direct`, the requests that move the content. All others are answered as above."
    return f"{_table(skopeo, SPECIFICATION)}\n\n{heading}\n\n{_table(direct, DIRECT)}"


def _table(seen: Seen, specification: Sequence[Row]) -> str:
    lines = [
        "| fault | request | while the fault lasts | after a single fault | message contains |",
        "|---|---|---|---|---|",
    ]
    order = {(row.fault, stage): number for number, row in enumerate(specification) for stage in row.stages}
    cases = sorted(seen, key=lambda case: order[case[:2]])
    for (fault, result), group in groupby(cases, key=lambda case: (case[0], seen[case])):
        lasting, passing, says = result
        results = (_OUTCOMES[lasting], _once(fault, passing), f"`{says}`" if says else "")
        lines.append(f"| {' | '.join((fault, _places(case[1] for case in group), *results))} |")
    return "\n".join(lines)


def _once(fault: str, passing: str) -> str:
    return "not tested: lasts until renewed" if fault == "certificate expired" else _OUTCOMES[passing]


def _places(stages: Iterable[str]) -> str:
    """Group stages by side, as in ``source: ping, list; destination: ping``."""
    sides: dict[str, list[str]] = {}
    for stage in sorted(stages, key=list(STAGES).index):
        side, _, request = stage.partition(": ")
        sides.setdefault(side, []).append(request)
    return "; ".join(f"{side}: {', '.join(requests)}" for side, requests in sides.items())
