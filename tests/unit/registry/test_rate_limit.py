"""The rate limiter and the file that tasks share: paces, pauses, unusable files, and the end of every wait."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry_sync.errors import RateLimited
from registry_sync.registry.wire import rate_limit
from registry_sync.registry.wire.rate_limit import AGAIN_SECONDS, PATIENCE_SECONDS, RateLimiter
from registry_sync.worker.shared_directory import shared_directory

pytestmark = pytest.mark.usefixtures("own_temporary_directory")

SERVER = "quay.example"


class Clock:
    """A clock that advances only by sleeping. ``during_sleep`` is what another task does meanwhile."""

    def __init__(self) -> None:
        self.now = 50.0
        self.during_sleep: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.during_sleep()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limit, "time", clock)
    return clock


def state_file() -> Path:
    directory = shared_directory()
    assert directory
    return directory / f"rate-{SERVER}"


def starts_of(pace: RateLimiter, clock: Clock, count: int) -> list[float]:
    starts = []
    for _ in range(count):
        pace.wait()
        starts.append(clock.now)
    return starts


def test_starts_are_apart(clock: Clock) -> None:
    assert starts_of(RateLimiter(4), clock, 5) == [50.0, 50.25, 50.5, 50.75, 51.0]


def test_idle_time_is_not_saved_up(clock: Clock) -> None:
    pace = RateLimiter(2)
    pace.wait()
    clock.now += 60
    assert starts_of(pace, clock, 2) == [110.0, 110.5]


def test_no_pace_waits_never(clock: Clock) -> None:
    assert starts_of(RateLimiter(None), clock, 100) == [50.0] * 100


def test_each_429_doubles_the_gap_where_no_rate_is_known(clock: Clock) -> None:
    pace, gaps = RateLimiter(None, server=SERVER), []
    for _ in range(3):
        pace.pause(sent_at=pace.wait())
        one, two, three = starts_of(pace, clock, 3)
        gaps.append((two - one, three - two))
    expected = [(gap, gap) for gap in (0.005, 0.01, 0.02)]
    assert gaps == [pytest.approx(gap, rel=0.02) for gap in expected]


def test_clients_of_one_server_share_a_pace(clock: Clock) -> None:
    one, two, other = (RateLimiter(4, server=server) for server in (SERVER, SERVER, "hub.example"))
    starts = [starts_of(pace, clock, 1)[0] for pace in (one, two, one, other)]
    assert starts == [50.0, 50.25, 50.5, 50.5]


@pytest.mark.parametrize(
    "text",
    [
        "no number",
        "",
        "99999999.0",
        "null",
        "{}",
        "[1, 2, 3]",
        "[1, 2, 3, []]",
        "[1, 2, 3, null]",
        "[null, 0, 0, {}]",
        '[0, 0, 0, {"": [1]}]',
        '[0, 0, 0, {"": ["x", 1]}]',
        f"[0, {10**400}, 0, {{}}]",
        "[0, 1e999, 0, {}]",
        "[0, NaN, 0, {}]",
        "[" * 4000,
        f'[0, 0, 0, {{"{"x" * 5000}": [1, 1]}}]',
        "[60, 65, 4, {}]",
        "[40, 1e300, 4, {}]",
        '[0, 0, 0, {"": [1e300, 0.5]}]',
        '[0, 0, 0, {"": [50, -1e300]}]',
        '[0, 0, -1e300, {"": [50, 1e300]}]',
        "\xff\xfe",
    ],
)
def test_an_unusable_rate_file_is_ignored(clock: Clock, text: str) -> None:
    """Of another version, damaged, or from another boot of the machine, whose clock began anew."""
    pace = RateLimiter(4, server=SERVER)
    state_file().write_text(text)
    assert starts_of(pace, clock, 2) == [50.0, 50.25]
    assert pace.pause(sent_at=clock.now) == 0.5
    assert starts_of(pace, clock, 1) == [50.75]


def test_a_pause_survives_in_the_file(clock: Clock) -> None:
    RateLimiter(4, server=SERVER).pause(sent_at=clock.now)
    assert starts_of(RateLimiter(4, server=SERVER), clock, 1) == [50.5]


@pytest.mark.parametrize(
    ("seconds", "pauses"),
    [
        (None, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (0.0, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (0.1, [0.5] * 8),
        (7.0, [7.0] * 8),
    ],
)
def test_pauses_while_429s_go_on(clock: Clock, seconds: float | None, pauses: list[float]) -> None:
    """A delay of 0, or a date in the past, names no delay. A registry that goes on like that is not hammered."""
    limiter = RateLimiter(None, server=SERVER)
    begun = []
    for _ in pauses:
        limiter.wait_for_pause()
        begun.append(limiter.pause(sent_at=clock.now, seconds=seconds))
    assert begun == pauses


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file can be opened and not written."""
    state_file().symlink_to("/dev/full")
    monkeypatch.setattr(os, "O_NOFOLLOW", 0)


def removed_directory(_: pytest.MonkeyPatch) -> None:
    """A cleaner of temporary files removes the directory while the task runs."""
    state_file().parent.rmdir()


def link_of_another(_: pytest.MonkeyPatch) -> None:
    state_file().symlink_to("/etc/passwd")


def directory_in_its_place(_: pytest.MonkeyPatch) -> None:
    state_file().mkdir()


@pytest.mark.parametrize("damage", [full_disk, removed_directory, link_of_another, directory_in_its_place])
def test_without_a_usable_file_paces_and_pauses_are_our_own(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, damage: Callable[[pytest.MonkeyPatch], None]
) -> None:
    pace, paused = RateLimiter(4, server=SERVER), RateLimiter(None, server=SERVER)
    damage(monkeypatch)
    assert starts_of(pace, clock, 3) == [50.0, 50.25, 50.5]
    for pause in (0.5, 1.0, 2.0, 4.0):
        assert paused.pause(sent_at=paused.wait()) == pause
        began = clock.now
        paused.wait_for_pause()
        assert clock.now == began + pause


def test_threads_take_starts_of_their_own() -> None:
    pace = RateLimiter(200)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: pace.wait(), range(21)))
    assert time.monotonic() - began >= 0.1


def test_429s_that_arrive_at_once_begin_one_pause() -> None:
    """Of sixteen threads with limiters of their own, as tasks have. A later one must not forget an earlier's pause."""
    threads = 16
    barrier = threading.Barrier(threads)

    def pause(server: str) -> float:
        limiter, sent_at = RateLimiter(None, server=server), time.monotonic()
        barrier.wait()
        return limiter.pause(sent_at=sent_at)

    with ThreadPoolExecutor(threads) as pool:
        for server in (f"{number}.example" for number in range(20)):
            assert sorted(pool.map(pause, [server] * threads)) == [0.0] * (threads - 1) + [0.5]


@pytest.mark.parametrize("wait", [RateLimiter.wait, RateLimiter.wait_for_pause], ids=["own request", "skopeo's"])
def test_a_wait_ends_although_other_tasks_begin_pause_after_pause(
    clock: Clock, wait: Callable[[RateLimiter], object]
) -> None:
    """Each pause is begun by the 429 to the one request that was sent after the pause before."""
    limiter, other = RateLimiter(None, server=SERVER), RateLimiter(None, server=SERVER)
    clock.during_sleep = lambda: other.pause(sent_at=clock.now)
    other.pause(sent_at=clock.now)
    before = datetime.now(UTC)
    with pytest.raises(RateLimited) as caught:
        wait(limiter)
    assert str(caught.value) == f"{SERVER} answered 429, for 300 s although all requests paused"
    assert caught.value.retry_at - before >= timedelta(seconds=AGAIN_SECONDS)
    assert PATIENCE_SECONDS <= clock.now - 50 <= PATIENCE_SECONDS + 31
