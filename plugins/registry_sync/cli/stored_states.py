"""Open the states in Airflow's database, for commands that run where Airflow's scheduler or API server runs."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from registry_sync.cli.connections import without_airflow
from registry_sync.nodes.readiness.known_digests import KnownDigests
from registry_sync.state.store import StateReader


def recall_stored_digests() -> KnownDigests:
    """The digests that the DAG of the readiness checks last read at sources.

    :raises ConfigurationError: when there is no Airflow, or no database of it, here.
    :raises TemporaryError: when the database does not respond.
    """
    with redirect_stdout(sys.stderr), _database() as session:
        from registry_sync.airflow.states.stored_states import read_known_digests

        return read_known_digests(session)


def event_notes(mirrors: Collection[str]) -> list[str]:
    """The reasons why events start nothing, as the page of mirrors has them.

    :raises ConfigurationError: when there is no Airflow, or no database of it, here.
    :raises TemporaryError: when the database does not respond.
    """
    with redirect_stdout(sys.stderr), _database() as session:
        from registry_sync.airflow.receiver.problems import event_problems
        from registry_sync.airflow.receiver.secrets import KEPT

        return event_problems(session, mirrors, KEPT)


@contextmanager
def open_states() -> Iterator[StateReader]:
    """Open the states of all mirrors.

    :raises ConfigurationError: when there is no Airflow, or no database of it, here.
    :raises TemporaryError: when the database does not respond.
    """
    with _database() as session:
        from registry_sync.airflow.states.stored_states import StoredStates

        yield StoredStates(session, None)


@contextmanager
def _database() -> Iterator[Any]:
    """A session of Airflow's database. Airflow logs to the standard output when it is imported first."""
    with redirect_stdout(sys.stderr):
        try:
            from registry_sync.airflow.states.open_database import open_database
        except ModuleNotFoundError as error:
            raise without_airflow(error) from error
    with open_database() as session:
        yield session
