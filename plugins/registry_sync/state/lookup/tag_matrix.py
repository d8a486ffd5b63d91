"""The tags of a repository by its destinations, as a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from registry_sync.state.destination import RouteFigures
from registry_sync.state.document import StateError, read_document
from registry_sync.state.judging.freshness import Judgement
from registry_sync.state.route import LACKING, KnownTag, Problem, RouteState, TagTable, lag
from registry_sync.sync.view import TagStatus

CellStatus = TagStatus | Literal["not_selected", "unknown"]
"""The status of a tag at a destination. ``not_selected``: the rules of this route do not select the tag, or the source
does not have it. ``unknown``: what is stored cannot be read, or holds not all tags of the route."""

LACKS: frozenset[CellStatus] = frozenset({*LACKING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A destination repository of a source repository.

    :ivar repository: its whole name; ``source``: that of the source repository.
    :ivar judgement: of the route, when it is read: the worst.
    :ivar is_unknown: what is stored may no longer hold, also where a worse judgement hides that.
    :ivar state: the summary of the route; ``None`` when it is missing or unreadable.
    :ivar faults: the documents that cannot be read, for people.
    """

    mirror: str
    destination: str
    route: str
    source: str
    repository: str
    judgement: Judgement
    is_unknown: bool = False
    figures: RouteFigures
    looked_at: datetime
    state: RouteState | None = None
    table: TagTable | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A tag at a destination.

    :ivar digest: that it should have there; ``None`` when unknown.
    :ivar lag_seconds: by :func:`~registry_sync.state.route.lag`, as everywhere.
    :ivar problem: why it fails.
    """

    status: CellStatus
    digest: str | None = None
    pushed_at: datetime | None = None
    first_seen: datetime | None = None
    published_at: datetime | None = None
    lag_seconds: float | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRow:
    """A tag with its cells, one per column."""

    tag: str
    cells: tuple[Cell, ...]

    @property
    def is_lacking(self) -> bool:
        """True when a destination should have the tag, and has not."""
        return any(cell.status in LACKS for cell in self.cells)


def with_documents(column: Column, state: Any, table: Any) -> Column:
    """Read the two documents of a route into its column. Those of others become faults.

    :param state: JSON of its :class:`RouteState`; ``table``: of its :class:`TagTable`; ``None`` when missing.
    """
    faults = []
    known_state, known_table = None, None
    try:
        known_state = read_document(RouteState, state)
    except StateError as error:
        faults.append(str(error) if state is not None else "the state of the route is missing")
    try:
        known_table = read_document(TagTable, table)
    except StateError as error:
        faults.append(str(error) if table is not None else "the tags of the route are missing")
    return replace(column, state=known_state, table=known_table, faults=tuple(faults))


def tag_rows(columns: Sequence[Column], *, name: str = "", digest: str = "", exact: bool = False) -> list[TagRow]:
    """The rows of all tags: those that a destination lacks first, then the newest, then by name.

    :param name: only tags that begin with this; with ``exact`` the one that is this.
    :param digest: only tags with a digest that begins with these hexadecimal digits, at any destination.
    """
    tables = [{tag.tag: tag for tag in column.table.tags} if column.table else None for column in columns]
    problems = [
        {problem.tag: problem for problem in column.state.problems} if column.state else {} for column in columns
    ]
    names = {tag for table in tables for tag in table or () if (tag == name if exact else tag.startswith(name))}
    rows = [
        TagRow(
            tag=tag,
            cells=tuple(
                _cell(tag, column, table, known) for column, table, known in zip(columns, tables, problems, strict=True)
            ),
        )
        for tag in names
    ]
    return sorted((row for row in rows if _has_digest(row, digest)), key=_order)


def _has_digest(row: TagRow, digest: str) -> bool:
    return not digest or any((cell.digest or "").partition(":")[2].startswith(digest) for cell in row.cells)


def _order(row: TagRow) -> tuple[bool, float, str]:
    newest = max((cell.pushed_at or cell.first_seen or _NEVER for cell in row.cells), default=_NEVER)
    return not row.is_lacking, -newest.timestamp(), row.tag


_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def _cell(
    name: str, column: Column, table: Mapping[str, KnownTag] | None, problems: Mapping[str | None, Problem]
) -> Cell:
    if table is None or column.table is None:
        return Cell(status="unknown")
    tag = table.get(name)
    if tag is None:
        return Cell(status="not_selected" if column.table.total <= len(table) else "unknown")
    return Cell(
        status=tag.status,
        digest=tag.digest,
        pushed_at=tag.pushed_at,
        first_seen=tag.first_seen,
        published_at=tag.published_at,
        lag_seconds=took.total_seconds() if (took := lag(tag)) is not None else None,
        problem=problems.get(name),
    )
