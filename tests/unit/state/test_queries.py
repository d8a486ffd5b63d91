"""Queries over states in memory: matrices, searches, failures and changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from registry_sync.state.changes import Change, ChangeEvent
from registry_sync.state.document import as_document
from registry_sync.state.lookup.history import changes_since
from registry_sync.state.lookup.queries import (
    find,
    get_overview,
    get_repository,
    list_failing,
    list_routes,
    overview_notes,
)
from registry_sync.state.names import DESTINATION_KEY, index_key, tags_key
from registry_sync.state.route import Problem, TagTable
from registry_sync.state.runs import MirrorRuns
from testkit.given_states import NOON, destination, tag
from testkit.memory_states import MemoryStates
from testkit.states import digest_of

HOUR = timedelta(hours=1)
V1, V2, OTHER = digest_of("v1"), digest_of("v2"), digest_of("other")


DENIED = Problem(tag="v2", error_class="denied", reason="403 at acr", since=NOON - 5 * HOUR, tries=5)


ACR = destination(
    "acr",
    {
        "team/app": (tag("v2", "failing", V2, pushed=NOON - HOUR), tag("v1")),
        "team/web": (tag("v1", digest=OTHER),),
    },
    problems={"team/app": (DENIED,)},
)
HUB = destination("hub", {"team/app → copies/app": (tag("v2", digest=V2, pushed=NOON - HOUR),)})
ELSEWHERE = destination("acr", {"team/app": (tag("v1", digest=OTHER),)}, mirror="other", source_host="ghcr.io")
READER = MemoryStates([ACR, HUB, ELSEWHERE])


def cells(rows: Any) -> list[tuple[str, list[str]]]:
    return [(row.tag, [cell.status for cell in row.cells]) for row in rows]


def test_the_tags_of_a_repository_are_a_matrix() -> None:
    view = get_repository(READER, NOON, "quay.io/team/app")
    assert [
        (column.mirror, column.destination, column.repository, column.judgement.status) for column in view.columns
    ] == [
        ("team", "acr", "acr.example/team/app", "failing"),
        ("team", "hub", "hub.example/copies/app", "in_sync"),
    ]
    assert cells(view.page.items) == [("v2", ["failing", "in_sync"]), ("v1", ["in_sync", "not_selected"])]
    failing, arrived = view.page.items[0].cells
    assert (failing.problem, failing.digest, failing.published_at, failing.lag_seconds) == (DENIED, V2, None, None)
    assert (arrived.problem, arrived.published_at, arrived.lag_seconds) == (None, NOON - HOUR * 3 / 4, 900.0)


def test_tags_are_paged_and_filtered() -> None:
    view = get_repository(READER, NOON, "quay.io/team/app", offset=1, limit=1)
    assert (cells(view.page.items), view.page.total) == ([("v1", ["in_sync", "not_selected"])], 2)
    assert cells(get_repository(READER, NOON, "quay.io/team/app", tag="v2").page.items) == [
        ("v2", ["failing", "in_sync"])
    ]


@pytest.mark.parametrize("source", ["quay.io/team", "team/app", "ghcr.io/team/web", ""])
def test_an_unknown_repository_has_no_columns(source: str) -> None:
    view = get_repository(READER, NOON, source)
    assert (view.columns, view.page.items, view.page.total) == ((), (), 0)


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (None, "the tags of the route are missing"),
        ({"total": 3}, "the stored TagTable cannot be read: KeyError: 'tags'"),
    ],
)
def test_tags_that_cannot_be_read_are_unknown(document: Any, fault: str) -> None:
    key = tags_key("team/app")
    documents = {name: value for name, value in ACR.documents.items() if name != key or document}
    broken = replace(ACR, documents={**documents, **({key: document} if document else {})})
    view = get_repository(MemoryStates([broken, HUB]), NOON, "quay.io/team/app")
    assert cells(view.page.items) == [("v2", ["unknown", "in_sync"])]
    assert view.columns[0].faults == (fault,)


def test_tags_that_did_not_fit_are_unknown() -> None:
    cut = as_document(TagTable(tags=(tag("v3"),), total=900))
    reader = MemoryStates([replace(HUB, documents={**HUB.documents, tags_key("team/app → copies/app"): cut}), ACR])
    rows = cells(get_repository(reader, NOON, "quay.io/team/app").page.items)
    assert rows == [("v2", ["failing", "unknown"]), ("v1", ["in_sync", "unknown"]), ("v3", ["not_selected", "in_sync"])]


FINDS: list[tuple[str, list[tuple[str, list[tuple[str, list[str]]]]]]] = [
    ("app", [("ghcr.io/team/app", []), ("quay.io/team/app", [])]),
    ("team/w", [("quay.io/team/web", [])]),
    ("copies", [("quay.io/team/app", [])]),
    ("quay.io/", [("quay.io/team/app", []), ("quay.io/team/web", [])]),
    ("hub.example", [("quay.io/team/app", [])]),
    ("nothing", []),
    (
        "app:v1",
        [
            ("ghcr.io/team/app", [("v1", ["in_sync"])]),
            ("quay.io/team/app", [("v1", ["in_sync", "not_selected"])]),
        ],
    ),
    ("hub.example/copies/app:v2", [("quay.io/team/app", [("v2", ["failing", "in_sync"])])]),
    ("web:v9", [("quay.io/team/web", [])]),
    (":v2", [("quay.io/team/app", [("v2", ["failing", "in_sync"])])]),
    (":v9", []),
    (V2, [("quay.io/team/app", [("v2", ["failing", "in_sync"])])]),
    (V2[7:19], [("quay.io/team/app", [("v2", ["failing", "in_sync"])])]),
    (
        f"sha256:{OTHER[7:13]}",
        [("ghcr.io/team/app", [("v1", ["in_sync"])]), ("quay.io/team/web", [("v1", ["in_sync"])])],
    ),
    (f"web@{OTHER}", [("quay.io/team/web", [("v1", ["in_sync"])])]),
    (f"team/app:v2@{V2}", [("quay.io/team/app", [("v2", ["failing", "in_sync"])])]),
    (digest_of("nobody has it"), []),
]


@pytest.mark.parametrize(("text", "expected"), FINDS)
def test_images_are_found(text: str, expected: Any) -> None:
    found = find(READER, NOON, text)
    assert [(item.source, cells(item.rows)) for item in found.page.items] == expected
    assert (found.page.total, found.notes) == (len(expected), ())


def test_an_exact_search_takes_no_part_of_a_name_or_tag() -> None:
    def sources(text: str) -> list[str]:
        return [item.source for item in find(READER, NOON, text, exact=True).page.items]

    assert sources("app") == sources("team/app") == ["ghcr.io/team/app", "quay.io/team/app"]
    assert sources("copies/app") == ["quay.io/team/app"]
    assert sources("am/app") == sources("ap") == []
    assert [cells(item.rows) for item in find(READER, NOON, "web:v", exact=True).page.items] == [[]]


def test_names_that_end_with_the_search_come_first() -> None:
    reader = MemoryStates([destination("acr", {"app/tools": (), "team/app": (), "app-b/app": ()})])
    assert [item.source for item in find(reader, NOON, "app").page.items] == [
        "quay.io/app-b/app",
        "quay.io/team/app",
        "quay.io/app/tools",
    ]


def test_a_page_of_a_search_reads_its_own_repositories_once() -> None:
    reader = MemoryStates([destination("acr", {f"team/app-{number}": (tag("v1"),) for number in range(9)})])
    found = find(reader, NOON, "app:v1", offset=2, limit=2)
    assert [item.source for item in found.page.items] == ["quay.io/team/app-2", "quay.io/team/app-3"]
    assert found.page.total == 9
    assert reader.reads == [
        {("team", "acr", key) for name in ("team/app-2", "team/app-3") for key in (name, tags_key(name))}
    ]


def test_a_search_says_what_cannot_be_read() -> None:
    broken = replace(ACR, documents={**ACR.documents, index_key(0): []})
    found = find(MemoryStates([broken, HUB]), NOON, "web")
    assert found.page.items == ()
    no_index = "the stored RouteIndex cannot be read: Input should be a dictionary or an instance of RouteIndex"
    assert found.notes == (f"team to acr: part 1 of 1 of the index of routes: {no_index}",)


def test_what_fails_is_listed_oldest_first() -> None:
    whole = Problem(error_class="temporary", reason="503", since=NOON - 9 * HOUR)
    later = replace(DENIED, tag="v3", since=NOON - 4 * HOUR)
    reader = MemoryStates(
        [
            destination("acr", {"team/app": (tag("v1"),), "team/web": ()}, problems={"team/app": (later, DENIED)}),
            destination("hub", {"team/app": ()}, problems={"team/app": (whole,)}, unreported=("team/app",)),
            destination("ghcr", {"team/app": (tag("v1"),)}, problem=replace(whole, since=NOON - 6 * HOUR)),
        ]
    )
    page = list_failing(reader, NOON)
    assert page.total == 3
    assert [
        (
            route.destination,
            route.route,
            [(problem.problem.tag, problem.problem.error_class) for problem in route.problems],
        )
        for route in page.items
    ] == [
        ("hub", "team/app", [(None, "unreported"), (None, "temporary")]),
        ("ghcr", "", [(None, "temporary")]),
        ("acr", "team/app", [("v2", "denied"), ("v3", "denied")]),
    ]
    assert [route.since for route in page.items] == [NOON - 9 * HOUR, NOON - 6 * HOUR, NOON - 5 * HOUR]
    assert [route.problem_count for route in page.items] == [2, 1, 2]
    assert (page.items[2].task_id, page.items[2].map_index) == ("to_acr", 3)
    second = list_failing(reader, NOON, offset=1, limit=1)
    assert ([route.destination for route in second.items], second.total) == (["ghcr"], 3)
    assert [route.destination for route in list_failing(reader, NOON, destination="acr").items] == ["acr"]


def test_a_failing_route_without_a_readable_state_stays_in_the_list() -> None:
    broken = replace(ACR, documents={**ACR.documents, "team/app": "text"})
    [route] = list_failing(MemoryStates([broken]), NOON).items
    assert [problem.problem.reason for problem in route.problems] == [
        "the stored RouteState cannot be read: Input should be a dictionary or an instance of RouteState"
    ]


def test_routes_are_listed_the_worst_first() -> None:
    page = list_routes(READER, NOON)
    assert [(row.status, row.source, row.mirror, row.destination) for row in page.items] == [
        ("failing", "quay.io/team/app", "team", "acr"),
        ("in_sync", "ghcr.io/team/app", "other", "acr"),
        ("in_sync", "quay.io/team/app", "team", "hub"),
        ("in_sync", "quay.io/team/web", "team", "acr"),
    ]
    assert [row.route for row in list_routes(READER, NOON, status="failing").items] == ["team/app"]
    assert [row.route for row in list_routes(READER, NOON, mirror="team", destination="acr", offset=1).items] == [
        "team/web"
    ]


def test_no_route_is_better_than_its_destination() -> None:
    runs = {"team": MirrorRuns(mirror="team", dag_id="mirror_team", next_run_at=NOON - HOUR)}
    rows = list_routes(MemoryStates([ACR, HUB], runs=runs), NOON).items
    reason = "no run came: the next one was due 1 h ago; is the scheduler running?"
    assert [(row.route, row.status, row.reason) for row in rows[1:]] == [
        ("team/app → copies/app", "unknown", reason),
        ("team/web", "unknown", reason),
    ]
    assert rows[0].status == "failing"


@pytest.mark.parametrize("key", [index_key(0), DESTINATION_KEY])
def test_lists_say_what_cannot_be_read(key: str) -> None:
    """An unreadable destination has no rows, which must not look as if nothing failed."""
    reader = MemoryStates([replace(ACR, documents={**ACR.documents, key: []}), HUB])
    for page in (list_failing(reader, NOON), list_routes(reader, NOON)):
        assert [note.partition(" cannot be read")[0].rpartition(" ")[0] for note in page.notes] == [
            "team to acr: the stored"
            if key == DESTINATION_KEY
            else "team to acr: part 1 of 1 of the index of routes: the stored"
        ]
    assert list_failing(reader, NOON, destination="hub").notes == ()


def test_a_tag_that_was_selected_later_has_no_lag_before_that() -> None:
    late = replace(tag("v1"), selected_at=NOON - HOUR, published_at=NOON - HOUR / 2)
    [row] = get_repository(MemoryStates([destination("acr", {"a": (late,)})]), NOON, "quay.io/a").page.items
    assert row.cells[0].lag_seconds == 1800


def test_the_oldest_lacking_tag_counts_from_its_selection() -> None:
    old = replace(tag("old", "missing", pushed=NOON - 900 * HOUR), selected_at=NOON - HOUR)
    reader = MemoryStates([destination("acr", {"a": (old, tag("v1", "missing", pushed=NOON - 2 * HOUR))})])
    [row] = get_overview(reader, NOON)
    assert row.oldest_lacking is not None
    assert (row.oldest_lacking.tag, row.oldest_lacking.since) == ("v1", NOON - 2 * HOUR)


def test_old_knowledge_is_unknown_behind_a_failing_tag() -> None:
    acr = destination("acr", {"a": (tag("v2", "failing"), tag("v1"))}, fresh_within=7200.0)
    [column] = get_repository(MemoryStates([acr]), NOON + 9 * HOUR, "quay.io/a").columns
    assert (column.judgement.status, column.is_unknown) == ("failing", True)
    [column] = get_repository(MemoryStates([acr]), NOON, "quay.io/a").columns
    assert (column.judgement.status, column.is_unknown) == ("failing", False)


def test_the_overview_names_the_oldest_lacking_tag() -> None:
    rows = get_overview(READER, NOON, mirror="team")
    oldest = [row.oldest_lacking and (row.oldest_lacking.source, row.oldest_lacking.tag) for row in rows]
    assert oldest == [("quay.io/team/app", "v2"), None]
    assert overview_notes(READER) == ()
    assert overview_notes(MemoryStates([], file_errors=True)) == (
        "the mirrors file has a mistake: mirrors may be missing; see Airflow's import errors, or the DAG mirror_watch",
    )
    assert overview_notes(MemoryStates([], missing_pools={"acr": ["one", "two"]})) == (
        "tasks of one, two wait for the pool acr, which does not exist; create it: airflow pools set acr 4 ''",
    )


def event(at: datetime, *names: str) -> ChangeEvent:
    changes = tuple(Change(repository=f"acr.example/{name}", tag="v1", kind="arrived", digest=V1) for name in names)
    return ChangeEvent(
        mirror="team", destination="acr", host="acr.example", run_id="r", at=at, total=len(changes), changes=changes
    )


def test_changes_are_filtered_by_time_and_repository() -> None:
    events = (
        event(NOON, "team/app", "my/team/app"),
        event(NOON - HOUR, "team/web"),
        event(NOON - 30 * HOUR, "team/app"),
    )
    reader = MemoryStates([replace(ACR, events=events)])

    def repositories(since: datetime, repository: str = "", **only: str) -> list[list[str]]:
        found = changes_since(reader, since, repository=repository, offset=0, limit=10, **only)
        return [[change.repository for change in item.changes] for item in found.page.items]

    both = ["acr.example/team/app", "acr.example/my/team/app"]
    assert repositories(NOON - 24 * HOUR) == [both, ["acr.example/team/web"]]
    assert repositories(NOON - 48 * HOUR, "acr.example/team/app") == [both[:1], both[:1]]
    assert repositories(NOON - 24 * HOUR, "team/app") == [both]
    assert repositories(NOON - 24 * HOUR, "web") == [["acr.example/team/web"]]
    assert repositories(NOON - 24 * HOUR, mirror="other") == repositories(NOON - 24 * HOUR, destination="hub") == []
