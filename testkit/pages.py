"""Airflow's API server over synthetic states, for tests and pictures of the Mirrors page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from testkit.airflow import LocalAirflow
from testkit.states import SyntheticDestination
from testkit.states_database import write_states

PAGES_PATH = "/registry-sync"


@contextmanager
def database_session(airflow: LocalAirflow) -> Iterator[Session]:
    """A session on the database of an Airflow, committed at its end."""
    engine = create_engine(f"sqlite:///{airflow.home}/airflow.db")
    with Session(engine) as session:
        yield session
        session.commit()
    engine.dispose()


@contextmanager
def api_server(airflow: LocalAirflow, states: Iterable[SyntheticDestination], *, dags: bool = False) -> Iterator[None]:
    """Start the API server alone, over a new database with these states.

    :param dags: read the DAG files too, so that their DAGs can be triggered.
    """
    airflow.migrate()
    with database_session(airflow) as session:
        write_states(session, states)
    if dags:
        airflow.run("dags", "reserialize").check_returncode()
    airflow.start(["api-server"])
    try:
        yield
    finally:
        airflow.stop()
