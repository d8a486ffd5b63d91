"""What a failure means to Airflow: the error of a report, whether to wait without a worker, and when to try again."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import RetryAction

from registry_sync.airflow.retries import MirrorRetryPolicy, error_of, wait_worth_deferring
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
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance gives the least that it may."""
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
    assert error_of(a_report()) is None


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
    raised = error_of(a_report(*(failed(f"v{n}", each) for n, each in enumerate(classes))))
    assert type(raised) is error
    head = f"quay.io/a/b → acr.example/a/b: {len(classes)} tags failed"
    assert str(raised) == "\n  ".join([head, *(f"v{n}: {each} error" for n, each in enumerate(classes))])


UNLOCK = "which does not let them be overwritten (unlock them there, or write on_moved_tag: keep for them)"


def test_locked_tags_alone_are_an_error_of_their_own_that_says_what_to_do() -> None:
    locked = TagResult.locked("v1", "changed, and locked")
    raised = error_of(a_report(locked, retry_at=NOW))
    assert type(raised) is LockedTag
    assert str(raised) == (
        f"quay.io/a/b → acr.example/a/b: 1 tags are locked at the destination, {UNLOCK}\n  v1: changed, and locked"
    )


def test_locked_tags_beside_a_temporary_failure_are_named_and_do_not_keep_it_from_a_retry() -> None:
    locked = TagResult.locked("v1", "changed, and locked")
    raised = error_of(a_report(locked, failed("v2", "temporary")))
    assert type(raised) is TemporaryError
    assert str(raised) == (
        f"quay.io/a/b → acr.example/a/b: 1 tags failed and 1 tags are locked at the destination, {UNLOCK}\n"
        "  v2: temporary error\n  v1: changed, and locked"
    )


def test_a_rate_limit_decides_over_other_failures() -> None:
    raised = error_of(a_report(failed("v1", "denied"), failed("v2", "rate_limited"), retry_at=NOW))
    assert isinstance(raised, RateLimited)
    assert raised.retry_at == NOW
    assert str(raised) == "quay.io/a/b → acr.example/a/b: 2 tags failed\n  v1: denied error\n  v2: rate_limited error"


@pytest.mark.parametrize(
    ("seconds", "is_worth_it"), [(-3600, False), (0, False), (119, False), (120, True), (86_400, True)]
)
@pytest.mark.usefixtures("no_chance")
def test_long_rate_limits_are_deferred(seconds: int, is_worth_it: bool) -> None:
    retry_at = NOW + timedelta(seconds=seconds)
    until = wait_worth_deferring(RateLimited("too fast", retry_at=retry_at), NOW)
    assert until == (retry_at if is_worth_it else None)


def test_tasks_that_wait_for_one_registry_do_not_come_back_at_once() -> None:
    retry_at = NOW + timedelta(hours=1)
    error = RateLimited("too fast", retry_at=retry_at)
    moments = [until for _ in range(50) if (until := wait_worth_deferring(error, NOW))]
    assert len(set(moments)) == 50
    assert retry_at <= min(moments) <= max(moments) <= retry_at + timedelta(minutes=1)


@pytest.mark.parametrize("error", [TemporaryError("down"), DeniedError("no"), ValueError("odd")])
def test_other_errors_are_not_deferred(error: Exception) -> None:
    assert wait_worth_deferring(error, NOW) is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DeniedError("x"), "denied: trying again changes nothing"),
        (LockedTag("x"), "locked: trying again changes nothing"),
        (RefusedError("x"), "refused: trying again changes nothing"),
        (NotCopyableWhole("x"), "refused: trying again changes nothing"),
        (NotFound("x"), "not_found: trying again changes nothing"),
        (ConfigurationError("x"), "configuration: trying again changes nothing"),
        (MirrorsFileError(("x",)), "configuration: trying again changes nothing"),
    ],
)
def test_permanent_errors_fail_at_once(error: RegistrySyncError, reason: str) -> None:
    decision = MirrorRetryPolicy().evaluate(error, 1, 3)
    assert (decision.action, decision.reason) == (RetryAction.FAIL, reason)


@pytest.mark.parametrize("error", [TemporaryError("x"), MissingContent("x")])
@pytest.mark.parametrize(
    ("try_number", "seconds"), [(1, 30), (2, 60), (3, 120), (5, 480), (6, 900), (7, 900), (1000, 900)]
)
@pytest.mark.usefixtures("no_chance")
def test_temporary_errors_are_retried_with_growing_delays(error: TemporaryError, try_number: int, seconds: int) -> None:
    decision = MirrorRetryPolicy().evaluate(error, try_number, 3)
    assert (decision.action, decision.reason) == (RetryAction.RETRY, "temporary")
    assert decision.retry_delay == timedelta(seconds=seconds)


def test_each_task_has_a_delay_of_its_own() -> None:
    delays = [MirrorRetryPolicy().evaluate(TemporaryError("x"), 1, 3).retry_delay for _ in range(50)]
    seconds = [each.total_seconds() for each in delays if each]
    assert len(set(seconds)) == 50
    assert 30 <= min(seconds) <= max(seconds) <= 45


@pytest.mark.parametrize(("ahead", "seconds"), [(timedelta(hours=-1), 30), (timedelta(hours=1), 3630)])
@pytest.mark.usefixtures("no_chance")
def test_a_rate_limited_registry_is_retried_after_its_time(ahead: timedelta, seconds: int) -> None:
    error = RateLimited("too fast", retry_at=datetime.now(UTC) + ahead)
    decision = MirrorRetryPolicy().evaluate(error, 1, 3)
    assert (decision.action, decision.reason) == (RetryAction.RETRY, "rate_limited")
    assert decision.retry_delay is not None
    assert seconds - 5 < decision.retry_delay.total_seconds() <= seconds


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_other_exceptions_keep_airflows_default(error: BaseException) -> None:
    assert MirrorRetryPolicy().evaluate(error, 1, 3).action is RetryAction.DEFAULT
