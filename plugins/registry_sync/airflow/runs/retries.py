"""Map errors to Airflow: fail, retry or defer. No other module decides this."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LockedTag,
    NotWhole,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.sync.report import RouteReport

if TYPE_CHECKING:
    from airflow.sdk import Context

MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 30, 900
"""Delay before the first retry, and the limit up to which it doubles."""

JITTER_SECONDS = 60
"""Tasks that wait for the same registry resume spread over this time."""

_CLASSES = (ConfigurationError, DeniedError, LockedTag, NotWhole, RefusedError, TemporaryError)

_BY_CLASS = {error.error_class: error for error in _CLASSES}


def error_of_report(report: RouteReport) -> RegistrySyncError | None:
    """Return one error for all failed and locked tags of a route; its message lists each of them.

    One temporary failure makes the whole route worth a retry, because the retry copies only what is still missing.
    Locked tags alone do not.
    """
    if not report.failed_tags and not report.locked_tags:
        return None
    message = _failure_message(report)
    if not report.failed_tags:
        return LockedTag(message)
    if report.retry_at:
        return RateLimited(message, retry_at=report.retry_at)
    classes = [result.error_class for result in report.failed_tags]
    if {TemporaryError.error_class, RateLimited.error_class}.intersection(classes):
        return TemporaryError(message)
    return _BY_CLASS.get(str(classes[0]), RefusedError)(message)


def _failure_message(report: RouteReport) -> str:
    failed, locked = report.failed_tags, report.locked_tags
    counts = [f"{len(failed)} tags failed"] if failed else []
    counts += [f"{len(locked)} tags are locked at the destination and cannot be overwritten{_UNLOCK}"] if locked else []
    heading = f"{report.source} → {report.destination}: {' and '.join(counts)}"
    return "\n  ".join([heading, *(f"{result.tag}: {result.reason}" for result in (*failed, *locked))])


_UNLOCK = " (unlock them in the registry, or set on_moved_tag: keep for them)"


def deferral_end(error: BaseException, now: datetime) -> datetime | None:
    """Time at which to resume after a rate limit; ``None`` when the task should not be deferred.

    The client sleeps through short limits. One that ends a task frees the worker and uses no retry.
    """
    if isinstance(error, RateLimited):
        jitter = timedelta(seconds=random.uniform(0.0, JITTER_SECONDS))  # noqa: S311 - no secret
        return max(error.retry_at, now) + jitter
    return None


class MirrorRetryPolicy(RetryPolicy):
    """Fail on permanent errors, and retry temporary ones after a delay with jitter.

    Airflow's own back-off gives all mapped instances of a task the same delay, so they would all return at once.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002 - Airflow's signature
        context: Context | None = None,  # noqa: ARG002 - Airflow's signature
    ) -> RetryDecision:
        """Decide by the error's class. Other packages' exceptions are left to Airflow. ``try_number`` starts at 1."""
        if not isinstance(exception, RegistrySyncError):
            return RetryDecision.default()
        if exception.is_permanent:
            return RetryDecision.fail(f"{exception.error_class}: a retry would fail again")
        delay = _backoff(try_number)
        if isinstance(exception, RateLimited):
            delay += max(timedelta(), exception.retry_at - datetime.now(UTC))
        return RetryDecision.retry(delay=delay, reason=exception.error_class)


def _backoff(try_number: int) -> timedelta:
    """Exponential back-off with jitter."""
    seconds = min(MIN_RETRY_SECONDS * 2.0 ** (try_number - 1), MAX_RETRY_SECONDS)
    return timedelta(seconds=seconds * random.uniform(1.0, 1.5))  # noqa: S311 - a delay, no secret
