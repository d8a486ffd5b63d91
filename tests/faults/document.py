"""The table in ``docs/reliability.md``: made from what a run of the whole matrix saw, or from the specification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from tests.faults.specification import SPECIFICATION, Seen, every_case
from tests.faults.stages import STAGES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: written by make reliability -->", "<!-- end: written by make reliability -->"

_TOLD: Mapping[str, str] = {
    "success": "success",
    "skipped": "success, the tag is skipped",
    "wait": "**waits** without a worker",
    "retry: temporary": "**retry**",
    "retry: rate_limited": "**retry**, after the time that was asked for",
    "fail: denied": "**fails at once**, denied",
    "fail: locked": "**fails at once**, locked",
    "fail: refused": "**fails at once**, refused",
    "fail: configuration": "**fails at once**, configuration",
    "": "not run: skopeo waits a minute, then asks again",
}


def specified() -> Seen:
    """What the specification says of every case."""
    return {(each.fault, each.stage): (each.lasting, each.passing, each.says) for each in every_case()}


def render(seen: Seen) -> str:
    """A Markdown table: a row for each fault and what Airflow is told, with the stages at which it is."""
    lines = [
        "| what goes wrong | where | while it lasts | when it happens once | the message says |",
        "|---|---|---|---|---|",
    ]
    order = {(row.fault, stage): number for number, row in enumerate(SPECIFICATION) for stage in row.stages}
    cases = sorted(seen, key=lambda case: order[case])
    for (fault, result), group in groupby(cases, key=lambda case: (case[0], seen[case])):
        lasting, passing, says = result
        told = (_TOLD[lasting], _once(fault, passing), f"`{says}`" if says else "")
        lines.append(f"| {' | '.join((fault, _places(stage for _, stage in group), *told))} |")
    return "\n".join(lines)


def _once(fault: str, passing: str) -> str:
    return "until it is renewed" if fault == "certificate expired" else _TOLD[passing]


def _places(stages: Iterable[str]) -> str:
    """``source: ping, list; destination: ping``: the sides once each."""
    sides: dict[str, list[str]] = {}
    for stage in sorted(stages, key=list(STAGES).index):
        side, _, what = stage.partition(": ")
        sides.setdefault(side, []).append(what)
    return "; ".join(f"{side}: {', '.join(each)}" for side, each in sides.items())


def block() -> str:
    """What stands between the markers of the page now."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write(seen: Seen) -> None:
    """Put the table between the markers of the page."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{render(seen)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
