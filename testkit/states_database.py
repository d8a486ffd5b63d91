"""Write synthetic states into Airflow's metadata database: assets, values, asset events, DAGs and runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from airflow.models.asset import AssetActive, AssetEvent, AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.utils.state import DagRunState
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from registry_sync.airflow.ids import REPORT_TASK, dag_id
from registry_sync.state.document import as_document
from registry_sync.state.names import ASSET_GROUP
from testkit.states import SyntheticDestination, stored_text

BUNDLE = "dags-folder"


def write_states(session: Session, states: Iterable[SyntheticDestination]) -> None:
    """Write states into a migrated database, with the DAG and the last run of each mirror. The caller commits."""
    if session.get(DagBundleModel, BUNDLE) is None:
        session.add(DagBundleModel(name=BUNDLE))
        session.flush()
    for stored in states:
        _write_dag(session, stored)
        _write_asset(session, stored)


def write_next_runs(session: Session, states: Iterable[SyntheticDestination]) -> None:
    """Write the next run of each mirror. Airflow replaces it when it reads a DAG file, and no scheduler runs here."""
    for stored in states:
        dag = update(DagModel).where(DagModel.dag_id == dag_id(stored.mirror))
        session.execute(dag.values(next_dagrun_create_after=stored.next_run_at))


def _write_asset(session: Session, stored: SyntheticDestination) -> None:
    name, uri = stored.asset
    asset = AssetModel(name=name, uri=uri, group=ASSET_GROUP)
    session.add(asset)
    session.flush()
    session.add(AssetActive(name=name, uri=uri))
    rows = [
        {"asset_id": asset.id, "key": key, "value": stored_text(document)} for key, document in stored.documents.items()
    ]
    if rows:
        session.execute(insert(AssetStateStoreModel), rows)
    events = [
        {
            "asset_id": asset.id,
            "extra": as_document(event),
            "source_task_id": REPORT_TASK,
            "source_dag_id": dag_id(stored.mirror),
            "source_run_id": event.run_id,
            "timestamp": event.at,
        }
        for event in stored.events
    ]
    if events:
        session.execute(insert(AssetEvent), events)


def _write_dag(session: Session, stored: SyntheticDestination) -> None:
    dag = dag_id(stored.mirror)
    if session.scalar(select(DagModel.dag_id).where(DagModel.dag_id == dag)):
        return
    session.add(DagModel(**_dag_fields(dag, stored)))
    session.flush()
    session.add(DagTag(name="registry_sync", dag_id=dag))
    if stored.last_run:
        state, started, ended = stored.last_run
        for number in reversed(range(3)):
            session.add(_run(dag, state if number == 0 else "success", started, ended, hours_ago=number))
            session.flush()


def _dag_fields(dag: str, stored: SyntheticDestination) -> dict[str, Any]:
    return {
        "dag_id": dag,
        "bundle_name": BUNDLE,
        "fileloc": "/opt/airflow/dags/mirrors.py",
        "relative_fileloc": "mirrors.py",
        "is_paused": stored.is_paused,
        "is_stale": False,
        "timetable_summary": "0 * * * *",
        "max_active_tasks": 16,
        "max_active_runs": 1,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": False,
        "next_dagrun_create_after": stored.next_run_at,
    }


def _run(dag: str, state: str, started: Any, ended: Any, *, hours_ago: int) -> DagRun:
    start, end = started - timedelta(hours=hours_ago), ended - timedelta(hours=hours_ago)
    run = DagRun(
        dag_id=dag,
        run_id=f"scheduled__{end:%Y-%m-%dT%H}:00:00+00:00",
        run_type="scheduled",
        logical_date=end.replace(minute=0, second=0, microsecond=0),
        run_after=start,
        start_date=start,
        state=DagRunState(state),
    )
    run.end_date = end
    return run
