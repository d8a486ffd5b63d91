"""Storms of pushes, and the rate limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_sync.events.event_extra import MAX_PUSHES, MAX_TAGS
from registry_sync.events.gathering import INTERVAL_SECONDS, MAX_REPOSITORIES, Batch, Gathering
from registry_sync.events.push import Push
from registry_sync.events.rate import CAPACITY, REQUESTS_PER_SECOND, Bucket

NOW = datetime(2026, 11, 29, 10, tzinfo=UTC)


def batch(*tags: str, mirror: str = "m", repository: str = "team/app", second: int = 0) -> Batch:
    pushes = (Push(repository=repository, tags=tags),)
    return Batch(mirror=mirror, registry="quay", received_at=NOW + timedelta(seconds=second), pushes=pushes)


def test_the_first_push_is_due_at_once_and_those_that_follow_together() -> None:
    gathering = Gathering()
    assert gathering.next_due() is None
    assert gathering.add(batch("v1"))
    assert list(gathering.take_due(100.0)) == [batch("v1")]
    gathering.add(batch("v3", second=2))
    gathering.add(batch("v2", second=1))
    assert list(gathering.take_due(100.0 + INTERVAL_SECONDS - 0.1)) == []
    assert gathering.next_due() == 100.0 + INTERVAL_SECONDS
    assert list(gathering.take_due(100.0 + INTERVAL_SECONDS)) == [batch("v2", "v3", second=1)]
    assert gathering.next_due() is None


def test_a_tag_that_is_pushed_again_is_never_lost() -> None:
    gathering = Gathering()
    gathering.add(batch("v1"))
    assert list(gathering.take_due(0.0)) == [batch("v1")]
    gathering.add(batch("v1", second=1))
    gathering.add(batch("v1", second=1))
    assert list(gathering.take_due(INTERVAL_SECONDS)) == [batch("v1", second=1)]


def test_mirrors_do_not_wait_for_each_other() -> None:
    gathering = Gathering()
    gathering.add(batch("v1"))
    assert len(list(gathering.take_due(0.0))) == 1
    gathering.add(batch("v2"))
    gathering.add(batch("v1", mirror="other"))
    assert list(gathering.take_due(0.1)) == [batch("v1", mirror="other")]


def test_a_storm_becomes_few_events() -> None:
    gathering, events = Gathering(), 0
    for number in range(1_000):
        assert gathering.add(batch(f"v{number}", repository=f"team/app{number % 120}"))
        events += sum(len(due.extras()) for due in gathering.take_due(number / 100))
    last = list(gathering.take_due(20.0))
    assert events + sum(len(due.extras()) for due in last) < 20
    assert all(len(extra["pushes"]) <= MAX_PUSHES for due in last for extra in due.extras())


def test_what_waits_is_bounded() -> None:
    gathering = Gathering()
    added = [gathering.add(batch("v1", repository=f"team/app{number}")) for number in range(MAX_REPOSITORIES + 1)]
    assert added.index(False) == MAX_REPOSITORIES
    assert gathering.add(batch("v2", repository="team/app0"))
    (due,) = gathering.take_due(0.0)
    assert len(due.extras()) == MAX_REPOSITORIES / MAX_PUSHES


def test_a_batch_that_could_not_be_stored_waits_longer() -> None:
    gathering = Gathering()
    gathering.add(batch("v1"))
    for due in gathering.take_due(0.0):
        gathering.restore(due)
    gathering.postpone(["m"], until=30.0)
    gathering.add(batch("v2", second=5))
    assert gathering.next_due() == 30.0
    assert list(gathering.take_due(30.0)) == [batch("v1", "v2")]


def test_what_was_accepted_comes_back_whatever_has_come_meanwhile() -> None:
    gathering = Gathering()
    gathering.add(batch("v1", repository="team/first"))
    (taken,) = gathering.take_due(0.0)
    assert all(gathering.add(batch("v1", repository=f"team/app{number}")) for number in range(MAX_REPOSITORIES))
    gathering.restore(taken)
    (due,) = gathering.take_due(10.0)
    assert {push.repository for push in due.pushes} >= {"team/first", "team/app0"}
    assert len(due.pushes) == MAX_REPOSITORIES + 1


def test_a_mirror_keeps_waiting_until_the_one_before_it_was_dealt_with() -> None:
    """A server that ends in between stores what waits."""
    gathering = Gathering()
    gathering.add(batch("v1", mirror="one"))
    gathering.add(batch("v1", mirror="two"))
    assert next(gathering.take_due(0.0)).mirror == "one"
    assert [due.mirror for due in gathering.take_due(0.0)] == ["two"]


@pytest.mark.parametrize(("number", "tags"), [(MAX_TAGS, MAX_TAGS), (MAX_TAGS + 1, None), (10 * MAX_TAGS, None)])
def test_many_tags_of_a_repository_wait_as_all_of_them(number: int, tags: int | None) -> None:
    together, singly = Gathering(), Gathering()
    together.add(batch(*(f"v{each}" for each in range(number))))
    for each in range(number):
        singly.add(batch(f"v{each}"))
    for gathering in (together, singly):
        (due,) = gathering.take_due(0.0)
        assert (len(due.pushes[0].tags) if due.pushes[0].tags else None) == tags


def test_the_rate_of_an_address_is_limited() -> None:
    bucket = Bucket()
    assert [bucket.take(0.0) for _ in range(CAPACITY)] == CAPACITY * [0]
    assert bucket.take(0.0) == 1
    assert bucket.take(1.0 / REQUESTS_PER_SECOND) == 0
    assert bucket.take(1.0 / REQUESTS_PER_SECOND) == 1
    assert [bucket.take(1e6) for _ in range(CAPACITY)] == CAPACITY * [0]
    assert bucket.take(1e6) == 1
