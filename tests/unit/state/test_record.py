"""Sequences of runs of one route, and what is known after each."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.oci.reference import Digest
from registry_sync.state.destination import figures_of
from registry_sync.state.document import as_document, read_document, size_of
from registry_sync.state.names import MAX_VALUE_BYTES
from registry_sync.state.recording.look import Look, RouteRecord
from registry_sync.state.recording.problems import MAX_PROBLEMS, UNKNOWN_REASON
from registry_sync.state.recording.record import MAX_ARRIVALS, record_failure, record_view
from registry_sync.state.recording.route_tags import fit_tags
from registry_sync.state.route import LACKING, STATUSES, KnownTag, Problem, RouteState, TagTable, due_since
from registry_sync.sync.view import Failure, RouteView, SeenTag, TagChange, TagStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = Digest.of(b"a"), Digest.of(b"b")
DENIED = Failure(tag="v1", error_class="denied", reason="no rights")
OUTAGE = Failure(tag=None, error_class="temporary", reason="quay.io does not answer")


def hour(number: float) -> datetime:
    return NOON + timedelta(hours=number)


def look(number: float = 0, **fields: Any) -> Look:
    """The look of the run of an hour."""
    names = {"route": "team/app", "source": "quay.io/team/app", "destination": "acr.example/team/app"}
    task = {"run_id": f"run {number:g}", "task_id": "to_acr", "map_index": 3, "fresh_within": 7200.0}
    return Look(**{**names, **task, "looked_at": hour(number) + timedelta(minutes=5), **fields})


def seen(tag: str = "v1", status: TagStatus = "in_sync", digest: Digest | None = A, **fields: Any) -> SeenTag:
    pushed_at = fields.pop("pushed_at", None)
    return SeenTag(tag=tag, status=status, digest=digest, pushed_at=pushed_at, **{"entered_at": pushed_at, **fields})


def copied(tag: str = "v1", digest: Digest = A, **fields: Any) -> SeenTag:
    return seen(tag, "in_sync", digest, is_published=True, **fields)


def view(number: float, *tags: SeenTag, is_complete: bool = True, failures: tuple[Failure, ...] = ()) -> RouteView:
    return RouteView(
        read_at=hour(number),
        window="everything (test)",
        is_complete=is_complete,
        listed=len(tags) if is_complete else None,
        tags=tags,
        failures=failures,
    )


def window(number: float, *tags: SeenTag, failures: tuple[Failure, ...] = ()) -> RouteView:
    return view(number, *tags, is_complete=False, failures=failures)


def after(*views: RouteView | Failure) -> RouteRecord:
    """The record after runs, one an hour; each passes through JSON, as stored."""
    record: RouteRecord | None = None
    for number, seen_by_run in enumerate(views):
        if isinstance(seen_by_run, Failure):
            record = record_failure(look(number), seen_by_run, record)
        else:
            record = record_view(look(number), seen_by_run, record)
        record = through_json(record)
    assert record is not None
    return record


def through_json(record: RouteRecord) -> RouteRecord:
    state, tags = (json.loads(json.dumps(as_document(value))) for value in (record.state, record.tags))
    return RouteRecord(state=read_document(RouteState, state), tags=read_document(TagTable, tags))


def tag_of(record: RouteRecord, name: str = "v1") -> KnownTag:
    (found,) = (tag for tag in record.tags.tags if tag.tag == name)
    return found


def test_a_first_look() -> None:
    record = after(view(0, seen("v1"), seen("v2", "missing", B, pushed_at=hour(-1000)), seen("v3", "kept")))
    assert record.state == RouteState(
        route="team/app",
        source="quay.io/team/app",
        destination="acr.example/team/app",
        run_id="run 0",
        task_id="to_acr",
        map_index=3,
        looked_at=hour(0) + timedelta(minutes=5),
        complete_at=hour(0),
        window="everything (test)",
        listed=3,
        selected=3,
        in_sync=1,
        missing=1,
        kept=1,
        oldest_lacking=hour(0),
        fresh_within=7200.0,
    )
    assert tag_of(record, "v2") == KnownTag(
        tag="v2",
        status="missing",
        digest=str(B),
        pushed_at=hour(-1000),
        first_seen=hour(0),
        selected_at=hour(0),
    )
    assert tag_of(record, "v1").published_at is None


@pytest.mark.parametrize(
    ("runs", "lag_seconds"),
    [
        ((view(0), view(1, copied(pushed_at=hour(0.5), published_at=hour(1.1)))), 0.6 * 3600),
        ((view(0), window(1, copied(pushed_at=hour(0.5), published_at=hour(1.1)))), 0.6 * 3600),
        ((view(0), view(1, copied(published_at=hour(1.1)))), 0.1 * 3600),
        ((view(0), view(1, seen(status="missing")), view(2, copied(published_at=hour(2.5)))), 1.5 * 3600),
        ((view(0, copied(pushed_at=hour(-9999), published_at=hour(0.1))),), 0.1 * 3600),
        ((view(0), view(1, copied(pushed_at=hour(-9999), published_at=hour(1.5)))), 0.5 * 3600),
        ((view(0), view(1, copied(pushed_at=hour(-99), entered_at=hour(0.9), published_at=hour(1)))), 0.1 * 3600),
        ((view(0), view(1, copied(pushed_at=hour(-0.1), published_at=hour(1)))), 1.1 * 3600),
        ((view(0), view(1, copied(pushed_at=hour(2), published_at=hour(1)))), 0),
    ],
    ids=[
        "pushed after the last complete look",
        "in a window",
        "without push times",
        "without push times, seen before",
        "an old tag of a new mirror",
        "an old tag that is selected by a new rule",
        "old enough only now",
        "pushed just before the last look, by another clock",
        "pushed in the future, by another clock",
    ],
)
def test_the_lag_of_an_arrival(runs: tuple[RouteView, ...], lag_seconds: float) -> None:
    state = after(*runs).state
    assert state.lag_seconds == pytest.approx(lag_seconds, abs=1)
    assert (state.in_sync, state.oldest_lacking) == (1, None)


def test_the_oldest_lacking_tag_counts_from_its_push() -> None:
    late = seen("v2", "missing", pushed_at=hour(0.8))
    record = after(view(0), window(1, seen("v1", "failing", pushed_at=hour(0.5)), late), window(2))
    assert record.state.oldest_lacking == hour(0.5)
    assert due_since(tag_of(record, "v2")) == hour(0.8)


def test_a_problem_keeps_its_beginning_until_a_success() -> None:
    failing = view(0, seen(status="failing"), failures=(DENIED,))
    state = after(failing, failing, window(2), failing).state
    assert state.problems == (
        Problem(
            tag="v1",
            error_class="denied",
            reason="no rights",
            since=hour(0) + timedelta(minutes=5),
            tries=3,
            run_id="run 3",
        ),
    )
    well = after(failing, failing, view(2, seen()), failing)
    assert [(problem.since, problem.tries) for problem in well.state.problems] == [(hour(3) + timedelta(minutes=5), 1)]
    assert tag_of(well).failing_since == hour(3) + timedelta(minutes=5)
    assert after(failing, view(1, seen())).state.problems == ()


def test_several_tries_of_a_run_count_once() -> None:
    failing = view(0, seen(status="failing"), failures=(DENIED,))
    record = record_view(look(0), failing, None)
    record = record_view(look(0), failing, record)
    assert record.state.problems[0].tries == 1
    record = record_view(look(1), failing, record)
    assert record.state.problems[0].tries == 2


def test_a_rate_limit_is_no_failure_and_no_success() -> None:
    deferred = seen(status="missing", is_deferred=True)
    failing = view(0, seen(status="failing"), failures=(DENIED,))
    assert after(view(0), view(1, deferred)).state.problems == ()
    record = after(failing, view(1, deferred))
    assert [(problem.tries, problem.run_id) for problem in record.state.problems] == [(1, "run 0")]
    assert (tag_of(record).status, record.state.failing, record.state.missing) == ("failing", 1, 0)


def test_a_route_that_fails_as_a_whole_keeps_its_tags() -> None:
    record = after(view(0, seen(), seen("v2", "failing"), failures=(replace(DENIED, tag="v2"),)), OUTAGE, OUTAGE)
    assert [(problem.tag, problem.tries) for problem in record.state.problems] == [("v2", 1), (None, 2)]
    assert (record.state.complete_at, record.state.run_id) == (hour(0), "run 2")
    assert (record.state.in_sync, record.state.failing, record.state.problem_count) == (1, 1, 2)
    assert {tag.tag for tag in record.tags.tags} == {"v1", "v2"}
    assert figures_of(record.state).failing_since == hour(0) + timedelta(minutes=5)
    again = after(view(0, seen()), OUTAGE, window(2))
    assert again.state.problems == ()


def test_a_route_that_never_worked() -> None:
    record = after(OUTAGE)
    assert (record.state.selected, record.state.complete_at, record.tags.total) == (0, None, 0)
    assert [problem.reason for problem in record.state.problems] == ["quay.io does not answer"]


def test_a_complete_look_forgets_tags_that_are_gone_and_others_do_not() -> None:
    gone = view(0, seen("v1"), seen("v2", "failing"), failures=(replace(DENIED, tag="v2"),))
    kept, forgotten = after(gone, window(1, seen("v3"))), after(gone, view(1, seen("v1")))
    assert (kept.state.selected, kept.state.in_sync, kept.state.failing, len(kept.state.problems)) == (3, 2, 1, 1)
    assert (forgotten.state.selected, forgotten.state.failing, forgotten.state.problems) == (1, 0, ())
    assert kept.state.complete_at == hour(0)


def test_a_tag_that_moves_is_new() -> None:
    first = seen(pushed_at=hour(-2))
    moved = copied("v1", B, pushed_at=hour(0.9), published_at=hour(1.1), replaced=A)
    record = after(view(0, first), view(1, moved))
    assert tag_of(record) == KnownTag(
        tag="v1",
        status="in_sync",
        digest=str(B),
        pushed_at=hour(0.9),
        first_seen=hour(1),
        published_at=hour(1.1),
    )
    (arrival,) = record.state.arrivals
    assert (arrival.digest, arrival.replaced, arrival.published_at) == (str(B), str(A), hour(1.1))


def test_a_tag_that_another_writer_brought_is_there_since_it_was_seen() -> None:
    record = after(view(0, seen(status="missing")), view(1, seen()))
    assert (tag_of(record).published_at, record.state.arrivals) == (hour(1), ())
    listed = after(view(0, seen(status="missing")), view(1, seen(published_at=hour(0.5))))
    assert tag_of(listed).published_at == hour(0.5)


def test_times_of_a_tag_stay_while_its_digest_stays() -> None:
    arrived = copied(pushed_at=hour(0.5), published_at=hour(1))
    pushed_again = seen(pushed_at=hour(5), published_at=hour(6))
    unreadable = seen(status="failing", digest=None)
    record = after(view(0), view(1, arrived), view(2, pushed_again), view(3, unreadable), view(4, seen()))
    tag = tag_of(record)
    assert (tag.digest, tag.pushed_at, tag.first_seen) == (str(A), hour(0.5), hour(1))


def test_the_last_ten_arrivals() -> None:
    runs = [view(0), *(window(n, copied(f"v{n}", published_at=hour(n))) for n in range(1, 15))]
    arrivals = after(*runs).state.arrivals
    assert [arrival.tag for arrival in arrivals] == [f"v{number}" for number in range(14, 14 - MAX_ARRIVALS, -1)]


def test_a_problem_beyond_the_first_twenty_keeps_its_beginning() -> None:
    failures = tuple(replace(DENIED, tag=f"v{number:02}") for number in range(MAX_PROBLEMS + 5))
    failing = view(0, *(seen(str(failure.tag), "failing") for failure in failures), failures=failures)
    record = after(failing, failing)
    assert (len(record.state.problems), record.state.problem_count) == (MAX_PROBLEMS, MAX_PROBLEMS + 5)
    fixed = window(2, *(seen(f"v{number:02}") for number in range(MAX_PROBLEMS)))
    problems = after(failing, failing, fixed).state.problems
    assert [problem.tag for problem in problems] == [f"v{number}" for number in range(MAX_PROBLEMS, MAX_PROBLEMS + 5)]
    assert {problem.reason for problem in problems} == {UNKNOWN_REASON}
    assert {(problem.since, problem.tries) for problem in problems} == {(hour(0) + timedelta(minutes=5), 2)}


def test_a_failed_signature_is_a_problem_of_its_route() -> None:
    signature = Failure(tag="sha256-abc.sig", error_class="refused", reason="not accepted")
    record = after(view(0, seen(), failures=(signature,)), window(1))
    assert [problem.tag for problem in record.state.problems] == ["sha256-abc.sig"]
    assert (record.state.failing, record.state.selected) == (0, 1)


def test_the_problem_of_a_signature_lasts_until_a_full_check_or_its_arrival() -> None:
    """Other runs do not look for artifacts of images in sync, so that they prove nothing."""
    tag = f"sha256-{A.encoded}.sig"
    failed = view(0, copied(), failures=(Failure(tag=tag, error_class="denied", reason="no rights"),))
    assert [problem.tag for problem in after(failed, view(1, seen())).state.problems] == [tag]
    assert after(failed, replace(view(1, seen()), has_artifacts=True)).state.problems == ()
    arrived = TagChange(tag=tag, kind="arrived", digest=B)
    assert after(failed, replace(window(1), changes=(arrived,))).state.problems == ()


def test_the_problem_of_an_artifact_ends_when_it_was_tried_again() -> None:
    """Also of a referrer, whose arrival is not a change of a tag."""
    signature, referrer = f"sha256-{A.encoded}.sig", str(B)
    failures = tuple(Failure(tag=tag, error_class="denied", reason="no rights") for tag in (signature, referrer))
    failed = view(0, copied(), failures=failures)
    tried = after(failed, replace(window(1), retried_artifacts=frozenset({referrer}))).state
    assert [problem.tag for problem in tried.problems] == [signature]
    still = replace(window(1), retried_artifacts=frozenset({signature, referrer}), failures=failures[1:])
    assert [(problem.tag, problem.tries) for problem in after(failed, still).state.problems] == [(referrer, 2)]


def test_artifacts_beyond_the_first_twenty_are_counted_until_a_full_check() -> None:
    failures = tuple(
        Failure(tag=str(Digest.of(b"%d" % number)), error_class="denied", reason="no rights")
        for number in range(MAX_PROBLEMS + 5)
    )
    failed = view(0, copied(), failures=failures)
    tried = replace(window(1), retried_artifacts=frozenset({min(str(failure.tag) for failure in failures)}))
    assert after(failed, tried).state.problem_count == MAX_PROBLEMS + 4
    assert after(failed, tried, view(2, seen())).state.problem_count == MAX_PROBLEMS + 4
    assert after(failed, OUTAGE).state.problem_count == MAX_PROBLEMS + 6
    assert after(failed, tried, replace(view(2, seen()), has_artifacts=True)).state.problem_count == 0


def many_tags(count: int, status: TagStatus = "in_sync") -> list[SeenTag]:
    return [
        copied(f"v1.{n}.{n}", Digest.of(str(n).encode()), pushed_at=hour(-n), published_at=hour(n / 1000))
        if status == "in_sync"
        else seen(f"m{n}", status, Digest.of(str(n).encode()), pushed_at=hour(-n))
        for n in range(count)
    ]


def test_as_many_tags_as_fit_are_stored_and_all_are_counted() -> None:
    record = after(view(0, *many_tags(5000), *many_tags(50, "missing")))
    assert size_of(as_document(record.tags)) <= MAX_VALUE_BYTES
    assert len(record.tags.tags) > 700
    assert (record.tags.total, record.state.selected, record.state.in_sync, record.state.missing) == (
        5050,
        5050,
        5000,
        50,
    )
    assert [tag.status for tag in record.tags.tags[:50]] == ["missing"] * 50
    assert record.tags.tags[50].tag == "v1.4999.4999"
    later = record_view(look(1), window(1, seen("new", "missing", A)), record)
    assert (later.state.selected, later.state.in_sync, later.state.missing) == (5051, 5000, 51)


def test_lacking_tags_come_first_the_oldest_before_others() -> None:
    tags = [
        KnownTag(tag="new", status="in_sync", first_seen=hour(9), published_at=hour(9)),
        KnownTag(tag="old", status="in_sync", first_seen=hour(1), published_at=hour(1)),
        KnownTag(tag="lacking", status="missing", first_seen=hour(5)),
        KnownTag(tag="long lacking", status="locked", first_seen=hour(2)),
    ]
    assert [tag.tag for tag in fit_tags(tags, 4).tags] == ["long lacking", "lacking", "new", "old"]


NAMES = st.sampled_from([f"v{number}" for number in range(6)])
TIMES = st.none() | st.floats(-100, 100).map(hour)


@st.composite
def seen_tags(draw: st.DrawFn) -> SeenTag:
    status = draw(st.sampled_from(STATUSES))
    pushed_at = draw(TIMES)
    return SeenTag(
        tag=draw(NAMES),
        status=status,
        digest=draw(st.sampled_from([None, A, B])),
        pushed_at=pushed_at,
        entered_at=pushed_at,
        published_at=draw(TIMES) if status == "in_sync" else None,
        is_published=status == "in_sync" and draw(st.booleans()),
        is_deferred=status == "missing" and draw(st.booleans()),
    )


@st.composite
def views(draw: st.DrawFn) -> RouteView:
    tags = {tag.tag: tag for tag in draw(st.lists(seen_tags(), max_size=6))}
    failed = [tag.tag for tag in tags.values() if tag.status in ("failing", "locked")]
    return RouteView(
        read_at=hour(draw(st.floats(0, 100))),
        window="",
        is_complete=draw(st.booleans()),
        listed=draw(st.none() | st.integers(0, 9)),
        tags=tuple(tags.values()),
        failures=tuple(replace(DENIED, tag=tag) for tag in failed),
    )


@given(st.lists(views() | st.just(OUTAGE), min_size=1, max_size=8))
def test_after_any_runs_the_counts_are_those_of_the_tags(runs: list[RouteView | Failure]) -> None:
    record = after(*runs)
    counts = Counter(tag.status for tag in record.tags.tags)
    assert {status: getattr(record.state, status) for status in STATUSES} == {
        status: counts[status] for status in STATUSES
    }
    assert record.state.selected == record.tags.total == len(record.tags.tags)
    lacking = [due_since(tag) for tag in record.tags.tags if tag.status in LACKING]
    assert record.state.oldest_lacking == min(lacking, default=None)
    failing = {tag.tag for tag in record.tags.tags if tag.failing_since}
    assert failing == {problem.tag for problem in record.state.problems if problem.tag}
    assert failing >= {tag.tag for tag in record.tags.tags if tag.status in ("failing", "locked")}
    assert record.state.problem_count == len(record.state.problems)


def named(number: float, *names: str) -> RouteView:
    """A run that found kept tags by their names, without a comparison."""
    return replace(window(number), uncompared=frozenset(names))


@pytest.mark.parametrize(
    ("status", "expected"),
    [("in_sync", "in_sync"), ("kept", "kept"), ("missing", "kept"), ("changed", "kept"), ("locked", "locked")],
)
def test_a_tag_that_is_there_uncompared_is_not_missing(status: TagStatus, expected: TagStatus) -> None:
    record = after(view(0, seen("v1", status)), named(1, "v1"))
    assert [(tag.tag, tag.status, tag.digest) for tag in record.tags.tags] == [("v1", expected, str(A))]
    assert (record.state.selected, record.state.missing, record.state.changed) == (1, 0, 0)


def test_a_failure_of_a_tag_that_is_not_compared_stays() -> None:
    record = after(view(0, seen("v1", "failing"), failures=(DENIED,)), named(1, "v1"))
    assert (record.state.failing, record.state.problem_count) == (1, 1)


def test_a_tag_that_a_killed_task_brought_is_known_by_its_name() -> None:
    record = after(view(0, seen("v1")), named(1, "v1", "v2"), named(2, "v1", "v2"))
    assert {(tag.tag, tag.status, tag.digest) for tag in record.tags.tags} == {
        ("v1", "in_sync", str(A)),
        ("v2", "kept", None),
    }
    assert (record.state.selected, record.state.in_sync, record.state.kept) == (2, 1, 1)


def test_tags_beyond_a_cut_table_are_not_counted_twice() -> None:
    record = after(view(0, seen("v1"), seen("v2")))
    cut = replace(record, tags=replace(record.tags, tags=record.tags.tags[:1]))
    again = record_view(look(1), named(1, "v1", "v2"), cut)
    assert (again.state.selected, again.state.in_sync, again.tags.total) == (2, 2, 2)


LATER = hour(3) + timedelta(minutes=5)
"""The time of the run that follows the first look and the outage in these tests."""


@pytest.mark.parametrize(
    ("limits", "reached"),
    [
        ({}, LATER),
        ({"since": hour(-1)}, LATER),
        ({"since": hour(-1), "until": hour(2)}, hour(2)),
        ({"is_narrowed": True}, None),
        ({"since": hour(-9), "until": hour(-8)}, None),
        ({"since": hour(1)}, None),
    ],
    ids=["everything", "since the last look", "up to a time", "some tags", "the past", "a gap"],
)
def test_a_look_at_a_part_does_not_count_as_a_look_at_the_route(
    limits: dict[str, Any], reached: datetime | None
) -> None:
    """Otherwise a run by hand for one tag would keep the promise, and would end the failure of the route."""
    earlier = after(view(0, seen("v1")), OUTAGE)
    record = record_view(look(3), replace(window(3, seen("v1")), **limits), earlier)
    expected = reached or earlier.state.looked_at
    assert (record.state.looked_at, bool(record.state.problems)) == (expected, reached is None)
    assert earlier.state.looked_at == hour(0) + timedelta(minutes=5)
