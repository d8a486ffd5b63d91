"""How long a skopeo counts as idle, by readings of its counters at chosen times."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from registry_sync.skopeo.traffic import Traffic

Reading = tuple[float, tuple[int, int] | None]


def idle_seconds(*readings: Reading) -> float:
    """The idle time after readings at seconds since the start."""
    return read(readings).idle_seconds


def read(readings: Sequence[Reading]) -> Traffic:
    now = 0.0
    traffic = Traffic(most_seconds_between=1, clock=lambda: now)
    for now, counters in readings:  # noqa: B007 the clock returns it
        traffic.record(counters)
    return traffic


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([(0.25, (0, 0)), (0.5, (0, 0))], 0.5),
        ([(0.25, (200, 55)), (0.5, (300, 210))], 0.5),  # 255 bytes in each interval
        ([(0.25, (0, 0)), (0.5, (200, 56))], 0.0),
        ([(0.25, (9_000, 0)), (0.5, (9_000, 0)), (0.75, (9_000, 0))], 0.5),
        ([(0.25, (9_000, 0)), (0.5, None), (0.75, (0, 0))], 0.5),  # it has ended
        ([(0.25, None), (0.5, None)], 0.0),  # as anywhere but on Linux
        ([(0.25, (9_000, 0)), (100.0, (9_000, 0))], 1.0),  # the worker was suspended
        ([(0.25, (9_000, 0)), (100.0, (9_000, 0)), (100.25, (9_300, 0))], 0.0),
    ],
)
def test_idle_is_the_time_without_progress(readings: Sequence[Reading], expected: float) -> None:
    assert idle_seconds(*readings) == pytest.approx(expected)


def test_frequent_readings_find_progress_in_their_sum() -> None:
    """110 bytes every 20 ms: fewer than an HTTP request has between two readings, and 5 kB a second."""
    assert max(idle_seconds(*[(n / 50, (0, 110 * n)) for n in range(last)]) for last in range(1, 100)) == 0


def test_frequent_readings_do_not_hide_a_stall() -> None:
    """One byte every 20 ms, as the threads of a waiting Go program send each other."""
    assert idle_seconds(*[(n / 50, (n, n)) for n in range(101)]) > 1.5


def test_a_reading_that_failed_is_idle_time() -> None:
    now = 0.0
    traffic = Traffic(most_seconds_between=10, clock=lambda: now)
    now = 5.0
    traffic.miss()
    now = 9.0
    traffic.miss()
    assert traffic.idle_seconds == pytest.approx(9)


def test_the_smaller_counter_is_what_was_sent() -> None:
    readings: list[Reading] = [(0.01, (5_000, 3_000)), (0.02, (9_000, 8_000)), (0.5, None), (0.75, (0, 0))]
    assert read(readings).sent_bytes == 8_000
