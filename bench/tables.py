"""Tables of figures, as Markdown that can be read in a terminal too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.contest import Result

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows below headings. All columns but the first ``texts`` are figures, and stand right."""

    title: str
    headings: Row
    rows: Sequence[Row]
    texts: int = 1

    def markdown(self) -> str:
        widths = [max(3, *map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        lines = [self._line(self.headings, widths), self._rule(widths)]
        return "\n".join((f"{self.title}\n", *lines, *(self._line(row, widths) for row in self.rows)))

    def _line(self, cells: Row, widths: Sequence[int]) -> str:
        padded = (
            cell.ljust(width) if number < self.texts else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    def _rule(self, widths: Sequence[int]) -> str:
        rules = ("-" * width if number < self.texts else "-" * (width - 1) + ":" for number, width in enumerate(widths))
        return f"| {' | '.join(rules)} |"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The result of a scenario: tables, and SVG drawings by the name of their file."""

    tables: Sequence[Table]
    drawings: Mapping[str, str] = field(default_factory=dict)

    def markdown(self) -> str:
        return "\n\n".join(table.markdown() for table in self.tables)


_CONTEST = (
    *("tool", "wall s", "× best", "CPU s", "× best", "requests", "per tag", "connections", "per tag"),
    *("peak MB", "exit", "right"),
)


def contest_table(title: str, results: Sequence[Result]) -> Table:
    """One row for each tool, with its ratio to the best peer that did the work."""
    best_wall = _best(results, lambda result: result.cost.wall_seconds)
    best_cpu = _best(results, lambda result: result.cost.cpu_seconds)
    return Table(title=title, headings=_CONTEST, rows=[_contest_row(result, best_wall, best_cpu) for result in results])


def _best(results: Sequence[Result], figure: Callable[[Result], float]) -> float | None:
    return min((figure(result) for result in results if result.tool.is_peer and result.is_done), default=None)


def _contest_row(result: Result, best_wall: float | None, best_cpu: float | None) -> Row:
    cost = result.cost
    wall = f"{'> ' if cost.is_stopped else ''}{cost.wall_seconds:.2f}"
    return (
        result.tool.name,
        *(wall, _ratio(result, cost.wall_seconds, best_wall)),
        *(f"{cost.cpu_seconds:.2f}", _ratio(result, cost.cpu_seconds, best_cpu)),
        *(f"{result.requests:,}", f"{result.requests / result.tags:.1f}"),
        *(f"{result.connections:,}", f"{result.connections / result.tags:.2f}"),
        f"{cost.peak_megabytes:.0f}",
        "stopped" if cost.is_stopped else str(cost.exit_code),
        _right(result),
    )


def _ratio(result: Result, figure: float, best: float | None) -> str:
    return f"{figure / best:.1f}" if best and result.is_done else "-"


def _right(result: Result) -> str:
    """The number of right tags; bold where a tool ended with success although some are not."""
    text = f"{result.right:,}/{result.tags:,}"
    is_hidden = result.right < result.tags and not result.cost.is_stopped and result.cost.exit_code == 0
    return f"**{text}**" if is_hidden else text
