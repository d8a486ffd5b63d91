"""A view that is the same as the last one is recorded without the table of tags, with the same result."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.state.recording.record import record_same_view, record_view
from registry_sync.state.recording.same_view import is_same_view
from registry_sync.sync.view import Failure, RouteView
from tests.unit.state.test_record import (
    DENIED,
    OUTAGE,
    A,
    B,
    after,
    copied,
    hour,
    look,
    named,
    seen,
    view,
    views,
    window,
)

IN_SYNC = view(0, seen("v1"), seen("v2", digest=B, pushed_at=hour(-9)))


def later(seen_by_run: RouteView) -> RouteView:
    """The view of a run one minute later that finds everything as it was."""
    return replace(seen_by_run, read_at=seen_by_run.read_at + (hour(1 / 60) - hour(0)))


def test_the_next_run_recognises_what_the_last_one_saw() -> None:
    assert is_same_view(later(IN_SYNC), after(IN_SYNC).state)


@pytest.mark.parametrize(
    "other",
    [
        view(1, seen("v1"), seen("v2", digest=A, pushed_at=hour(-9))),
        view(1, seen("v1"), seen("v2", digest=B, pushed_at=hour(-8))),
        view(1, seen("v1"), seen("v2", "missing", digest=B, pushed_at=hour(-9))),
        view(1, seen("v1")),
        view(1, seen("v1"), seen("v2", digest=B, pushed_at=hour(-9)), seen("v3")),
        view(1, copied("v1"), seen("v2", digest=B, pushed_at=hour(-9))),
        view(1, seen("v1"), seen("v2", digest=B, pushed_at=hour(-9)), failures=(DENIED,)),
        window(1, seen("v1"), seen("v2", digest=B, pushed_at=hour(-9))),
        replace(IN_SYNC, uncompared=frozenset({"v3"})),
        replace(IN_SYNC, read_at=hour(12)),
    ],
)
def test_anything_else_is_not_the_same(other: RouteView) -> None:
    assert not is_same_view(other, after(IN_SYNC).state)


@pytest.mark.parametrize("between", [OUTAGE, window(1, seen("v1")), named(1, "v1"), view(1, seen("v1"))])
def test_another_run_between_is_not_skipped(between: RouteView | Failure) -> None:
    assert not is_same_view(later(IN_SYNC), after(IN_SYNC, between).state)


@given(st.lists(views() | st.just(OUTAGE), max_size=4), views())
def test_after_any_runs_it_is_recorded_as_with_its_tags(runs: list[RouteView | Failure], last: RouteView) -> None:
    tags = tuple(replace(tag, status="in_sync", is_published=False, is_deferred=False) for tag in last.tags)
    last = replace(last, is_complete=True, failures=(), tags=tags)
    record = after(*runs, last)
    again = replace(last, listed=None)
    assert is_same_view(again, record.state) == (record.state.problem_count == 0)
    if is_same_view(again, record.state):
        assert record_same_view(look(9), again, record) == record_view(look(9), again, record)
