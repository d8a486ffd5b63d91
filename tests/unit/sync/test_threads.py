"""Functions at the same time, and their errors."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from registry_sync.sync.threads import at_once, each_at_once, request_pool
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


@pytest.mark.parametrize(
    ("requests", "are_far", "others"), [(0, False, 0), (15, False, 0), (2, True, 0), (16, False, 2)]
)
def test_few_requests_need_no_thread_of_their_own(requests: int, are_far: bool, others: int) -> None:
    meeting = threading.Barrier(max(others, 1), timeout=PATIENCE_SECONDS)

    def send(_: int) -> str:
        meeting.wait()
        return threading.current_thread().name

    with request_pool(requests, 2, are_far=are_far) as pool:
        names = set(pool.map(send, range(requests)))
    assert len(names - {threading.current_thread().name}) == others


@pytest.mark.parametrize("requests", [3, 100])
def test_after_an_error_no_other_request_begins(requests: int) -> None:
    """With a thread of its own, the one after it may have begun."""
    begun = list[int]()

    def send(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise LookupError(f"item {item}")
        return item

    with request_pool(requests, 1) as pool, pytest.raises(LookupError, match=r"^item 1$"):
        list(pool.map(send, range(requests)))
    assert begun == [0, 1]


def test_a_reading_ends_when_its_pool_is_shut_down() -> None:
    with request_pool(3, 8) as pool:
        results = pool.map(str, range(3))
        assert next(results) == "0"
    with pytest.raises(CancelledError):
        next(results)
