"""Find an Airflow Connection, and keep "it does not exist" apart from "a secrets backend does not respond".

Airflow skips a secrets backend that raises an error, and then reports the Connection as missing
(``_get_connection`` in ``airflow/sdk/execution_time/context.py``, version 3.3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from json import JSONDecodeError
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk._shared.configuration.exceptions import AirflowConfigException
from airflow.sdk.exceptions import AirflowNotFoundException, ErrorType

from registry_sync.airflow.masking import masked_text
from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.text import one_line

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from airflow.sdk.bases.secrets_backend import BaseSecretsBackend

LONGEST_REASON = 300


def find_connection(name: str) -> Connection | None:
    """Read a Connection; ``None`` when every place where Airflow looks has responded and has none.

    Tasks look in the environment, the workers' secrets backend and, by the API server, in the database. Commands look
    in the environment, the secrets backend and the database.

    :raises TemporaryError: when one of these places does not respond, and the others have none.
    :raises ConfigurationError: when Airflow denies it to this task, cannot read it, or has no usable secrets backend.
    """
    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return _find_again(name)
    except PermissionError as error:
        raise ConfigurationError(f"Airflow denies this task the Connection {name!r}: {_reason(error)}") from error
    except (ImportError, AttributeError, TypeError, ValueError, AirflowConfigException) as error:
        raise ConfigurationError(
            f"Airflow cannot read the Connection {name!r}: {_reason(error)}; correct it, or the settings of the "
            "secrets backend"
        ) from error
    except Exception as error:  # a backend that cannot be opened, or Airflow's API server
        raise TemporaryError(
            _unknown(name, [f"Airflow's secrets backends could not be asked ({_reason(error)})"])
        ) from error


def _unknown(name: str, failures: Sequence[str]) -> str:
    return (
        f"it is unknown whether Airflow has a Connection {name!r}: {' and '.join(failures)}; each new try looks for it "
        "again"
    )


def _find_again(name: str) -> Connection | None:
    """Ask each place once more, without skipping errors."""
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    failures: list[str] = []
    for backend in ensure_secrets_backend_loaded():
        try:
            found: Connection | None = backend.get_connection(conn_id=name)
        except Exception as error:
            if type(backend).__name__ == _DATABASE and not has_database():
                continue
            _check_text(backend, name, error)
            failures.append(f"{_place(type(backend).__name__)} could not be asked ({_reason(error)})")
            continue
        if found:
            return found
    if failure := _api_failure(name):
        failures.append(failure)
    if failures:
        raise TemporaryError(_unknown(name, failures))
    return None


def has_database() -> bool:
    """Return whether Connections can be in a database of Airflow: that of this machine, or a task's by the API server.

    A machine without one, such as a laptop, has its Connections in variables or in a secrets backend.
    """
    from airflow.sdk.execution_time import task_runner

    if getattr(task_runner, "SUPERVISOR_COMMS", None) is not None:
        return True
    from registry_sync.airflow.states.open_database import why_no_database

    return not why_no_database()


def _check_text(backend: BaseSecretsBackend, name: str, error: Exception) -> None:
    """Find out if a backend has a text of a Connection that Airflow cannot read.

    The error is not quoted when it may contain a part of the text: in the URI ``oci-registry://user:pass/word@host``,
    ``pass`` is taken for a port.

    :raises ConfigurationError: when it has.
    """
    try:
        text = backend.get_conn_value(conn_id=name)
    except Exception:  # it does not respond, or has Connections in another form
        return
    if text:
        reason = f" ({_reason(error)})" if isinstance(error, TypeError | JSONDecodeError) else ""
        raise ConfigurationError(
            f"{_place(type(backend).__name__)} has a Connection {name!r} that Airflow cannot read{reason}; correct its "
            "JSON, or percent-encode the special characters of its URI (docs/connections.md)"
        ) from None


_DATABASE = "MetastoreBackend"

_PLACES = {_DATABASE: "Airflow's database", "EnvironmentVariablesBackend": "the environment"}


def _place(backend: str) -> str:
    return _PLACES.get(backend, f"the secrets backend {backend}")


def _api_failure(name: str) -> str:
    """The reason that a task got no answer from the API server about a Connection; else empty.

    Airflow's own backend returns a missing Connection for every error.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if supervisor is None:
        return ""
    try:
        answer = supervisor.send(GetConnection(conn_id=name))
    except Exception as error:
        return f"Airflow's API server could not be asked ({_reason(error)})"
    if not isinstance(answer, ErrorResponse) or answer.error == ErrorType.CONNECTION_NOT_FOUND:
        return ""
    return f"Airflow's API server could not be asked ({answer.error.value}: {one_line(str(answer.detail), 200)})"


def _reason(error: BaseException) -> str:
    """The first line of an error. The further lines of SQLAlchemy's errors are the statement and its parameters."""
    first = str(error).strip().partition("\n")[0]
    return one_line(masked_text(f"{type(error).__name__}: {first}" if first else type(error).__name__), LONGEST_REASON)
