"""Laws of reading tags page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from registry_sync.errors import TemporaryError
from registry_sync.registry.client import ListedTag
from registry_sync.registry.tag_pages import parse_digest, parse_time, read_tags

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PAGE = 3

minutes = st.integers(-20, 20)
listings = st.lists(st.one_of(st.none(), minutes), max_size=20)


def entries(times: Sequence[int | None]) -> list[ListedTag]:
    return [
        ListedTag(name=f"v{number}", pushed_at=None if time is None else NOON + timedelta(minutes=time))
        for number, time in enumerate(times)
    ]


def pages(tags: Sequence[ListedTag]) -> list[Sequence[ListedTag]]:
    return [tags[start : start + PAGE] for start in range(0, len(tags), PAGE)] or [[]]


def read(tags: Sequence[ListedTag], since: datetime | None = None) -> list[ListedTag]:
    return list(read_tags(lambda: iter(pages(tags)), since=since, where="here"))


@given(listings)
def test_without_a_window_everything_is_read(times: list[int | None]) -> None:
    assert read(entries(times)) == entries(times)


@given(st.lists(minutes, max_size=20), minutes)
def test_a_window_of_ordered_tags_is_whole_and_stops_within_a_page(times: list[int], start: int) -> None:
    tags, since = entries(sorted(times, reverse=True)), NOON + timedelta(minutes=start)
    result = read(tags, since)
    assert result == tags[: len(result)]
    assert all(tag.pushed_at and tag.pushed_at < since for tag in tags[len(result) :])
    if len(set(times)) == len(times):
        assert len([each for each in result if each.pushed_at and each.pushed_at < since]) < 2 * PAGE


@given(listings, minutes, st.integers(0, PAGE - 1))
def test_a_time_that_is_unknown_on_the_first_page_has_everything_read(
    times: list[int | None], start: int, place: int
) -> None:
    times = [*times[:place], None, *times[place:]]
    assert read(entries(times), NOON + timedelta(minutes=start)) == entries(times)


@given(st.lists(minutes, min_size=PAGE, max_size=20), minutes)
def test_rising_times_have_everything_read(times: list[int], start: int) -> None:
    tags = entries(sorted(times))
    assert read(tags, NOON + timedelta(minutes=start)) == tags


@given(st.lists(minutes, min_size=PAGE, max_size=20), minutes)
def test_one_rise_on_the_first_page_has_everything_read(times: list[int], start: int) -> None:
    assume(times[0] < times[1] or times[1] < times[2])
    assert read(entries(times), NOON + timedelta(minutes=start)) == entries(times)


@given(st.lists(minutes, min_size=PAGE, max_size=PAGE, unique=True))
def test_a_rise_from_page_to_page_has_everything_read(times: list[int]) -> None:
    times = [*sorted(times, reverse=True), max(times), min(times) - 1, min(times) - 2, *times]
    assert read(entries(times), NOON + timedelta(minutes=min(times[:PAGE]))) == entries(times)


@given(st.lists(minutes, min_size=1, max_size=20), st.integers(0, 6), st.integers(0, 19))
def test_a_push_while_pages_are_read_hides_nothing(times: list[int], moment: int, pushed: int) -> None:
    """Holds for a push of any tag, new or old, after any page."""
    tags = entries(sorted(times, reverse=True))
    name = f"v{pushed}"
    moved = [ListedTag(name=name, pushed_at=NOON + timedelta(days=1)), *(tag for tag in tags if tag.name != name)]

    def read_pages() -> Iterator[Sequence[ListedTag]]:
        for number in range(20):
            now = moved if number > moment or has_begun[0] else tags
            yield now[number * PAGE : (number + 1) * PAGE]
            if (number + 1) * PAGE >= len(moved if number >= moment or has_begun[0] else tags):
                break
        has_begun[0] = True

    has_begun = [False]
    names = [read_tag.name for read_tag in read_tags(read_pages, since=None, where="here")]
    assert len(names) == len(set(names))
    assert {tag.name for tag in tags} <= set(names)


def test_endless_pages_are_a_temporary_error() -> None:
    def read_pages() -> Iterator[Sequence[ListedTag]]:
        while True:
            yield entries([1, 0])

    with pytest.raises(TemporaryError) as caught:
        list(read_tags(read_pages, since=None, where="quay.io/a/b"))
    assert str(caught.value) == "quay.io/a/b: the tag listing repeats itself and does not end"


@pytest.mark.parametrize("raw", [None, "", "yesterday", "2026-11-23T12:00:00", 0, True, -1, 10**15, 1e300, [], {}])
def test_invalid_times_are_unknown(raw: Any) -> None:
    assert parse_time(raw) is None


@pytest.mark.parametrize("raw", ["2026-11-23T12:00:00Z", "2026-11-23T13:00:00.0000000+01:00", 1795435200])
def test_times_are_read_in_utc(raw: Any) -> None:
    assert parse_time(raw) == NOON


@pytest.mark.parametrize("raw", [None, "", "sha256:short", 7, "b" * 64])
def test_invalid_digests_are_unknown(raw: Any) -> None:
    assert parse_digest(raw) is None
