"""Open Airflow's metadata database for commands and checks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from airflow.configuration import conf
from airflow.utils.session import create_session
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from registry_sync.errors import ConfigurationError, TemporaryError

ADVICE = "run this where Airflow's scheduler or API server runs, whose database it reads; workers have no access to it"


@contextmanager
def open_database() -> Iterator[Session]:
    """A session of Airflow's database, whose errors are ours in the whole block.

    :raises ConfigurationError: when there is no such database here, or it has other tables.
    :raises TemporaryError: when it does not respond.
    """
    if reason := why_no_database():
        raise ConfigurationError(reason)
    try:
        with create_session() as session:
            yield session
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise (TemporaryError if _is_temporary(error) else ConfigurationError)(
            f"cannot read Airflow's database at {_shown(_address())}: {reason}; {ADVICE}"
        ) from error


def why_no_database() -> str:
    """The reason why this machine has no database of Airflow, as a worker; empty when it may have one."""
    address = _address()
    if address.get_backend_name() == "sqlite" and address.database and not _has_tables(Path(address.database)):
        return f"there is no database of Airflow at {_shown(address)}; {ADVICE}"
    return ""


def _has_tables(path: Path) -> bool:
    """Return whether a file of SQLite has a revision of Airflow's tables, or cannot be read now.

    Airflow makes an empty file where it looks for a Connection and finds no database.
    """
    if not path.exists():
        return False
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('alembic_version', 'slot_pool')"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=0, uri=True)) as file:
            return bool(file.execute(query).fetchone()[0])
    except sqlite3.Error:
        return True


def _address() -> URL:
    return make_url(conf.get("database", "sql_alchemy_conn"))


def _shown(address: URL) -> str:
    return address.render_as_string(hide_password=True)


def _is_temporary(error: DBAPIError) -> bool:
    """True for a server that does not respond, and for SQLite's file while another process writes it."""
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return isinstance(error, OperationalError)
