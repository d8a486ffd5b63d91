"""The decision for every pair of states, and the laws of planning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.mirrors import MovedTagPolicy
from registry_sync.plan import (
    CopyTag,
    Decision,
    Failed,
    Plan,
    Skipped,
    TagState,
    Unchanged,
    Unreadable,
    plan_route,
    plan_tag,
)
from registry_sync.reference import Digest
from registry_sync.tags import Selection

OLD, NEW = Digest("sha256", 64 * "a"), Digest("sha256", 64 * "b")
DOWN = Unreadable(error_class="temporary", text="GET /v2/ answered 503")

MISSING = CopyTag(tag="v1", digest=NEW, reason="missing at the destination")
SAME = Unchanged(tag="v1", digest=NEW)
GONE = Skipped(tag="v1", reason="the source lists it but has no manifest for it (deleted meanwhile?)")
SOURCE_UNREADABLE = Failed(
    tag="v1", reason="the source does not tell what it names: GET /v2/ answered 503", error_class="temporary"
)
DESTINATION_UNREADABLE = Failed(
    tag="v1", reason="the destination does not tell what it names: GET /v2/ answered 503", error_class="temporary"
)
MOVED = "moved: sha256:bbbbbbbbbbbb at the source, sha256:aaaaaaaaaaaa at the destination"

POLICIES = st.sampled_from(["follow", "keep", "fail"])
TAGS = st.sampled_from(["v1", "v2", "latest", "V1", "1.0"])
STATES = st.sampled_from([OLD, NEW, Digest("sha512", 128 * "a"), None, DOWN])
SIDES = st.dictionaries(TAGS, STATES)


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    tags = draw(st.lists(TAGS, unique=True))
    selected = draw(st.lists(st.sampled_from(tags), unique=True)) if tags else []
    rejected = {tag: "excluded by a rule" for tag in tags if tag not in selected}
    return Selection(selected=tuple(selected), rejected=rejected)


@pytest.mark.parametrize("policy", ["follow", "keep", "fail"])
@pytest.mark.parametrize(
    ("source", "destination", "decision"),
    [
        (NEW, None, MISSING),
        (NEW, NEW, SAME),
        (NEW, DOWN, DESTINATION_UNREADABLE),
        (None, None, GONE),
        (None, OLD, GONE),
        (None, DOWN, GONE),
        (DOWN, None, SOURCE_UNREADABLE),
        (DOWN, OLD, SOURCE_UNREADABLE),
        (DOWN, DOWN, SOURCE_UNREADABLE),
    ],
)
def test_states_for_which_the_policy_does_not_matter(
    source: TagState, destination: TagState, decision: Decision, policy: MovedTagPolicy
) -> None:
    assert plan_tag("v1", source, destination, policy) == decision


@pytest.mark.parametrize(
    ("policy", "decision"),
    [
        ("follow", CopyTag(tag="v1", digest=NEW, reason=MOVED, replaces=OLD)),
        ("keep", Skipped(tag="v1", reason=f"{MOVED}; kept, since on_moved_tag is keep")),
        ("fail", Failed(tag="v1", reason=f"{MOVED}; on_moved_tag is fail", error_class="refused")),
    ],
)
def test_a_moved_tag(policy: MovedTagPolicy, decision: Decision) -> None:
    assert plan_tag("v1", NEW, OLD, policy) == decision


def test_a_route_has_a_decision_for_every_listed_tag_in_the_order_of_their_names() -> None:
    selection = Selection(selected=("v2", "v1", "v3"), rejected={"dev": "excluded by 'dev'"})
    plan = plan_route(selection, {"v1": NEW, "v2": OLD}, {"v2": OLD, "stray": OLD}, "follow")
    assert plan == Plan(
        decisions=(
            Skipped(tag="dev", reason="excluded by 'dev'"),
            MISSING,
            Unchanged(tag="v2", digest=OLD),
            Skipped(tag="v3", reason="the source lists it but has no manifest for it (deleted meanwhile?)"),
        )
    )


def test_tags_of_one_digest_are_one_copy() -> None:
    selection = Selection(selected=("a", "b", "c", "d"), rejected={})
    plan = plan_route(selection, {"a": NEW, "b": OLD, "c": NEW, "d": NEW}, {"d": NEW}, "follow")
    names = {digest: [each.tag for each in copies] for digest, copies in plan.by_digest.items()}
    assert names == {NEW: ["a", "c"], OLD: ["b"]}
    assert [each.tag for each in plan.copies] == ["a", "b", "c"]


@given(selections(), SIDES, SIDES, POLICIES)
def test_each_listed_tag_has_one_decision(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: MovedTagPolicy
) -> None:
    plan = plan_route(selection, source, destination, policy)
    assert [each.tag for each in plan.decisions] == sorted([*selection.selected, *selection.rejected])


@given(selections(), SIDES, SIDES, POLICIES)
def test_what_is_copied_is_selected_and_the_sources_and_not_there(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: MovedTagPolicy
) -> None:
    for each in plan_route(selection, source, destination, policy).copies:
        assert each.tag in selection.selected
        assert each.digest == source[each.tag]
        assert destination.get(each.tag) != each.digest
        assert policy == "follow" or destination.get(each.tag) is None


@given(selections(), SIDES, SIDES, POLICIES)
def test_planning_against_the_applied_state_copies_nothing(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: MovedTagPolicy
) -> None:
    plan = plan_route(selection, source, destination, policy)
    applied = {**destination, **{each.tag: each.digest for each in plan.copies}}
    again = plan_route(selection, source, applied, policy)
    assert again.copies == ()
    kept = [each for each in plan.decisions if not isinstance(each, CopyTag)]
    assert [each for each in again.decisions if each in kept] == kept


@given(selections(), SIDES, SIDES, POLICIES)
def test_the_order_of_the_selection_has_no_influence(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: MovedTagPolicy
) -> None:
    turned = Selection(
        selected=tuple(reversed(selection.selected)), rejected=dict(reversed(list(selection.rejected.items())))
    )
    assert plan_route(turned, source, destination, policy) == plan_route(selection, source, destination, policy)


@given(selections(), SIDES, SIDES, POLICIES)
def test_copies_by_digest_are_the_copies(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: MovedTagPolicy
) -> None:
    plan = plan_route(selection, source, destination, policy)
    grouped = [each for copies in plan.by_digest.values() for each in copies]
    assert sorted(grouped, key=lambda each: each.tag) == list(plan.copies)
    assert all(each.digest == digest for digest, copies in plan.by_digest.items() for each in copies)
