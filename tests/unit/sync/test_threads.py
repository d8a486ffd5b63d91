"""Functions at the same time, and their errors."""

from __future__ import annotations

import threading

import pytest

from registry_sync.sync.threads import at_once, each_at_once
from testkit.waiting import PATIENCE_SECONDS


def test_both_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    assert at_once(lambda: meeting.wait() is None, lambda: meeting.wait() is None) == (False, False)


@pytest.mark.parametrize("is_first", [True, False])
def test_an_error_is_raised_while_the_other_still_works(is_first: bool) -> None:
    released = threading.Event()

    def fail() -> None:
        raise LookupError("this one")

    def work() -> None:
        released.wait(PATIENCE_SECONDS)

    with pytest.raises(LookupError, match=r"^this one$"):
        at_once(*((fail, work) if is_first else (work, fail)))
    assert not released.is_set()
    released.set()


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    assert each_at_once(str, range(5), threads=threads) == ["0", "1", "2", "3", "4"]


def test_after_an_error_nothing_is_under_way() -> None:
    """The caller releases its locks then."""
    failed, ended = threading.Event(), list[int]()

    def work(item: int) -> None:
        if item == 1:
            failed.set()
            raise LookupError(f"item {item}")
        failed.wait(PATIENCE_SECONDS)
        threading.Event().wait(0.1)
        ended.append(item)

    with pytest.raises(LookupError, match=r"^item 1$"):
        each_at_once(work, range(100), threads=2)
    assert ended[:1] == [0]
    assert len(ended) <= 2, "one more may have begun"
    threading.Event().wait(0.15)
    assert len(ended) <= 2
