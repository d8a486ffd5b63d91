"""Asset events of pushes: written by the receiver, and read again without trust."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from registry_sync.events.event_extra import MAX_PUSHES, MAX_TAGS, PushEvent, parse_extra, to_extra
from registry_sync.events.push import Push, merge_pushes

NOW = datetime(2026, 11, 29, 10, tzinfo=UTC)
DOCUMENT: dict[str, Any] = {
    "registry": "quay",
    "received_at": "2026-11-29T10:00:00+00:00",
    "pushes": [{"repository": "team/app", "tags": ["v1"]}, {"repository": "team/base", "tags": None}],
}
PUSHES = (Push(repository="team/app", tags=("v1",)), Push(repository="team/base", tags=None))


def test_an_event_is_read_as_it_is_written() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=8)))
    assert to_extra("quay", PUSHES, local) == DOCUMENT
    assert parse_extra(json.loads(json.dumps(DOCUMENT))) == PushEvent(registry="quay", received_at=NOW, pushes=PUSHES)


@pytest.mark.parametrize(
    "extra",
    [
        None,
        [],
        "quay",
        {},
        {**DOCUMENT, "pushes": {"team/app": ["v1"]}},
        {**DOCUMENT, "registry": ""},
        {**DOCUMENT, "registry": 101 * "q"},
        {**DOCUMENT, "registry": ["quay"]},
        {**DOCUMENT, "received_at": "2026-11-29T10:00:00"},
        {**DOCUMENT, "received_at": "0001-01-01T00:00:00+14:00"},
        {**DOCUMENT, "received_at": 1795893006},
    ],
)
def test_other_documents_are_not_events_of_pushes(extra: object) -> None:
    assert parse_extra(extra) is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("team/app", None),
        ({"repository": "Team/App", "tags": ["v1"]}, None),
        ({"repository": "../../etc", "tags": ["v1"]}, None),
        ({"repository": "quay.io/team/app:v1", "tags": ["v1"]}, None),
        ({"repository": 256 * "a", "tags": ["v1"]}, None),
        ({"repository": "team/app", "tags": ["-v1", "a b", 7, None, 129 * "a"]}, None),
        ({"repository": "team/app", "tags": "v1"}, None),
        ({"repository": "team/app", "tags": []}, None),
        ({"repository": "team/app", "tags": ["v2", "v1", "v2", "$(id)"]}, ("v1", "v2")),
        ({"repository": "team/app"}, "all"),
        ({"repository": "team/app", "tags": [f"v{number}" for number in range(MAX_TAGS + 1)]}, "all"),
    ],
)
def test_names_outside_the_grammar_are_left_out(written: object, expected: tuple[str, ...] | str | None) -> None:
    event = parse_extra({**DOCUMENT, "pushes": [written]})
    assert event is not None
    tags = None if expected == "all" else expected
    assert event.pushes == ((Push(repository="team/app", tags=tags),) if expected else ())  # type: ignore[arg-type]


def test_an_event_is_bounded() -> None:
    many = [Push(repository=f"team/app{number}", tags=("v1",)) for number in range(MAX_PUSHES + 1)]
    with pytest.raises(ValueError, match=r"^an event holds 50 pushes, got 51$"):
        to_extra("quay", many, NOW)
    tags = tuple(f"v{number}" for number in range(MAX_TAGS + 1))
    assert to_extra("quay", [Push(repository="a/b", tags=tags)], NOW)["pushes"] == [{"repository": "a/b", "tags": None}]
    read = parse_extra({**DOCUMENT, "pushes": [{"repository": f"a/b{number}"} for number in range(MAX_PUSHES + 1)]})
    assert read is not None
    assert len(read.pushes) == MAX_PUSHES


def test_pushes_to_one_repository_are_merged() -> None:
    pushes = [*PUSHES, Push(repository="team/app", tags=("latest", "v1")), Push(repository="team/base", tags=("v9",))]
    assert merge_pushes(pushes) == (
        Push(repository="team/app", tags=("latest", "v1")),
        Push(repository="team/base", tags=None),
    )
