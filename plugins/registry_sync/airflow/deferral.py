"""Waiting for a registry without a worker, in the middle of a task."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn

from airflow.sdk import BaseOperator

from registry_sync.airflow.retries import wait_worth_deferring
from registry_sync.airflow.triggers.not_before import NotBeforeTrigger
from registry_sync.errors import RegistrySyncError

MOST_WAITS = 12
"""How often one try of a task waits without a worker."""


def wait_or_raise(operator: BaseOperator, error: RegistrySyncError, waits: int) -> NoReturn:
    """Go on later where a registry named a time far ahead; otherwise leave the error to the retry policy.

    The operator's ``execute`` is called again, with ``event``, and with ``waits`` one higher.

    :param waits: how often this try has waited already.
    """
    until = wait_worth_deferring(error, datetime.now(UTC))
    if until is None or waits >= MOST_WAITS:
        raise error
    operator.log.warning("%s\nThe registry asks to wait; going on at %s", error, until.isoformat())
    trigger = NotBeforeTrigger(moment=until.isoformat())
    operator.defer(trigger=trigger, method_name="execute", kwargs={"waits": waits + 1})
