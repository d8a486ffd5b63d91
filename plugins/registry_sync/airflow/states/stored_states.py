"""States, runs and asset events in Airflow's metadata database, for pages and commands.

Airflow has no public interface for reading the states of many assets at once, so its tables are read:
https://github.com/apache/airflow/blob/3.3.2/airflow-core/src/airflow/models/asset_state_store.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from airflow.models.asset import AssetActive, AssetEvent, AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import ColumnElement, Select, String, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from registry_sync.airflow.ids import MISTAKES_TAG, WATCH_DAG, dag_id, pushes_dag_id
from registry_sync.errors import MirrorsFileError
from registry_sync.nodes.readiness.known_digests import KnownDigests
from registry_sync.state.document import StateError, read_document
from registry_sync.state.known_digests import join_digests
from registry_sync.state.names import (
    ASSET_GROUP,
    DESTINATION_KEY,
    DIGESTS_PREFIX,
    READINESS_ASSET,
    READINESS_KEY,
    mirror_and_destination,
    pushes_asset_name,
)
from registry_sync.state.readiness import ReadinessState
from registry_sync.state.runs import MirrorRuns, PushRuns, Run
from registry_sync.state.store import StoredKey

_PART = re.compile(r"routes \d+")

_ENDED, _OPEN = ("success", "failed"), ("running", "queued")

_DAG_FILES = ("mirrors.py", "mirrors_check.py")
"""DAG files that end with an import error when the mirrors file has a mistake. A user may choose other names."""

MAX_KEYS = 500
"""Values in one query: databases limit the number of parameters."""


def read_readiness(session: Session) -> ReadinessState | None:
    """The state that the last readiness check left; ``None`` before the first, or when it cannot be read."""
    value = session.scalar(
        select(AssetStateStoreModel.value)
        .join(AssetModel, AssetModel.id == AssetStateStoreModel.asset_id)
        .where(AssetModel.name == READINESS_ASSET, AssetStateStoreModel.key == READINESS_KEY)
        .order_by(AssetModel.id.desc())
        .limit(1)
    )
    try:
        return read_document(ReadinessState, _parse(value)) if value is not None else None
    except StateError:
        return None


def read_known_digests(session: Session) -> KnownDigests:
    """The digests that readiness checks last read at sources."""
    rows = session.execute(
        select(AssetStateStoreModel.key, AssetStateStoreModel.value)
        .join(AssetModel, AssetModel.id == AssetStateStoreModel.asset_id)
        .where(AssetModel.name == READINESS_ASSET, AssetStateStoreModel.key.like(f"{DIGESTS_PREFIX}%"))
    )
    return join_digests(_parse(value) for _, value in rows)


class StoredStates:
    """The states of the mirrors that a caller may read: a :class:`~registry_sync.state.store.StateReader`.

    :param session: of Airflow's database. Nothing is written.
    :param mirrors: names of the mirrors that the caller may read; ``None`` for all. Others are never loaded.
    """

    def __init__(self, session: Session, mirrors: Collection[str] | None) -> None:
        self._session = session
        self._readable = None if mirrors is None else frozenset(mirrors)

    def destinations(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """The summary and the index of each destination."""
        found: dict[tuple[str, str], dict[str, Any]] = {ends: {} for ends in self._assets}
        key, value = AssetStateStoreModel.key, AssetStateStoreModel.value
        rows = self._values(or_(key == DESTINATION_KEY, key.startswith("routes ")))
        for asset, name, text in self._session.execute(rows.with_only_columns(_ASSET, key, value)):
            if name == DESTINATION_KEY or _PART.fullmatch(name):
                found[self._ends[asset]][name] = _parse(text)
        return found

    def read(self, keys: Collection[StoredKey]) -> Mapping[StoredKey, Any]:
        """Some values, of all destinations in a few queries."""
        known = {
            (self._assets[mirror, destination], key): (mirror, destination, key)
            for mirror, destination, key in keys
            if (mirror, destination) in self._assets
        }
        found: dict[StoredKey, Any] = {}
        for part in _in_parts(sorted({key for _, key in known})):
            rows = self._values(AssetStateStoreModel.key.in_(part))
            columns = rows.with_only_columns(_ASSET, AssetStateStoreModel.key, AssetStateStoreModel.value)
            for asset, key, text in self._session.execute(columns):
                if stored := known.get((asset, key)):
                    found[stored] = _parse(text)
        return found

    def search_tags(self, texts: Sequence[str]) -> frozenset[StoredKey]:
        """The keys of the tables of tags that contain one of ``texts``. The database returns keys only."""
        key = AssetStateStoreModel.key
        rows = self._values(and_(key.endswith(" tags"), or_(*map(self._contains, texts))))
        return frozenset(
            (*self._ends[asset], name) for asset, name in self._session.execute(rows.with_only_columns(_ASSET, key))
        )

    def has_file_errors(self) -> bool:
        """Return whether the mirrors file has a mistake, so that DAGs may be gone because of it."""
        names = [ParseImportError.filename.endswith(name, autoescape=True) for name in _DAG_FILES]
        is_told = or_(*names, ParseImportError.stacktrace.contains(MirrorsFileError.__name__))
        is_tagged = and_(DagTag.dag_id == WATCH_DAG, DagTag.name == MISTAKES_TAG)
        found = (select(ParseImportError.id).where(is_told), select(DagTag.dag_id).where(is_tagged))
        return any(self._session.scalar(query.limit(1)) is not None for query in found)

    def missing_pools(self) -> Mapping[str, Sequence[str]]:
        """The pools that the scheduler does not find for tasks of mirrors. Only its log says so otherwise."""
        mirrors = {dag_id(mirror): mirror for mirror, _ in self._assets}
        waiting = select(TaskInstance.pool, TaskInstance.dag_id).where(
            TaskInstance.state == "scheduled",
            TaskInstance.dag_id.in_(mirrors),
            TaskInstance.pool.not_in(select(Pool.pool)),
        )
        found: dict[str, list[str]] = {}
        for pool, dag in self._session.execute(waiting.distinct().order_by(TaskInstance.pool, TaskInstance.dag_id)):
            found.setdefault(pool, []).append(mirrors[dag])
        return found

    def runs(self) -> Mapping[str, MirrorRuns]:
        """The last run that ended, an open one, and the next one, of each mirror; and its runs for pushes."""
        mirrors = {dag_id(mirror): mirror for mirror, _ in self._assets}
        names = [*mirrors, *map(pushes_dag_id, mirrors.values())]
        dags = {dag.dag_id: dag for dag in self._session.scalars(select(DagModel).where(DagModel.dag_id.in_(names)))}
        last, running = self._newest_runs(names, _ENDED), self._newest_runs(mirrors, _OPEN)
        gone = {mirror: MirrorRuns(mirror=mirror, dag_id=dag, is_gone=True) for dag, mirror in mirrors.items()}
        return gone | {
            mirror: MirrorRuns(
                mirror=mirror,
                dag_id=name,
                is_paused=bool(dag.is_paused),
                is_gone=bool(dag.is_stale),
                disabled=_disabled(dag.timetable_summary),
                next_run_at=dag.next_dagrun_create_after,
                last=last.get(name),
                running=running.get(name),
                pushes=_push_runs(dags.get(pushes_dag_id(mirror)), last),
            )
            for name, mirror in mirrors.items()
            if (dag := dags.get(name))
        }

    def pushes(self) -> Mapping[str, Mapping[str, Any]]:
        """The stored values about pushes to the source of each mirror that events start."""
        mirrors = {pushes_asset_name(mirror): mirror for mirror, _ in self._assets}
        rows = (
            select(AssetModel.name, AssetStateStoreModel.key, AssetStateStoreModel.value)
            .outerjoin(AssetStateStoreModel, AssetStateStoreModel.asset_id == AssetModel.id)
            .where(AssetModel.name.in_(mirrors), AssetModel.active.has())
        )
        found: dict[str, dict[str, Any]] = {}
        for name, key, value in self._session.execute(rows):
            stored = found.setdefault(mirrors[name], {})
            if key is not None:
                stored[key] = _parse(value)
        return found

    def events(
        self, since: datetime, *, mirror: str = "", destination: str = "", text: str = "", offset: int, limit: int
    ) -> tuple[int, list[Any]]:
        """The changes of runs since a time, the newest first."""
        assets = [
            asset
            for (own, name), asset in self._assets.items()
            if (not mirror or own == mirror) and (not destination or name == destination)
        ]
        events = select(AssetEvent).where(AssetEvent.asset_id.in_(assets), AssetEvent.timestamp >= since)
        if text:
            events = events.where(cast(AssetEvent.extra, String).contains(text, autoescape=True))
        total = self._session.scalar(select(func.count()).select_from(events.subquery())) or 0
        newest = events.order_by(AssetEvent.timestamp.desc(), AssetEvent.id.desc()).offset(offset).limit(limit)
        return total, list(map(_shown, self._session.scalars(newest.with_only_columns(AssetEvent.extra))))

    @cached_property
    def _assets(self) -> Mapping[tuple[str, str], int]:
        """The ids of the assets that the caller may read, by mirror and destination.

        An asset is active while a DAG has it, and longer if it has events. The DAG of a mirror with a mistake in the
        mirrors file is gone, and nothing must then look as if the mirror had been removed. Without such a mistake, a
        mirror is removed when its DAG was deleted and its state was reset.
        """
        is_active = select(AssetActive.name).where(
            AssetActive.name == AssetModel.name, AssetActive.uri == AssetModel.uri
        )
        has_state = select(AssetStateStoreModel.key).where(AssetModel.id == _ASSET)
        columns = (AssetModel.name, AssetModel.id, is_active.exists().label("is_active"), has_state.exists())
        newest_last = select(*columns).where(AssetModel.group == ASSET_GROUP).order_by("is_active", AssetModel.id)
        shows_gone = self.has_file_errors()
        found: dict[tuple[str, str], int] = {}
        without_state = set[tuple[str, str]]()
        for name, asset, active, stored in self._session.execute(newest_last):
            ends = mirror_and_destination(name)
            if ends and (active or shows_gone) and (self._readable is None or ends[0] in self._readable):
                found[ends] = asset
                if not (stored or shows_gone):
                    without_state.add(ends)
        removed = self._without_dag(without_state)
        return {ends: asset for ends, asset in found.items() if ends not in removed}

    def _without_dag(self, all_ends: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Those of mirrors whose DAG was deleted."""
        dags = {dag_id(mirror) for mirror, _ in all_ends}
        known = set(self._session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_(dags)))) if dags else set()
        return frozenset(ends for ends in all_ends if dag_id(ends[0]) not in known)

    @cached_property
    def _ends(self) -> Mapping[int, tuple[str, str]]:
        return {asset: ends for ends, asset in self._assets.items()}

    def _values(self, condition: Any) -> Select[Any]:
        return select(AssetStateStoreModel).where(_ASSET.in_(self._ends), condition)

    def _contains(self, text: str) -> ColumnElement[bool]:
        """The condition that a value contains ``text``, in the same case: LIKE of SQLite takes any."""
        if self._session.get_bind().dialect.name == "sqlite":
            return func.instr(AssetStateStoreModel.value, text) > 0
        return AssetStateStoreModel.value.contains(text, autoescape=True)

    def _newest_runs(self, dags: Iterable[str], states: tuple[str, ...]) -> dict[str, Run]:
        """The newest run in one of these states, by DAG. A dry run leaves no state, and hides no run that did not."""
        is_real = func.coalesce(cast(DagRun.conf, String), "").not_like(f"%{_DRY_RUN}%")
        newest = (
            select(func.max(DagRun.id))
            .where(DagRun.dag_id.in_(list(dags)), DagRun.state.in_(states), is_real)
            .group_by(DagRun.dag_id)
        )
        rows = self._session.execute(
            select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date).where(
                DagRun.id.in_(newest)
            )
        )
        return {
            dag: Run(run_id=run_id, state=str(state), started_at=start, ended_at=end)
            for dag, run_id, state, start, end in rows
        }


_ASSET = AssetStateStoreModel.asset_id

_DRY_RUN = '"dry_run": true'
"""Text in the stored parameters of a dry run."""


def _parse(text: str) -> Any:
    """The value of a row; ``None`` when it is not JSON, or cannot be shown, which no state is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _shown(value) if "\\ud" in text.lower() else value


def _shown(value: Any) -> Any:
    """The value; ``None`` when a text in it has half of a character, which no answer can be encoded with."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return None
    return value


def _push_runs(dag: DagModel | None, last: Mapping[str, Run]) -> PushRuns | None:
    """The runs for pushes; ``None`` when the mirror has no events any more."""
    if dag is None or dag.is_stale:
        return None
    return PushRuns(dag_id=dag.dag_id, is_paused=bool(dag.is_paused), last=last.get(dag.dag_id))


def _disabled(schedule: str | None) -> str:
    """The schedule that Airflow shows, if it is that of a disabled mirror."""
    return schedule if schedule and schedule.startswith("disabled") else ""


def _in_parts(keys: list[str]) -> Iterable[list[str]]:
    return (keys[start : start + MAX_KEYS] for start in range(0, len(keys), MAX_KEYS))
