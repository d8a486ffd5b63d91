"""Open Airflow's metadata database for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow.configuration import conf
from airflow.utils.session import create_session
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from registry_sync.airflow.states.stored_states import StoredStates
from registry_sync.errors import ConfigurationError, TemporaryError

_ADVICE = "run this where Airflow's scheduler or API server runs, whose database it reads; workers have no access to it"


@contextmanager
def open_all_states() -> Iterator[StoredStates]:
    """The states of all mirrors, in one session of the database.

    :raises ConfigurationError: when there is no such database here, or it has other tables.
    :raises TemporaryError: when it does not respond.
    """
    with open_database() as session:
        yield StoredStates(session, None)


@contextmanager
def open_database() -> Iterator[Session]:
    """A session of Airflow's database, whose errors are ours in the whole block.

    :raises ConfigurationError: when there is no such database here, or it has other tables.
    :raises TemporaryError: when it does not respond.
    """
    address = make_url(conf.get("database", "sql_alchemy_conn"))
    shown = address.render_as_string(hide_password=True)
    if address.get_backend_name() == "sqlite" and address.database and not Path(address.database).exists():
        raise ConfigurationError(f"there is no database of Airflow at {shown}; {_ADVICE}")
    try:
        with create_session() as session:
            yield session
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        is_down = isinstance(error, OperationalError) and address.get_backend_name() != "sqlite"  # a file is never down
        raise (TemporaryError if is_down else ConfigurationError)(
            f"cannot read Airflow's database at {shown}: {reason}; {_ADVICE}"
        ) from error
