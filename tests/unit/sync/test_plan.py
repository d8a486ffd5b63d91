"""The decision for every pair of states, and the laws of planning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.oci.reference import Digest
from registry_sync.sync.acceptance import refuse_unaccepted
from registry_sync.sync.plan import (
    Backup,
    CopyTag,
    Decision,
    DeleteTag,
    Failed,
    Locked,
    Plan,
    Skipped,
    TagState,
    Unchanged,
    Unreadable,
    group_by_digest,
)
from registry_sync.sync.plan_route import plan_tag, plan_tags
from registry_sync.sync.pruning.plan_deletions import add_deletions
from registry_sync.sync.reading.platform_indexes import FilteredTags
from registry_sync.tags.backup_names import parse_backup_tag
from registry_sync.tags.overwrite_policy import OverwritePolicy, OverwriteRules, overwriting, parse_policies, policy_of
from registry_sync.tags.select import Selection

OLD, NEW = Digest("sha256", 64 * "a"), Digest("sha256", 64 * "b")
DOWN = Unreadable(error_class="temporary", text="GET /v2/ answered 503")

MISSING = CopyTag(tag="v1", digest=NEW, reason="missing at the destination")
SAME = Unchanged(tag="v1", digest=NEW)
GONE = Skipped(tag="v1", reason="the source lists it, but has no manifest for it (deleted meanwhile?)")
SOURCE_UNREADABLE = Failed(
    tag="v1", reason="cannot be read at the source: GET /v2/ answered 503", error_class="temporary"
)
DESTINATION_UNREADABLE = Failed(
    tag="v1", reason="cannot be read at the destination: GET /v2/ answered 503", error_class="temporary"
)
CHANGED = "changed to sha256:bbbbbbbbbbbb, the destination has sha256:aaaaaaaaaaaa"

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FOLLOW, KEEP, FAIL = (OverwriteRules(policies=parse_policies(each)) for each in ("follow", "keep", "fail"))
BACKED_UP = overwriting(parse_policies("follow"), parse_backup_tag("{{ tag }}-was-{{ digest_short }}"), (), NOON)
BY_PATTERN = OverwriteRules(
    policies=parse_policies({"latest": "follow", "v*": "fail", "*": "keep"}), locked=frozenset({"latest"})
)

POLICIES = st.sampled_from([FOLLOW, KEEP, FAIL, BACKED_UP, BY_PATTERN])
TAGS = st.sampled_from(["v1", "v2", "latest", "V1", "1.0"])
STATES = st.sampled_from([OLD, NEW, Digest("sha512", 128 * "a"), None, DOWN])
SIDES = st.dictionaries(TAGS, STATES)


def planned(
    selection: Selection,
    source: Mapping[str, TagState],
    destination: Mapping[str, TagState],
    rules: OverwriteRules = FOLLOW,
) -> Plan:
    return Plan(decisions=plan_tags(selection, FilteredTags(states=source), destination, rules))


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    tags = draw(st.lists(TAGS, unique=True))
    selected = draw(st.lists(st.sampled_from(tags), unique=True)) if tags else []
    rejected = {tag: "excluded by a rule" for tag in tags if tag not in selected}
    return Selection(selected=tuple(selected), rejected=rejected)


@pytest.mark.parametrize(
    "policy",
    [FOLLOW, KEEP, FAIL, BACKED_UP, BY_PATTERN],
    ids=["follow", "keep", "fail", "follow with backup", "by pattern"],
)
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
    ids=[
        "missing at the destination",
        "same",
        "destination unreadable",
        "gone at both sides",
        "gone at the source",
        "gone at the source, destination unreadable",
        "source unreadable",
        "source unreadable, stale at the destination",
        "both unreadable",
    ],
)
def test_states_for_which_the_policy_does_not_matter(
    source: TagState, destination: TagState, decision: Decision, policy: OverwriteRules
) -> None:
    assert plan_tag("v1", source, destination, policy) == decision


@pytest.mark.parametrize(
    ("policy", "decision"),
    [
        (FOLLOW, CopyTag(tag="v1", digest=NEW, reason=CHANGED, replaces=OLD)),
        (KEEP, Skipped(tag="v1", reason=f"{CHANGED}; kept, because on_moved_tag is keep", kept=OLD, moved_to=NEW)),
        (FAIL, Failed(tag="v1", reason=f"{CHANGED}; on_moved_tag is fail", error_class="refused", moved_to=NEW)),
        (
            BY_PATTERN,
            Failed(tag="v1", reason=f"{CHANGED}; on_moved_tag is fail for 'v*'", error_class="refused", moved_to=NEW),
        ),
        (
            BACKED_UP,
            CopyTag(
                tag="v1",
                digest=NEW,
                reason=f"{CHANGED}, kept as v1-was-aaaaaaaaaaaa",
                replaces=OLD,
                backup=Backup(tag="v1-was-aaaaaaaaaaaa", digest=OLD),
            ),
        ),
    ],
)
def test_a_changed_tag_follows_the_overwrite_policy(policy: OverwriteRules, decision: Decision) -> None:
    assert plan_tag("v1", NEW, OLD, policy) == decision


OTHER = Digest("sha256", 64 * "c")


@pytest.mark.parametrize("policy", [KEEP, FAIL, BY_PATTERN])
def test_an_accepted_move_of_a_protected_tag_is_made(policy: OverwriteRules) -> None:
    _, written = policy_of("v1", policy.policies)
    rules = replace(policy, accepted={"v1": NEW})
    reason = f"{CHANGED}; accepted, although {written}"
    copy = CopyTag(tag="v1", digest=NEW, reason=reason, replaces=OLD, accepted=True)
    assert plan_tag("v1", NEW, OLD, rules) == copy
    locked = plan_tag("v1", NEW, OLD, replace(rules, locked=frozenset({"v1"})))
    assert locked == Locked(tag="v1", digest=NEW, reason=f"{reason}, where it is locked")
    assert plan_tag("v1", OTHER, OLD, rules) == plan_tag("v1", OTHER, OLD, policy)
    assert plan_tag("v2", NEW, OLD, rules) == plan_tag("v2", NEW, OLD, policy)
    assert plan_tag("v1", NEW, NEW, rules) == SAME
    assert plan_tag("v1", NEW, None, rules) == MISSING


def test_an_accepted_tag_that_is_followed_anyway_is_not_called_accepted() -> None:
    assert plan_tag("v1", NEW, OLD, replace(FOLLOW, accepted={"v1": NEW})) == plan_tag("v1", NEW, OLD, FOLLOW)


@pytest.mark.parametrize(
    ("policy", "destination", "refused"),
    [(FOLLOW, OLD, True), (KEEP, OLD, True), (FAIL, OLD, True), (FAIL, None, True), (FAIL, OTHER, False)],
)
def test_an_accepted_tag_that_moved_on_is_refused(
    policy: OverwriteRules, destination: Digest | None, refused: bool
) -> None:
    """In sync it stays, whatever was accepted."""
    decision = plan_tag("v1", OTHER, destination, replace(policy, accepted={"v1": NEW}))
    assert list(refuse_unaccepted([decision], {"v1": NEW}, {"v1": OTHER})) == [
        Failed(
            tag="v1",
            reason="the source has sha256:cccccccccccc and sha256:bbbbbbbbbbbb is accepted; nothing was written. Look "
            f"at it, and accept {OTHER} if that is right",
            error_class="refused",
            moved_to=OTHER,
        )
        if refused
        else decision
    ]


@pytest.mark.parametrize(
    ("decisions", "why"),
    [
        ([], "the tag is not among those that this run compares"),
        ([Skipped(tag="v1", reason="excluded by 'v*'")], "the tag is not mirrored: excluded by 'v*'"),
        ([GONE], f"the tag is not mirrored: {GONE.reason}"),
    ],
)
def test_an_accepted_tag_that_is_not_selected_fails(decisions: list[Decision], why: str) -> None:
    reason = f"accept names sha256:bbbbbbbbbbbb, but {why}"
    others: list[Decision] = [Unchanged(tag="v2", digest=OLD)]
    assert list(refuse_unaccepted([*others, *decisions], {"v1": NEW}, {"v1": None})) == [
        *others,
        Failed(tag="v1", reason=reason, error_class="configuration"),
    ]


def test_a_failure_for_another_reason_stays() -> None:
    assert list(refuse_unaccepted([SOURCE_UNREADABLE], {"v1": NEW}, {"v1": DOWN})) == [SOURCE_UNREADABLE]


@pytest.mark.parametrize(
    ("policy", "decision"),
    [
        ("follow", Locked(tag="v1", digest=NEW, reason=f"{CHANGED}, where it is locked")),
        ("keep", Skipped(tag="v1", reason=f"{CHANGED}; kept, because on_moved_tag is keep", kept=OLD, moved_to=NEW)),
        ("fail", Failed(tag="v1", reason=f"{CHANGED}; on_moved_tag is fail", error_class="refused", moved_to=NEW)),
    ],
)
def test_a_moved_tag_that_is_locked(policy: OverwritePolicy, decision: Decision) -> None:
    rules = OverwriteRules(policies=parse_policies(policy), locked=frozenset({"v1"}))
    assert plan_tag("v1", NEW, OLD, rules) == decision
    assert plan_tag("v1", NEW, NEW, rules) == SAME
    assert plan_tag("v1", NEW, None, rules) == MISSING


def test_a_tag_that_is_too_long_for_a_backup_is_not_overwritten() -> None:
    tag = 120 * "a"
    decision = plan_tag(tag, NEW, OLD, BACKED_UP)
    template = "'{{ tag }}-was-{{ digest_short }}'"
    assert decision == Failed(
        tag=tag,
        reason=f"{CHANGED}; not overwritten, because its backup has no valid name: "
        f"{template} gives '{tag}-was-aaaaaaaaaaaa' for "
        f"'{tag}', which is not a valid tag",
        error_class="configuration",
    )


def test_a_tag_that_was_skipped_is_deleted_instead() -> None:
    selection = Selection(selected=("v2",), rejected={"v1": "excluded by 'v1'"})
    plan = planned(selection, {"v2": NEW}, {})
    deletions = (
        DeleteTag(tag="v1", digest=OLD, reason="no longer selected"),
        DeleteTag(tag="v0", digest=OLD, reason="gone"),
    )
    assert add_deletions(plan, deletions).decisions == (deletions[1], deletions[0], replace(MISSING, tag="v2"))
    assert add_deletions(plan, deletions).deletions == (deletions[1], deletions[0])


def test_a_route_has_a_decision_for_every_listed_tag_in_the_order_of_their_names() -> None:
    selection = Selection(selected=("v2", "v1", "v3"), rejected={"dev": "excluded by 'dev'"})
    plan = planned(selection, {"v1": NEW, "v2": OLD}, {"v2": OLD, "stray": OLD})
    assert plan == Plan(
        decisions=(
            Skipped(tag="dev", reason="excluded by 'dev'"),
            MISSING,
            Unchanged(tag="v2", digest=OLD),
            Skipped(tag="v3", reason="the source lists it, but has no manifest for it (deleted meanwhile?)"),
        )
    )


def test_a_tag_that_the_rules_cannot_judge_fails() -> None:
    selection = Selection(selected=(), rejected={}, failed={"v1": "names has it, and the source has no such tag"})
    failed = Failed(tag="v1", reason="names has it, and the source has no such tag", error_class="configuration")
    assert planned(selection, {}, {}).decisions == (failed,)


def test_tags_of_one_digest_are_one_copy() -> None:
    selection = Selection(selected=("a", "b", "c", "d"), rejected={})
    plan = planned(selection, {"a": NEW, "b": OLD, "c": NEW, "d": NEW}, {"d": NEW})
    names = {digest: [copy.tag for copy in copies] for digest, copies in group_by_digest(plan.copies).items()}
    assert names == {NEW: ["a", "c"], OLD: ["b"]}
    assert [copy.tag for copy in plan.copies] == ["a", "b", "c"]


@given(selections(), SIDES, SIDES, POLICIES)
def test_each_listed_tag_has_one_decision(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: OverwriteRules
) -> None:
    plan = planned(selection, source, destination, policy)
    assert [decision.tag for decision in plan.decisions] == sorted([*selection.selected, *selection.rejected])


@given(selections(), SIDES, SIDES, POLICIES)
def test_what_is_copied_is_selected_and_the_sources_and_not_there(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: OverwriteRules
) -> None:
    for copy in planned(selection, source, destination, policy).copies:
        assert copy.tag in selection.selected
        assert copy.digest == source[copy.tag]
        assert destination.get(copy.tag) != copy.digest
        assert policy in {FOLLOW, BACKED_UP} or destination.get(copy.tag) is None
        assert (copy.backup is not None) == (policy is BACKED_UP and destination.get(copy.tag) is not None)
        assert copy.backup is None or copy.backup.digest == destination[copy.tag]


@given(selections(), SIDES, SIDES, POLICIES)
def test_planning_against_the_applied_state_copies_nothing(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: OverwriteRules
) -> None:
    plan = planned(selection, source, destination, policy)
    applied = {**destination, **{copy.tag: copy.digest for copy in plan.copies}}
    again = planned(selection, source, applied, policy)
    assert again.copies == ()
    kept = [decision for decision in plan.decisions if not isinstance(decision, CopyTag)]
    assert [decision for decision in again.decisions if decision in kept] == kept


@given(selections(), SIDES, SIDES, POLICIES)
def test_the_order_of_the_selection_has_no_influence(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: OverwriteRules
) -> None:
    turned = Selection(
        selected=tuple(reversed(selection.selected)), rejected=dict(reversed(list(selection.rejected.items())))
    )
    assert planned(turned, source, destination, policy) == planned(selection, source, destination, policy)


@given(selections(), SIDES, SIDES, POLICIES)
def test_copies_by_digest_are_the_copies(
    selection: Selection, source: dict[str, TagState], destination: dict[str, TagState], policy: OverwriteRules
) -> None:
    plan = planned(selection, source, destination, policy)
    grouped = [copy for copies in group_by_digest(plan.copies).values() for copy in copies]
    assert sorted(grouped, key=lambda each: each.tag) == list(plan.copies)
    assert all(copy.digest == digest for digest, copies in group_by_digest(plan.copies).items() for copy in copies)
