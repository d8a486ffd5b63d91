"""Threads for the requests and copies of one route."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

PROGRESS_SECONDS = 15
"""Pause between two log lines about long work."""


@contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads that is not joined when the block ends by an error, such as when the task is being killed."""
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="registry_sync")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
