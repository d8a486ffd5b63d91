"""Renewal of credentials: when it happens, who waits, and what a failure does."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from registry_sync.errors import LoginRejected, RegistrySyncError, TemporaryError
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.identity import renewal
from registry_sync.registry.identity.renewal import RenewedCredentials

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Clock:
    """Both clocks that the module reads."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self, _: object) -> datetime:
        return NOW + timedelta(seconds=self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(renewal, "time", clock)
    monkeypatch.setattr(renewal, "datetime", clock)
    return clock


class Issuer:
    """Issues credentials of one lifetime, or an error."""

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self.issued = self.asked = 0
        self.error: RegistrySyncError | None = None
        self.masked: list[str] = []

    def source(self) -> RenewedCredentials:
        return RenewedCredentials("the AWS identity of this worker", self.issue, self.masked.append)

    def issue(self) -> Credentials:
        self.asked += 1
        if self.error:
            raise self.error
        self.issued += 1
        end = None if self._seconds is None else self._clock.now(UTC) + timedelta(seconds=self._seconds)
        return Credentials(username="AWS", secret=f"token-{self.issued}", expires_at=end)


def test_nothing_is_asked_for_before_it_is_needed(clock: Clock) -> None:
    issuer = Issuer(clock, 3600)
    source = issuer.source()
    assert (source.user, issuer.asked) == ("the AWS identity of this worker", 0)
    assert [source.current().secret for _ in range(3)] == ["token-1"] * 3
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("lifetime", "renewed_after"),
    [(12 * 3600, 0.9 * 12 * 3600), (3 * 3600, 0.9 * 3 * 3600), (3600, 3600 - 360), (600, 300), (2, 1), (None, 3240)],
)
def test_credentials_are_renewed_before_they_end(clock: Clock, lifetime: float | None, renewed_after: float) -> None:
    source = Issuer(clock, lifetime).source()
    assert source.current().secret == "token-1"
    clock.seconds = renewed_after - 0.1
    assert source.current().secret == "token-1"
    clock.seconds = renewed_after
    assert source.current().secret == "token-2"


def test_an_end_in_the_past_is_a_wrong_clock(clock: Clock) -> None:
    """Else each request would ask for new ones."""
    issuer = Issuer(clock, -5)
    source = issuer.source()
    assert [source.current().secret for _ in range(3)] == ["token-1"] * 3


def test_each_new_secret_is_masked_before_it_is_used(clock: Clock) -> None:
    issuer = Issuer(clock, 100)
    source = issuer.source()
    first = source.current()
    clock.seconds = 60
    second = source.current()
    assert issuer.masked == [first.secret, first.basic(), second.secret, second.basic()]


def test_many_threads_share_one_renewal(clock: Clock) -> None:
    issuer, together = Issuer(clock, 3600), threading.Barrier(8)
    source = issuer.source()

    def ask(_: int) -> str:
        together.wait()
        return source.current().secret

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"token-1"}
    assert issuer.asked == 1


def test_a_failure_is_not_repeated_at_once(clock: Clock) -> None:
    """All threads of a task get the same error. The pauses double, up to a minute."""
    issuer = Issuer(clock, 3600)
    source = issuer.source()
    issuer.error = TemporaryError("STS does not respond")
    asked = []
    for clock.seconds in (0, 0.9, 1, 2.9, 3, 6.9, 7, 70, 129, 131, 191):
        with pytest.raises(TemporaryError, match=r"^STS does not respond$"):
            source.current()
        asked.append(issuer.asked)
    assert asked == [1, 1, 2, 2, 3, 3, 4, 5, 6, 6, 7]
    issuer.error, clock.seconds = None, 300
    assert source.current().secret == "token-1"


def test_valid_credentials_are_used_while_the_issuer_fails(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer(clock, 3600)
    source = issuer.source()
    assert source.current().secret == "token-1"
    issuer.error, clock.seconds = TemporaryError("STS does not respond"), 3300
    with caplog.at_level(logging.WARNING):
        assert [source.current().secret for _ in range(5)] == ["token-1"] * 5
    assert caplog.messages == [
        "the credentials of the AWS identity of this worker are not renewed: STS does not respond"
    ]
    clock.seconds = 3600
    with pytest.raises(TemporaryError, match=r"^STS does not respond$"):
        source.current()
    issuer.error, clock.seconds = None, 3700
    assert source.current().secret == "token-2"


class TestRejection:
    def test_the_rejected_are_renewed(self, clock: Clock) -> None:
        source = Issuer(clock, 3600).source()
        rejected = source.current()
        assert source.renew(rejected).secret == "token-2"
        assert source.current().secret == "token-2"

    def test_those_of_another_thread_are_taken(self, clock: Clock) -> None:
        issuer = Issuer(clock, 3600)
        source = issuer.source()
        rejected = source.current()
        assert [source.renew(rejected).secret for _ in range(5)] == ["token-2"] * 5
        assert issuer.asked == 2

    def test_new_ones_that_are_rejected_too_are_not_renewed_for_a_minute(self, clock: Clock) -> None:
        issuer = Issuer(clock, 3600)
        source = issuer.source()
        second = source.renew(source.current())
        assert source.renew(second) == second
        clock.seconds = 59
        assert source.renew(second) == second
        assert issuer.asked == 2
        clock.seconds = 60
        assert source.renew(second).secret == "token-3"

    def test_a_denied_renewal_is_the_error(self, clock: Clock) -> None:
        issuer = Issuer(clock, 3600)
        source = issuer.source()
        rejected = source.current()
        issuer.error = LoginRejected("AWS denies it")
        with pytest.raises(LoginRejected, match=r"^AWS denies it$"):
            source.renew(rejected)


def test_a_rejection_while_the_issuer_fails_is_a_failure_of_the_issuer(clock: Clock) -> None:
    """Not of the identity: the rejected credentials are not given back, which would end the task for good."""
    issuer = Issuer(clock, 3600)
    source = issuer.source()
    rejected = source.current()
    issuer.error = TemporaryError("no answer")
    for _ in range(3):
        with pytest.raises(TemporaryError, match="no answer"):
            source.renew(rejected)
    assert issuer.asked == 2
    issuer.error = None
    clock.seconds += 2
    assert source.renew(rejected).secret == "token-2"


def test_credentials_that_end_while_the_issuer_is_asked_are_not_used(clock: Clock) -> None:
    def time_out() -> Credentials:
        clock.seconds += 400
        raise TemporaryError("no answer")

    issuer = Issuer(clock, 3600)
    fetches = [time_out, issuer.issue]

    def fetch() -> Credentials:
        return fetches.pop()()

    source = RenewedCredentials("the AWS identity of this worker", fetch, issuer.masked.append)
    source.current()
    clock.seconds += 3400
    with pytest.raises(TemporaryError, match="no answer"):
        source.current()


def test_fixed_credentials_are_their_own_source() -> None:
    fixed = Credentials(username="robot", secret="hunter2")
    assert fixed.current() is fixed
    assert fixed.renew(fixed) is fixed
    assert fixed.user == "'robot'"
