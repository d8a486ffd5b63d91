"""CPU time and requests of a run in which all is in sync, by the number of tags and of repositories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from bench.contest import Contest, Result, hold
from bench.drawing import Panel, draw
from bench.scope import Scope
from bench.storage import Storage, many_tags
from bench.tables import Findings, Table

Curve = Mapping[int, Sequence[Result]]


def measure(scope: Scope) -> Findings:
    """A table and a drawing for each of the two."""
    sizes = scope.sizes
    tags = _curve(scope, sizes.tags_curve, lambda count: many_tags(1, count))
    routes = _curve(scope, sizes.routes_curve, lambda count: many_tags(count, sizes.tags_of_route))
    return Findings(
        tables=[
            _table("One repository, by the number of its tags:", tags),
            _table(f"Repositories with {sizes.tags_of_route} tags each, by their number:", routes),
        ],
        drawings={
            "performance-tags.svg": _drawing("tags in one repository", tags),
            "performance-routes.svg": _drawing(f"repositories with {sizes.tags_of_route} tags each", routes),
        },
    )


def _curve(scope: Scope, counts: Sequence[int], fill: Callable[[int], AbstractContextManager[Storage]]) -> Curve:
    curve = dict[int, Sequence[Result]]()
    for count in counts:
        with fill(count) as storage:
            curve[count] = hold(Contest(source=storage, is_in_sync=True), scope.comparing)
    return curve


def _table(title: str, curve: Curve) -> Table:
    rows = [
        (tool, *(cell for count in curve for cell in _cells(curve[count][number])))
        for number, tool in enumerate(_tools(curve))
    ]
    return Table(
        title=title,
        headings=("tool", *(f"{count:,}: {figure}" for count in curve for figure in ("CPU s", "requests"))),
        rows=rows,
    )


def _cells(result: Result) -> tuple[str, str]:
    return (f"{result.cost.cpu_seconds:.2f}", f"{result.requests:,}") if result.is_done else ("-", "-")


def _tools(curve: Curve) -> list[str]:
    return [result.tool.name for result in next(iter(curve.values()))]


def _drawing(across: str, curve: Curve) -> str:
    panels = [
        Panel(title="CPU seconds", across=across, lines=_lines(curve, lambda result: result.cost.cpu_seconds)),
        Panel(title="Requests to both registries", across=across, lines=_lines(curve, lambda result: result.requests)),
    ]
    return draw(panels, description=f"CPU seconds and requests by the number of {across}, all in sync")


def _lines(curve: Curve, figure: Callable[[Result], float]) -> dict[str, list[tuple[float, float]]]:
    return {
        tool: [(count, figure(results[number])) for count, results in curve.items() if results[number].is_done]
        for number, tool in enumerate(_tools(curve))
    }
