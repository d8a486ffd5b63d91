"""The label of a mapped task, which Airflow's UI shows in place of its number.

Airflow renders ``map_index_template`` before a task executes, and stores the label by a request of its own. Such a
request costs the API server more CPU than a route in sync costs the task. The label also travels with the final state.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

TEMPLATE = "{{ task.label }}"
"""The template of the label. Airflow renders it when the task has executed."""

MAX_LENGTH = 250
"""The length of Airflow's column. A longer label fails the task on PostgreSQL."""

SHOWN_AFTER_SECONDS = 2.0
"""A task that executes for longer sends its label meanwhile. Most routes in sync end before."""


@contextmanager
def labelled(context: Context, label: str) -> Iterator[None]:
    """Label the running task, whose operator has the label too, until the end of the block.

    It is sent at once when the task fails or is deferred: the messages of a retry and of a deferral have no label.
    """
    context["map_index_template"] = TEMPLATE
    context["ti"].rendered_map_index = label  # Airflow sends a label that it did not know once more
    timer = threading.Timer(SHOWN_AFTER_SECONDS, _send, [label])
    timer.daemon = True
    timer.start()
    try:
        yield
    except BaseException:
        _send(label)
        raise
    finally:
        timer.cancel()
        timer.join()


def _send(label: str) -> None:
    """Show the label now. Nothing depends on it."""
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - only in a running task
    from airflow.sdk.execution_time.comms import SetRenderedMapIndex  # noqa: PLC0415

    try:
        task_runner.SUPERVISOR_COMMS.send(SetRenderedMapIndex(rendered_map_index=label))
    except Exception as error:
        log.info("the label %r is shown when the task ends: %s", label, error)
