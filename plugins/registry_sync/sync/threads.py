"""Threads for the requests and copies of one route."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

PROGRESS_SECONDS = 15


@contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that, unlike its own context manager, does not wait for its threads when the task is being killed."""
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="registry_sync")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
