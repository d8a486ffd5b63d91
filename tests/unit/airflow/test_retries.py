"""Failures as Airflow sees them: the error of a report, deferrals, and retry delays."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import RetryAction

from registry_sync.airflow.runs.retries import MirrorRetryPolicy, deferral_end, error_of_report
from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LockedTag,
    MirrorsFileError,
    MissingContent,
    NotCopyableWhole,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.sync.report import RouteReport, TagResult

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def minimal_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random delays take their minimum."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


def failed(tag: str, error_class: str) -> TagResult:
    return TagResult.failed(tag, f"{error_class} error", error_class)


def a_report(*tags: TagResult, retry_at: datetime | None = None) -> RouteReport:
    copied = TagResult(tag="fine", outcome="copied", reason="missing at the destination")
    source, destination = "quay.io/a/b", "acr.example/a/b"
    return RouteReport(
        mirror="m",
        route_key="k",
        source=source,
        destination=destination,
        counts={},
        tags=(copied, *tags),
        retry_at=retry_at,
    )


def test_a_report_without_failed_tags_has_no_error() -> None:
    assert error_of_report(a_report()) is None


@pytest.mark.parametrize(
    ("classes", "error"),
    [
        (["temporary"], TemporaryError),
        (["denied"], DeniedError),
        (["refused"], RefusedError),
        (["configuration"], ConfigurationError),
        (["not_found"], RefusedError),
        (["locked"], LockedTag),
        (["denied", "refused"], DeniedError),
        (["denied", "temporary"], TemporaryError),
        (["temporary", "refused", "configuration"], TemporaryError),
    ],
)
def test_one_error_stands_for_all_failed_tags(classes: list[str], error: type[RegistrySyncError]) -> None:
    raised = error_of_report(a_report(*(failed(f"v{n}", name) for n, name in enumerate(classes))))
    assert type(raised) is error
    head = f"quay.io/a/b → acr.example/a/b: {len(classes)} tags failed"
    assert str(raised) == "\n  ".join([head, *(f"v{n}: {name} error" for n, name in enumerate(classes))])


LOCKED = (
    "1 tags are locked at the destination and cannot be overwritten "
    "(unlock them in the registry, or set on_moved_tag: keep for them)"
)


def test_locked_tags_alone_are_an_error_of_their_own_with_advice() -> None:
    locked = TagResult.locked("v1", "changed, and locked")
    raised = error_of_report(a_report(locked, retry_at=NOW))
    assert type(raised) is LockedTag
    assert str(raised) == (f"quay.io/a/b → acr.example/a/b: {LOCKED}\n  v1: changed, and locked")


def test_a_temporary_failure_is_retried_although_other_tags_are_locked() -> None:
    locked = TagResult.locked("v1", "changed, and locked")
    raised = error_of_report(a_report(locked, failed("v2", "temporary")))
    assert type(raised) is TemporaryError
    assert str(raised) == (
        f"quay.io/a/b → acr.example/a/b: 1 tags failed and {LOCKED}\n  v2: temporary error\n  v1: changed, and locked"
    )


def test_a_rate_limit_takes_precedence_over_other_failures() -> None:
    raised = error_of_report(a_report(failed("v1", "denied"), failed("v2", "rate_limited"), retry_at=NOW))
    assert isinstance(raised, RateLimited)
    assert raised.retry_at == NOW
    assert str(raised) == "quay.io/a/b → acr.example/a/b: 2 tags failed\n  v1: denied error\n  v2: rate_limited error"


@pytest.mark.parametrize(("seconds", "deferred_seconds"), [(-3600, 0), (0, 0), (31, 31), (86_400, 86_400)])
@pytest.mark.usefixtures("minimal_jitter")
def test_rate_limits_are_deferred(seconds: int, deferred_seconds: int) -> None:
    error = RateLimited("too fast", retry_at=NOW + timedelta(seconds=seconds))
    resume_at = deferral_end(error, NOW)
    assert resume_at is not None
    assert resume_at - NOW - timedelta(seconds=deferred_seconds) < timedelta(seconds=1)


def test_deferred_tasks_resume_at_different_times() -> None:
    retry_at = NOW + timedelta(hours=1)
    error = RateLimited("too fast", retry_at=retry_at)
    times = [resume_at for _ in range(50) if (resume_at := deferral_end(error, NOW))]
    assert len(set(times)) == 50
    assert retry_at <= min(times) <= max(times) <= retry_at + timedelta(minutes=1)


@pytest.mark.parametrize("error", [TemporaryError("down"), DeniedError("no"), ValueError("odd")])
def test_other_errors_are_not_deferred(error: Exception) -> None:
    assert deferral_end(error, NOW) is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DeniedError("x"), "denied: a retry would fail again"),
        (LockedTag("x"), "locked: a retry would fail again"),
        (RefusedError("x"), "refused: a retry would fail again"),
        (NotCopyableWhole("x"), "refused: a retry would fail again"),
        (NotFound("x"), "not_found: a retry would fail again"),
        (ConfigurationError("x"), "configuration: a retry would fail again"),
        (MirrorsFileError(("x",)), "configuration: a retry would fail again"),
    ],
)
def test_permanent_errors_fail_at_once(error: RegistrySyncError, reason: str) -> None:
    decision = MirrorRetryPolicy().evaluate(error, 1, 3)
    assert (decision.action, decision.reason) == (RetryAction.FAIL, reason)


@pytest.mark.parametrize("error", [TemporaryError("x"), MissingContent("x")])
@pytest.mark.parametrize(
    ("try_number", "seconds"), [(1, 30), (2, 60), (3, 120), (5, 480), (6, 900), (7, 900), (1000, 900)]
)
@pytest.mark.usefixtures("minimal_jitter")
def test_temporary_errors_are_retried_with_growing_delays(error: TemporaryError, try_number: int, seconds: int) -> None:
    decision = MirrorRetryPolicy().evaluate(error, try_number, 3)
    assert (decision.action, decision.reason) == (RetryAction.RETRY, "temporary")
    assert decision.retry_delay == timedelta(seconds=seconds)


def test_retry_delays_have_jitter() -> None:
    delays = [MirrorRetryPolicy().evaluate(TemporaryError("x"), 1, 3).retry_delay for _ in range(50)]
    seconds = [delay.total_seconds() for delay in delays if delay]
    assert len(set(seconds)) == 50
    assert 30 <= min(seconds) <= max(seconds) <= 45


@pytest.mark.parametrize(("ahead", "seconds"), [(timedelta(hours=-1), 30), (timedelta(hours=1), 3630)])
@pytest.mark.usefixtures("minimal_jitter")
def test_a_rate_limited_task_is_retried_after_the_limit(ahead: timedelta, seconds: int) -> None:
    error = RateLimited("too fast", retry_at=datetime.now(UTC) + ahead)
    decision = MirrorRetryPolicy().evaluate(error, 1, 3)
    assert (decision.action, decision.reason) == (RetryAction.RETRY, "rate_limited")
    assert decision.retry_delay is not None
    assert seconds - 5 < decision.retry_delay.total_seconds() <= seconds


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_other_exceptions_keep_airflows_default(error: BaseException) -> None:
    assert MirrorRetryPolicy().evaluate(error, 1, 3).action is RetryAction.DEFAULT
