"""Defer a task until a registry's rate limit ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn

from airflow.sdk import BaseOperator

from registry_sync.airflow.runs.retries import deferral_end
from registry_sync.airflow.triggers.not_before import NotBeforeTrigger
from registry_sync.errors import RegistrySyncError

MAX_DEFERRALS = 12
"""Maximum number of times that one try of a task is deferred."""


def defer_or_raise(operator: BaseOperator, error: RegistrySyncError, deferrals: int) -> NoReturn:
    """Defer the task when a registry rate-limits it; otherwise raise the error for the retry policy.

    Airflow then calls the operator's ``execute`` again with ``event``, and with ``deferrals`` increased by one.

    :param deferrals: number of deferrals of this try so far.
    """
    resume_at = deferral_end(error, datetime.now(UTC))
    if resume_at is None or deferrals >= MAX_DEFERRALS:
        raise error
    operator.log.warning("%s\nRate limited; the task is deferred until %s", error, resume_at.isoformat())
    trigger = NotBeforeTrigger(resume_at=resume_at.isoformat())
    operator.defer(trigger=trigger, method_name="execute", kwargs={"deferrals": deferrals + 1})
