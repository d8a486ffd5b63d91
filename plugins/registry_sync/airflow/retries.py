"""What a failure means to Airflow: fail, retry or wait. This is the only place that decides it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LockedTag,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.sync.report import RouteReport

if TYPE_CHECKING:
    from airflow.sdk import Context

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 30, 900

DEFER_FROM_SECONDS = 120
"""A wait this long frees the worker; a shorter one is an ordinary retry."""

SPREAD_SECONDS = 60
"""Tasks that wait for the same registry go on within this time, and not all in the same moment."""

_CLASSES = (ConfigurationError, DeniedError, LockedTag, RefusedError, TemporaryError)

_BY_CLASS = {each.error_class: each for each in _CLASSES}


def error_of(report: RouteReport) -> RegistrySyncError | None:
    """The one error that stands for all failed and locked tags of a route, with each of them in its message.

    A route with one temporary failure is worth another try, whatever else failed in it: the try copies only what is
    still missing. One of which some tags are locked and none failed is not.
    """
    failed, locked = report.failed_tags, report.locked_tags
    if not failed and not locked:
        return None
    parts = [f"{len(failed)} tags failed"] if failed else []
    parts += [f"{len(locked)} tags are locked at the destination, {_UNLOCK}"] if locked else []
    heading = f"{report.source} → {report.destination}: {' and '.join(parts)}"
    message = "\n  ".join([heading, *(f"{each.tag}: {each.reason}" for each in (*failed, *locked))])
    if not failed:
        return LockedTag(message)
    if report.retry_at:
        return RateLimited(message, retry_at=report.retry_at)
    classes = {each.error_class for each in failed}
    if classes & {TemporaryError.error_class, RateLimited.error_class}:
        return TemporaryError(message)
    return _BY_CLASS.get(str(failed[0].error_class), RefusedError)(message)


_UNLOCK = "which does not let them be overwritten (unlock them there, or write on_moved_tag: keep for them)"


def wait_worth_deferring(error: BaseException, now: datetime) -> datetime | None:
    """Until when to wait without a worker, or ``None`` when the error names no such time."""
    if isinstance(error, RateLimited) and (error.retry_at - now).total_seconds() >= DEFER_FROM_SECONDS:
        return error.retry_at + timedelta(seconds=random.uniform(0.0, SPREAD_SECONDS))  # noqa: S311 - no secret
    return None


class MirrorRetryPolicy(RetryPolicy):
    """Permanent errors fail at once; temporary ones are tried again later, each task at a time of its own.

    Airflow's own back-off gives all mapped instances of a task the same delay, so that they would come back together.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002 - Airflow's signature
        context: Context | None = None,  # noqa: ARG002 - Airflow's signature
    ) -> RetryDecision:
        """Decide by the error's class. ``try_number`` counts from 1; what is not ours is Airflow's to decide."""
        if not isinstance(exception, RegistrySyncError):
            return RetryDecision.default()
        if exception.is_permanent:
            return RetryDecision.fail(f"{exception.error_class}: trying again changes nothing")
        seconds = min(FIRST_RETRY_SECONDS * 2.0 ** (try_number - 1), LONGEST_RETRY_SECONDS)
        delay = timedelta(seconds=seconds * random.uniform(1.0, 1.5))  # noqa: S311 - a delay, no secret
        if isinstance(exception, RateLimited):
            delay += max(timedelta(), exception.retry_at - datetime.now(UTC))
        return RetryDecision.retry(delay=delay, reason=exception.error_class)
