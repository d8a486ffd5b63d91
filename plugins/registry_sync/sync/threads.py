"""Threads for the requests and copies of one route."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

PROGRESS_SECONDS = 15
"""Pause between two log lines about long work."""

_REQUESTS_PER_THREAD = 8
"""Each thread opens a connection, which costs as much CPU as several requests."""

_FAR_REQUESTS_PER_THREAD = 2
"""Where requests mostly wait, a connection takes the time of two or three."""

First = TypeVar("First")
Second = TypeVar("Second")


def needed_threads(requests: int, most: int, *, are_far: bool = False) -> int:
    """The threads for a number of short requests, at most ``most``: more to registries that are far.

    >>> [needed_threads(requests, 8) for requests in (0, 10, 20, 64, 1000)]
    [1, 1, 2, 8, 8]
    >>> [needed_threads(requests, 8, are_far=True) for requests in (0, 3, 5, 10, 20)]
    [1, 2, 3, 5, 8]
    """
    wanted = math.ceil(requests / _FAR_REQUESTS_PER_THREAD) if are_far else requests // _REQUESTS_PER_THREAD
    return min(most, max(1, wanted))


@contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads that is not joined when the block ends by an error, such as when the task is being killed."""
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="registry_sync")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _OwnThread(Executor):
    """Calls in the thread that takes their results, one after the other.

    Starting another thread, and waking it and the caller in turns, costs as much CPU as several requests.
    """

    def __init__(self) -> None:
        self._is_over = False

    def map(  # type: ignore[override]  # of one iterable
        self, fn: Callable[[First], Second], iterable: Iterable[First], /, **_: Any
    ) -> Iterator[Second]:
        """Yield the results. :raises CancelledError: in place of a call after :meth:`shutdown`."""
        for item in iterable:
            if self._is_over:
                raise CancelledError
            yield fn(item)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - as its base
        self._is_over = True


@contextmanager
def request_pool(requests: int, most: int, *, are_far: bool = False) -> Iterator[Executor]:
    """Threads for a number of short requests, for ``map`` alone, as :func:`needed_threads` counts them.

    A single one is the caller's own.
    """
    threads = needed_threads(requests, most, are_far=are_far)
    pool = _OwnThread() if threads == 1 else ThreadPoolExecutor(threads, thread_name_prefix="registry_sync")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def each_at_once(function: Callable[[First], Second], items: Collection[First], *, threads: int) -> list[Second]:
    """Call a function with each item, by several threads. Returns the results in the order of the items.

    After an error no other call begins. Calls that have begun are waited for, because the caller may hold locks for
    them. The error of the first item that failed is raised.
    """
    if min(len(items), threads) < 2:
        return list(map(function, items))
    pool = ThreadPoolExecutor(max_workers=min(len(items), threads), thread_name_prefix="registry_sync")
    try:
        calls = [pool.submit(function, item) for item in items]
        wait(calls, return_when=FIRST_EXCEPTION)
    finally:
        pool.shutdown(cancel_futures=True)
    return [call.result() for call in calls if not call.cancelled()]


def wait_for_all(calls: Iterable[Future[Any]]) -> None:
    """Wait until all calls have ended, or were cancelled because their pool was shut down.

    ``concurrent.futures.wait`` never returns in the latter case.
    """
    for call in calls:
        with suppress(CancelledError):
            call.exception()


def at_once(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Call two functions at the same time, and return both results.

    An error of one is raised at once, without waiting for the other: closing its client has to end it. When both have
    failed, the error of ``first`` is raised.
    """
    with thread_pool(2) as pool:
        one, other = pool.submit(first), pool.submit(second)
        both: tuple[Future[Any], Future[Any]] = one, other
        wait(both, return_when=FIRST_EXCEPTION)
        if other.done() and other.exception() and not one.done():
            other.result()
        return one.result(), other.result()
