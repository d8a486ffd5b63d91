"""The tags that full checks compare with a vendor's listing: the newest, and all others in turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.sync.reading.spot_check import SPOT_CHECKS, choose_tags

TIME = datetime(2026, 1, 1, tzinfo=UTC)
TODAY = TIME.toordinal()


@given(count=st.integers(0, 700), has_times=st.booleans(), day=st.integers(0, 10**6))
def test_a_bounded_number_is_chosen_with_the_newest(count: int, *, has_times: bool, day: int) -> None:
    times = {f"v{number}": TIME + timedelta(hours=number) for number in range(count)} if has_times else {}
    tags = [f"v{number}" for number in range(count)]
    chosen = choose_tags(tags, times, day)
    assert len(chosen) == len(set(chosen)) <= SPOT_CHECKS
    assert set(chosen) <= set(tags)
    assert not times or set(tags[-10:]) <= set(chosen)


@pytest.mark.parametrize("every_days", [1, 7])
@pytest.mark.parametrize("count", [5, 60, 150, 290])
def test_all_tags_get_their_turn(count: int, every_days: int) -> None:
    """Also with a full check each week: no number of turns is a multiple of seven."""
    tags = [f"v{number}" for number in range(count)]
    times = {tag: TIME + timedelta(hours=number) for number, tag in enumerate(tags)}
    days = range(TODAY, TODAY + every_days * (count // 10 + 1), every_days)
    assert {tag for day in days for tag in choose_tags(tags, times, day)} == set(tags)
