"""Airflow's API server over synthetic states, for tests and pictures of the Mirrors page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from airflow.models.asset import AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.models.dag import DagModel
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from registry_sync.state.document import as_document
from registry_sync.state.names import ASSET_GROUP, READINESS_ASSET, READINESS_KEY
from registry_sync.state.readiness import ReadinessState
from testkit.airflow import LocalAirflow
from testkit.states import SyntheticDestination, stored_text
from testkit.states_database import BUNDLE, write_next_runs, write_states

PAGES_PATH = "/registry-sync"

READINESS_DAG = "mirror_readiness"


@contextmanager
def database_session(airflow: LocalAirflow) -> Iterator[Session]:
    """A session on the database of an Airflow, committed at its end."""
    engine = create_engine(f"sqlite:///{airflow.home}/airflow.db")
    with Session(engine) as session:
        yield session
        session.commit()
    engine.dispose()


def write_readiness(session: Session, state: ReadinessState) -> None:
    """Write the result of a readiness check, as the task ``report`` of its DAG does."""
    if session.get(DagModel, READINESS_DAG) is None:
        session.add(DagModel(dag_id=READINESS_DAG, bundle_name=BUNDLE, fileloc="/dags/mirrors.py"))
    asset = AssetModel(name=READINESS_ASSET, uri="x-registry-sync://nodes", group=ASSET_GROUP)
    session.add(asset)
    session.flush()
    value = stored_text(as_document(state))
    session.add(AssetStateStoreModel(asset_id=asset.id, key=READINESS_KEY, value=value))


@contextmanager
def api_server(
    airflow: LocalAirflow,
    states: Sequence[SyntheticDestination],
    *,
    readiness: ReadinessState | None = None,
    dags: bool = False,
) -> Iterator[None]:
    """Start the API server alone, over a new database with these states.

    :param dags: read the DAG files too, so that their DAGs can be triggered.
    """
    airflow.migrate()
    with database_session(airflow) as session:
        write_states(session, states)
        if readiness:
            write_readiness(session, readiness)
    if dags:
        airflow.run("dags", "reserialize").check_returncode()
        with database_session(airflow) as session:
            write_next_runs(session, states)
    airflow.start(["api-server"])
    try:
        yield
    finally:
        airflow.stop()
