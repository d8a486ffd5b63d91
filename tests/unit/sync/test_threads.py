"""Two functions at the same time, and the errors of both."""

from __future__ import annotations

import threading

import pytest

from registry_sync.sync.threads import at_once
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
