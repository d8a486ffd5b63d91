"""State that runs leave of a destination: its summary and the index of its routes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.state.changes import Change, Changes
from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex
from registry_sync.state.document import as_document, size_of
from registry_sync.state.recording.index import MAX_PART_BYTES, update_index
from registry_sync.state.recording.record_run import (
    MAX_UNREPORTED,
    DestinationRecord,
    ListedRoutes,
    RunOfDestination,
    record_run,
)
from registry_sync.state.route import Problem
from registry_sync.state.run_row import RunRow
from registry_sync.sync.view import Failure

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE_CHANGE = Changes.of([Change(repository="acr.example/a", tag="v1", kind="arrived", digest="sha256:a")])
DENIED = Failure(tag=None, error_class="denied", reason="wrong password")


def hour(number: int) -> datetime:
    return NOON + timedelta(hours=number)


def figures(number: int = 0, **fields: Any) -> RouteFigures:
    return RouteFigures(looked_at=hour(number), **fields)


def row(route: str, *, is_complete: bool = True, **fields: Any) -> RunRow:
    return RunRow(route=route, is_complete=is_complete, figures=figures(), **fields)


def listed(*names: str, kept: tuple[str, ...] = ()) -> ListedRoutes:
    return ListedRoutes(names=frozenset(names), kept_sources=frozenset(kept))


def run(number: int = 0, *rows: RunRow, **fields: Any) -> RunOfDestination:
    values = {"listed": listed(*(row.route for row in rows)), "looks_at_all": True, "failed": {}, **fields}
    return RunOfDestination(
        mirror="m",
        destination="acr",
        host="acr.example",
        source_host="quay.io",
        run_id=f"run {number}",
        ended_at=hour(number),
        is_failed=bool(fields.get("failed") or fields.get("listing_failure")),
        summary="m: all well",
        rows=rows,
        **values,
    )


def after(*runs: RunOfDestination) -> DestinationRecord:
    record: DestinationRecord | None = None
    for done in runs:
        record = record_run(done, record.state if record else None, record.parts if record else [])
    assert record is not None
    return record


def routes(record: DestinationRecord) -> set[str]:
    return {name for part in record.parts for name in part.routes}


def test_the_first_run() -> None:
    record = after(run(0, row("a", changes=ONE_CHANGE), row("b")))
    assert record.state == DestinationState(
        mirror="m",
        destination="acr",
        host="acr.example",
        source_host="quay.io",
        run_id="run 0",
        run_ended=hour(0),
        summary="m: all well",
        listed_at=hour(0),
        complete_run_id="run 0",
        complete_at=hour(0),
        index_parts=1,
        changed_at=hour(0),
    )
    assert record.parts == (RouteIndex(routes={"a": figures(), "b": figures()}),)


@pytest.mark.parametrize(
    "later",
    [
        run(1, row("a"), row("b", is_complete=False)),
        run(1, row("a"), listed=listed("a", "b")),
        run(1, row("a"), listed=None, looks_at_all=False),
        run(1, row("a"), row("b"), failed={"c": figures()}),
        run(1, row("a"), listed=listed("a", "b"), unreported=["b"]),
        run(1, listed=None, listing_failure=DENIED),
    ],
    ids=["window", "skipped route", "some repositories", "without route", "killed task", "no list"],
)
def test_a_run_that_did_not_compare_everything_is_not_complete(later: RunOfDestination) -> None:
    record = after(run(0, row("a"), row("b")), later)
    assert (record.state.complete_run_id, record.state.complete_at) == ("run 0", hour(0))
    assert (record.state.run_id, record.state.run_ended) == ("run 1", hour(1))
    assert routes(record) >= {"a", "b"}


@pytest.mark.parametrize(
    ("later", "listed_at"),
    [
        (run(1, listed=listed("a")), hour(1)),
        (run(1, listed=listed("a"), looks_at_all=False), hour(0)),
        (run(1, row("a"), listed=None), hour(0)),
        (run(1, listed=None, listing_failure=DENIED), hour(0)),
    ],
    ids=["scheduled", "window in the past, or some tags", "some repositories", "no list"],
)
def test_the_last_list_of_all_routes(later: RunOfDestination, listed_at: datetime) -> None:
    assert after(run(0, row("a")), later).state.listed_at == listed_at


def test_routes_that_vanished_are_removed_by_a_complete_list_only() -> None:
    first = run(0, row("a"), row("b"), row("c → d"))
    assert after(first, run(1, row("a"), listed=None)).gone == ()
    assert after(first, run(1, listed=None, listing_failure=DENIED)).gone == ()
    assert after(first, run(1, row("a"), listed=listed("a", kept=("c",)))).gone == ("b",)
    record = after(first, run(1, row("a")))
    assert (record.gone, routes(record)) == (("b", "c → d"), {"a"})


def test_a_repository_without_a_route_gets_a_row() -> None:
    record = after(run(0, row("a"), failed={"team/Bad": figures(failing_since=NOON)}))
    assert routes(record) == {"a", "team/Bad"}
    fixed = after(run(0, row("a"), failed={"team/Bad": figures()}), run(1, row("a")))
    assert (fixed.gone, routes(fixed)) == (("team/Bad",), {"a"})


def test_the_row_of_a_namespace_ends_with_a_run_that_lists_it() -> None:
    """Also with one that does not list all routes, such as for pushes, unless the listing failed again."""
    failing = run(0, row("team/app"), listed=None, failed={"team": figures(failing_since=hour(0)), "old": figures()})
    narrow = run(1, row("team/app"), listed=None, looks_at_all=False)
    assert routes(after(failing, narrow)) == {"team/app", "team", "old"}
    ended = after(failing, replace(narrow, listed_again=frozenset({"team"})))
    assert (routes(ended), ended.gone) == ({"team/app", "old"}, ("team",))
    again = replace(narrow, listed_again=frozenset({"team"}), failed={"team": figures(1)})
    assert routes(after(failing, again)) == {"team/app", "team", "old"}


def test_a_row_that_could_not_be_stored_stays() -> None:
    record = after(run(0, row("a")), run(1, replace(row("a"), figures=None)))
    assert record.parts[0].routes["a"] == figures(0)


def test_killed_tasks_are_named() -> None:
    names = [f"r{number}" for number in range(MAX_UNREPORTED + 9)]
    assert after(run(0, unreported=names)).state.unreported == tuple(names[:MAX_UNREPORTED])


@pytest.mark.parametrize(
    ("later", "unreported"),
    [
        (run(1, row("a"), listed=None, looks_at_all=False), ("b",)),
        (run(1, listed=None, listing_failure=DENIED), ("b",)),
        (run(1, row("a"), listed=listed("a", "b"), looks_at_all=False), ("b",)),
        (run(1, row("a"), listed=listed("a"), looks_at_all=False), ()),
        (run(1, row("b"), listed=None, looks_at_all=False), ()),
        (run(1, replace(row("b"), figures=None), listed=None), ("b",)),
        (run(1, listed=None, unreported=["a"]), ("a", "b")),
        (run(1, listed=None, unreported=["b"]), ("b",)),
        (run(1, row("a"), listed=listed("a", "b")), ()),
    ],
    ids=["other route", "no list", "past", "gone", "itself", "not stored", "another", "again", "scheduled"],
)
def test_a_lost_route_stays_lost_until_a_run_looks_at_it(later: RunOfDestination, unreported: tuple[str, ...]) -> None:
    lost = run(0, row("a"), listed=listed("a", "b"), unreported=["b"])
    assert after(lost, later).state.unreported == unreported


def test_a_list_is_no_look_at_more_lost_routes_than_are_named() -> None:
    names = [f"r{number}" for number in range(MAX_UNREPORTED + 1)]
    well = run(0, row("a"))
    assert after(well, run(1, listed=listed(*names), unreported=names[1:])).state.listed_at == hour(1)
    assert after(well, run(1, listed=listed(*names), unreported=names)).state.listed_at == hour(0)
    some = [run(1, listed=listed(*names), unreported=names[1:]), run(2, listed=None, unreported=names[:1])]
    assert after(well, *some).state.listed_at is None


def test_a_failed_list_has_a_beginning() -> None:
    failed = [run(number, listed=None, listing_failure=DENIED) for number in range(3)]
    problem = after(*failed, failed[2]).state.problem
    assert problem == Problem(error_class="denied", reason="wrong password", since=hour(0), tries=3, run_id="run 2")
    assert after(*failed, run(3, row("a"))).state.problem is None


def test_changes_are_dated() -> None:
    record = after(run(0, row("a", changes=ONE_CHANGE)), run(1, row("a")))
    assert record.state.changed_at == hour(0)


def wide(number: int, seconds: int) -> dict[str, RouteFigures]:
    return {
        f"team/repository-{each:04}": figures(0, selected=100, in_sync=100, lag_seconds=float(seconds))
        for each in range(number)
    }


def test_a_run_over_few_routes_changes_few_parts() -> None:
    parts = update_index([], wide(1000, 9), ())
    assert len(parts) > 2
    assert all(size_of(as_document(part)) <= MAX_PART_BYTES for part in parts)
    changed = update_index(parts, {"team/repository-0003": figures(5)}, ())
    assert [number for number, part in enumerate(changed) if part != parts[number]] == [0]


def test_a_part_that_grows_gives_rows_to_others() -> None:
    parts = update_index([], wide(1000, 9), ())
    grown = update_index(parts, wide(1000, 123456), ())
    assert all(size_of(as_document(part)) <= MAX_PART_BYTES for part in grown)
    assert {name: row for part in grown for name, row in part.routes.items()} == wide(1000, 123456)


def test_parts_that_become_empty_are_removed() -> None:
    parts = update_index([], wide(1000, 9), ())
    last = list(parts[-1].routes)
    assert update_index(parts, {}, last) == parts[:-1]
    assert update_index(parts, {}, list(wide(1000, 9))) == []


def test_a_row_in_two_parts_is_kept_once() -> None:
    """The writes of a run that was killed between two of them."""
    first, second = RouteIndex(routes={"a": figures(0), "b": figures(0)}), RouteIndex(routes={"a": figures(0)})
    assert update_index([first, second], {"a": figures(1)}, ()) == [
        RouteIndex(routes={"a": figures(1), "b": figures(0)})
    ]


@given(st.lists(st.tuples(st.sets(st.integers(0, 400)), st.sets(st.integers(0, 400))), max_size=4))
def test_an_index_has_each_row_once(runs: list[tuple[set[int], set[int]]]) -> None:
    parts: list[RouteIndex] = []
    expected: dict[str, RouteFigures] = {}
    for number, (changed, removed) in enumerate(runs):
        rows = {f"team/{each}": figures(number, selected=each) for each in changed - removed}
        gone = {f"team/{each}" for each in removed}
        parts = update_index(parts, rows, gone)
        expected = {name: row for name, row in expected.items() if name not in gone} | rows
    assert sorted(name for part in parts for name in part.routes) == sorted(expected)
    assert {name: row for part in parts for name, row in part.routes.items()} == expected


PUSHES = {"is_of_pushes": True, "listed": None, "looks_at_all": False}


@pytest.mark.parametrize(
    ("runs", "fails"),
    [
        ("PF", True),
        ("PF P", False),
        ("PF PF P", False),
        ("SF P", True),
        ("SF PF P", True),
        ("SF S", False),
        ("SF PF S", False),
        ("PF S", False),
    ],
)
def test_a_failed_listing_ends_with_a_run_that_does_as_much(runs: str, fails: bool) -> None:
    """P is a run for pushes, S one of the schedule, F fails to list the routes."""
    done = [run(0, row("a"))]
    for number, code in enumerate(runs.split(), start=1):
        failure = {"listing_failure": DENIED if "F" in code else None}
        kind = PUSHES if "P" in code else {"listed": None} if failure["listing_failure"] else {}
        name = f"{'asset_triggered' if 'P' in code else 'scheduled'}__{number}"
        done.append(replace(run(number, **{**kind, **failure}), run_id=name))
    assert (after(*done).state.problem is not None) == fails
