"""State values as JSON and back."""

from __future__ import annotations

import json
import zlib
from base64 import b85encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.state.destination import RouteFigures, RouteIndex
from registry_sync.state.document import StateError, as_document, read_document
from registry_sync.state.packed_tags import text_of_tag, texts_of_digest
from registry_sync.state.route import KnownTag, Problem, RouteState, TagTable

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

ROUTE = RouteState(
    route="team/app",
    source="quay.io/team/app",
    destination="example.azurecr.io/team/app",
    run_id="scheduled__2026-03-01T12:00:00+00:00",
    task_id="to_acr",
    map_index=3,
    looked_at=NOON,
    selected=2,
    in_sync=1,
    failing=1,
    problems=(Problem(tag="v2", error_class="denied", reason="no rights", since=NOON),),
    problem_count=1,
)


@pytest.mark.parametrize(
    "value",
    [
        ROUTE,
        TagTable(tags=(KnownTag(tag="v1", status="in_sync", first_seen=NOON, published_at=NOON),), total=1),
        RouteIndex(routes={"team/app": RouteFigures(looked_at=NOON, selected=2)}),
    ],
)
def test_a_value_survives_json(value: object) -> None:
    assert read_document(type(value), json.loads(json.dumps(as_document(value)))) == value


@pytest.mark.parametrize(
    "document",
    [None, [], "text", {}, {"routes": {"team/app": {"looked_at": "yesterday"}}}, {"routes": ["team/app"]}],
)
def test_a_document_of_somebody_else_is_an_error(document: object) -> None:
    with pytest.raises(StateError, match=r"^the stored RouteIndex cannot be read: "):
        read_document(RouteIndex, document)


def test_a_time_without_a_zone_is_an_error() -> None:
    with pytest.raises(StateError) as caught:
        read_document(RouteIndex, {"routes": {"team/app": {"looked_at": "2026-03-01T12:00:00"}}})
    assert str(caught.value) == "the stored RouteIndex cannot be read: Input should have timezone info"


SHA512 = f"sha512:{128 * 'a'}"


def test_tags_of_all_kinds_survive_packing() -> None:
    """Names that no registry should list, other digests, no digest, and every time."""
    whole = KnownTag(
        tag="v1",
        status="failing",
        digest=f"sha256:{64 * 'a'}",
        pushed_at=NOON,
        first_seen=NOON + timedelta(hours=1),
        selected_at=NOON + timedelta(hours=2),
        published_at=NOON + timedelta(hours=3),
        failing_since=NOON + timedelta(hours=4),
        tries=7,
    )
    names = ["a/b", "50%", "%2F", "with space", "é"]
    odd = [
        replace(whole, tag=name, digest=digest)
        for name, digest in zip(names, [None, SHA512, None, None, None], strict=True)
    ]
    table = TagTable(tags=(whole, *odd), total=9)
    assert read_document(TagTable, json.loads(json.dumps(as_document(table)))) == table
    assert read_document(TagTable, as_document(TagTable(tags=(), total=0))) == TagTable(tags=(), total=0)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": ""},
        {"rows": "!!"},
        {"rows": None},
        {"rows": b85encode(zlib.compress(b"[[0,0]]")).decode()},
        {"rows": b85encode(zlib.compress(b"[[99,0,1,0,0,0,0]]")).decode()},
        {"rows": b85encode(zlib.compress(b" " * 9_000_000)).decode()},
        {"digests": "/a/b"},
        {"digests": "/*"},
        {"tags": "/v1/v2/"},
        {"tags": 5},
        {"total": "many"},
    ],
)
def test_tags_of_somebody_else_are_an_error(change: dict[str, object]) -> None:
    good = as_document(TagTable(tags=(KnownTag(tag="v1", status="missing", first_seen=NOON),), total=1))
    with pytest.raises(StateError, match=r"^the stored TagTable cannot be read: "):
        read_document(TagTable, {**good, **change})


@given(st.text("0123456789abcdef", min_size=6, max_size=64), st.text("0123456789abcdef", min_size=58, max_size=58))
def test_a_digest_is_found_by_its_beginning(beginning: str, rest: str) -> None:
    digest = f"sha256:{(beginning + rest)[:64]}"
    other = f"sha512:{(2 * (beginning + rest + rest + rest))[:128]}"
    for stored in (digest, other):
        tag = KnownTag(tag="v1", status="in_sync", digest=stored, first_seen=NOON)
        document = json.dumps(as_document(TagTable(tags=(tag,), total=1)))
        assert any(text in document for text in texts_of_digest(beginning))


def test_a_tag_is_found_by_its_beginning_or_whole() -> None:
    tags = tuple(KnownTag(tag=name, status="in_sync", first_seen=NOON) for name in ("v1.2", "v1.20"))
    document = json.dumps(as_document(TagTable(tags=tags, total=2)))
    assert [text_of_tag(name) in document for name in ("v1", "v1.2", "1.2", "total")] == [True, True, False, False]
    assert [text_of_tag(name, exact=True) in document for name in ("v1", "v1.2", "v1.20")] == [False, True, True]


CANNOT_SHOW = r"^the stored RouteFigures cannot be read: Input should be "


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-Infinity", "1e999", "1e300", "-1", '"nan"'])
def test_a_duration_that_nobody_can_show_is_an_error(seconds: str) -> None:
    document = json.loads(f'{{"looked_at": "2026-03-01T12:00:00Z", "fresh_within": {seconds}}}')
    with pytest.raises(StateError, match=CANNOT_SHOW):
        read_document(RouteFigures, document)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_no_calendar_can_show_is_an_error(time: str) -> None:
    with pytest.raises(StateError, match=CANNOT_SHOW):
        read_document(RouteFigures, {"looked_at": time})


def test_the_zero_time_of_go_is_a_time() -> None:
    read = read_document(RouteFigures, {"looked_at": "0001-01-01T00:00:00Z"})
    assert read.looked_at == datetime.min.replace(tzinfo=UTC)
