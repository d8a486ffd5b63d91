"""The result of the last readiness check as a table: starts of nodes with each registry down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter

from registry_sync.airflow.pages.access import Caller, Reader
from registry_sync.airflow.states.stored_states import read_readiness
from registry_sync.state.document import as_document
from registry_sync.state.readiness import PoolStart, ReadinessState, StartAnswer

router = APIRouter()

READINESS = "readiness"
"""The DAG of the readiness checks is named like that of a mirror with this name, which no mirror may have."""

WORDS: Mapping[StartAnswer, tuple[str, str, str]] = {
    "starts": ("✓", "starts", "in_sync"),
    "does_not_start": ("✕", "does not start", "failing"),
    "not_promised": ("–", "does not start, nor is it promised", "kept"),
    "unknown": ("?", "unknown", "unknown"),
    "no_images": ("–", "no images", "kept"),
}
"""Symbol, words and colour of each answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesTable:
    """The state of the last readiness check by pool and registry.

    :ivar registries: columns: the registry that is down, the first is empty: all are up.
    :ivar rows: pools with their answers, one per column; ``None`` where a pool does not use the registry.
    """

    state: ReadinessState
    registries: tuple[str, ...]
    rows: tuple[tuple[str, tuple[PoolStart | None, ...]], ...]


def nodes_table(caller: Reader, session: Any) -> NodesTable | None:
    """The table; ``None`` before the first check, and for those who may not read its DAG."""
    state = read_readiness(session) if caller.may_read(READINESS) else None
    if state is None:
        return None
    answers = {(start.pool, start.down or ""): start for start in state.starts}
    registries = tuple(dict.fromkeys(down for _, down in sorted(answers, key=lambda key: key[1])))
    pools = sorted({pool for pool, _ in answers}, key=lambda pool: (_is_good(answers, pool), pool))
    rows = tuple((pool, tuple(answers.get((pool, down)) for down in registries)) for pool in pools)
    return NodesTable(state=state, registries=registries, rows=rows)


def _is_good(answers: Mapping[tuple[str, str], PoolStart], pool: str) -> bool:
    """Pools with a bad answer come first."""
    given = {start.answer for (name, _), start in answers.items() if name == pool}
    return given.isdisjoint({"does_not_start", "unknown"})


@router.get("/api/nodes")
def nodes(caller: Caller, session: SessionDep) -> dict[str, Any] | None:
    """The state of the last readiness check; ``null`` before the first."""
    table = nodes_table(caller, session)
    return as_document(table.state) if table else None
