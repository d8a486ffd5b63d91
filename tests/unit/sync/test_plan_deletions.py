"""Planned deletions: every reason for and against, the limits, and the laws."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from registry_sync.config.entries.prune_rules import PruneRulesEntry
from registry_sync.config.prune_rules import PruneRules
from registry_sync.oci.artifact_tags import is_artifact_tag
from registry_sync.oci.reference import Digest
from registry_sync.oci.reserved_tags import platform_cache_tag
from registry_sync.sync.pruning.plan_deletions import (
    BothSides,
    PrunePolicy,
    case_variants,
    deletion_candidates,
    deletion_mark,
    pruning_obstacle,
    tags_sharing_an_image,
)
from registry_sync.sync.run_state import DatedDeletions, DeletionPlans, PlannedDeletions
from registry_sync.tags.backup_names import parse_backup_tag
from registry_sync.tags.patterns import parse_pattern
from registry_sync.tags.rules import TagRules, only_tags

MEMORY_TAG = platform_cache_tag("team")

A, B, C = (Digest("sha256", 64 * each) for each in "abc")
SIGNATURE = f"sha256-{64 * 'd'}.sig"
OWN_DIGEST = f"sha256-{64 * 'a'}"
BACKUP = "v1-was-0123456789ab"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

GONE, NOT_SELECTED, NONE = (PruneRules(tags=each) for each in ("gone_at_source", "not_selected", "none"))
OWNED = TagRules((only_tags(("v*", "sha256-*", f"{MEMORY_TAG}*")),))


def policy(rules: PruneRules) -> PrunePolicy:
    return PrunePolicy(rules=rules, tags=OWNED, backup_tag=parse_backup_tag("{{ tag }}-was-{{ digest_short }}"))


SIDES = BothSides(
    listed=frozenset({"v1", "v2", "v3", "main"}),
    selected=frozenset({"v1", "v3"}),
    rejected={"v2": "not among the newest 2 versions", "main": "matches none of 'v*'"},
    destination={
        "v1": A,
        "v2": B,
        "main": B,
        "v0": A,
        "own": C,
        "v-locked": C,
        "v-kept": C,
        MEMORY_TAG: C,
        SIGNATURE: C,
        SIGNATURE.removesuffix(".sig"): C,
        BACKUP: A,
    },
    locked=frozenset({"v-locked"}),
)


@pytest.mark.parametrize(
    ("rules", "deleted"),
    [
        (NONE, {}),
        (GONE, {"v0": "gone at the source", "v-kept": "gone at the source"}),
        (
            NOT_SELECTED,
            {
                "main": "no longer selected: matches none of 'v*'",
                "v-kept": "gone at the source",
                "v0": "gone at the source",
                "v2": "no longer selected: not among the newest 2 versions",
            },
        ),
        (
            PruneRules(tags="not_selected", keep=tuple(map(parse_pattern, ("*-kept", "/m.*/")))),
            {"v0": "gone at the source", "v2": "no longer selected: not among the newest 2 versions"},
        ),
    ],
)
def test_what_is_to_go_and_why(rules: PruneRules, deleted: dict[str, str]) -> None:
    assert deletion_candidates(policy(rules), SIDES) == deleted


@pytest.mark.parametrize(("digest", "is_deleted"), [(A, True), (B, False), (None, False)])
def test_an_image_that_is_named_after_its_own_digest_is_no_artifact(digest: Digest | None, is_deleted: bool) -> None:
    sides = replace(SIDES, destination={OWN_DIGEST: digest})
    assert (OWN_DIGEST in deletion_candidates(policy(GONE), sides)) is is_deleted


def test_a_tag_that_differs_from_one_of_the_source_in_case_only_is_kept() -> None:
    sides = replace(SIDES, destination={"V1": A, "Main": B, "v0": C})
    assert set(deletion_candidates(policy(NOT_SELECTED), sides)) == {"v0"}
    assert case_variants(sides) == {"V1": "v1", "Main": "main"}


@pytest.mark.parametrize(
    ("selected", "excluded", "stored"), [("RC2", "rc2", "rc2"), ("rc2", "RC2", "RC2"), ("v1-Rc", "V1-rc", "V1-rc")]
)
def test_a_tag_is_kept_whose_other_case_is_selected_though_the_rules_exclude_it(
    selected: str, excluded: str, stored: str
) -> None:
    """Such as after two tags that differ in case only failed, and one of them was excluded as advised."""
    sides = BothSides(
        listed={selected, excluded, "v2"},
        selected={selected},
        rejected={excluded: f"excluded by {excluded!r}", "v2": "excluded by 'v2'"},
        destination={stored: A, "v2": B},
    )
    assert deletion_candidates(policy(NOT_SELECTED), sides) == {"v2": "no longer selected: excluded by 'v2'"}
    assert case_variants(sides) == {stored: selected}


@pytest.mark.parametrize(
    ("changes", "wanted", "earlier", "text"),
    [
        ({}, {"v0"}, None, ""),
        ({"listed": frozenset()}, {"v0"}, None, "the source lists no tags"),
        ({"selected": frozenset()}, {"v0"}, None, "the rules select no tags"),
        ({}, {"v0"}, PlannedDeletions(marks=(), listed=4), ""),
        (
            *({}, {"v0"}, PlannedDeletions(marks=(), listed=5)),
            "the source lists 4 tags, down from 5; if the next run sees the same, it is accepted",
        ),
        (
            *({}, {"v0", "v2"}, None),
            (
                "2 of 4 tags would be deleted (v0, v2), and max_percent 10 allows 1; to delete them, raise "
                "max_percent until that is done"
            ),
        ),
    ],
)
def test_when_nothing_is_deleted(changes: Any, wanted: set[str], earlier: PlannedDeletions | None, text: str) -> None:
    assert pruning_obstacle(policy(GONE), replace(SIDES, **changes), wanted, earlier) == text


def test_the_share_is_of_what_could_be_deleted() -> None:
    """Of the eleven tags that are there: not the signatures, backups and so on, and not what others pushed."""
    rules = PruneRules(tags="gone_at_source", keep=(parse_pattern("*-kept"),), max_percent=50)
    sides = replace(SIDES, destination={**SIDES.destination, "v8": C, "v9": C})
    wanted = deletion_candidates(policy(rules), sides)
    assert set(wanted) == {"v0", "v8", "v9"}
    assert pruning_obstacle(policy(rules), sides, wanted, None) == ""
    sides = replace(sides, destination={**sides.destination, "v7": C})
    wanted = deletion_candidates(policy(rules), sides)
    assert pruning_obstacle(policy(rules), sides, wanted, None) == (
        "4 of 6 tags would be deleted (v0, v7, v8, v9), and max_percent 50 allows 3; to delete them, raise max_percent "
        "until that is done"
    )


@pytest.mark.parametrize(("percent", "tags", "most"), [(10, 1, 1), (10, 10, 1), (10, 11, 2), (100, 7, 7), (1, 100, 1)])
def test_a_share_is_rounded_up(percent: int, tags: int, most: int) -> None:
    names = [f"v{number}" for number in range(tags)]
    sides = BothSides(listed={"other"}, selected={"other"}, rejected={}, destination=dict.fromkeys(names, A))
    rules = PruneRules(tags="gone_at_source", max_percent=percent)
    assert pruning_obstacle(policy(rules), sides, names[:most], None) == ""
    if most < tags:
        assert pruning_obstacle(policy(rules), sides, names[: most + 1], None) != ""


def test_a_refusal_names_no_more_than_five() -> None:
    there = dict.fromkeys((f"v{number}" for number in range(9)), A)
    sides = BothSides(listed={"main"}, selected={"main"}, rejected={}, destination=there)
    assert pruning_obstacle(policy(GONE), sides, there, None).startswith(
        "9 of 9 tags would be deleted (v0, v1, v2, v3, v4, …), and max_percent 10 allows 1; "
    )


def test_tags_that_share_their_image_with_one_that_stays() -> None:
    there = {"v1": A, "v1.0": A, "v2": B, "v2.0": B, "v3": None, "v4": None}
    assert tags_sharing_an_image({"v1", "v2", "v2.0", "v3"}, there) == {"v1": "v1.0"}


@pytest.mark.parametrize(
    ("written", "place", "text"),
    [
        ({}, ("tags",), "Field required"),
        ({"tags": "all"}, ("tags",), "Input should be 'gone_at_source', 'not_selected' or 'none'"),
        ({"tags": "none", "max_percent": 0}, ("max_percent",), "Input should be greater than or equal to 1"),
        ({"tags": "none", "max_percent": 101}, ("max_percent",), "Input should be less than or equal to 100"),
        ({"tags": "none", "dry_run": "no"}, ("dry_run",), "Input should be a valid boolean"),
        ({"tags": "none", "keep": ()}, ("keep",), "Tuple should have at least 1 item after validation, not 0"),
    ],
)
def test_rules_that_are_refused(written: Any, place: tuple[str, ...], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PruneRulesEntry.model_validate(written)
    (error,) = caught.value.errors()
    assert (error["loc"], error["msg"]) == (place, text)


@pytest.mark.parametrize(
    ("tag", "is_one"),
    [
        (SIGNATURE, True),
        (f"sha256-{64 * 'a'}", True),
        (f"sha512-{128 * 'a'}.att", True),
        (f"sha256-{64 * 'a'}.any", True),
        ("sha256-abc.sig", False),
        ("v1.sig", False),
    ],
)
def test_tags_that_are_about_a_digest(tag: str, is_one: bool) -> None:
    assert is_artifact_tag(tag) == is_one


class TestMemory:
    def test_json_is_read_back(self) -> None:
        memory = DeletionPlans(
            routes={"aa": DatedDeletions(planned=PlannedDeletions(marks=("0a1b2c3d",), listed=7), at=NOON)}
        )
        assert DeletionPlans.from_json(json.loads(json.dumps(memory.to_json()))) == memory

    def test_a_run_knows_what_was_planned_before_it_and_not_by_itself(self) -> None:
        planned = PlannedDeletions(marks=(deletion_mark("v0", A),), listed=7)
        memory = DeletionPlans(routes={}).after({"aa": planned}, ["aa"], NOON)
        assert memory.before("aa", NOON) is None
        assert memory.before("aa", NOON + timedelta(hours=1)) == planned
        assert memory.before("bb", NOON + timedelta(hours=1)) is None

    def test_a_run_that_did_not_look_changes_nothing_and_routes_that_are_gone_are_forgotten(self) -> None:
        old, new = PlannedDeletions(marks=("00000001",), listed=7), PlannedDeletions(marks=(), listed=8)
        memory = DeletionPlans(routes={}).after({"aa": old, "bb": old, "cc": old}, ["aa", "bb", "cc"], NOON)
        later = NOON + timedelta(hours=1)
        memory = memory.after({"bb": new}, ["aa", "bb"], later)
        assert memory.routes == {
            "aa": DatedDeletions(planned=old, at=NOON),
            "bb": DatedDeletions(planned=new, at=later),
        }

    def test_a_run_of_the_past_does_not_undo_what_a_later_one_planned(self) -> None:
        late, early = PlannedDeletions(marks=("00000001",), listed=7), PlannedDeletions(marks=("00000002",), listed=7)
        memory = DeletionPlans(routes={}).after({"aa": late}, ["aa"], NOON)
        assert memory.after({"aa": early}, ["aa"], NOON - timedelta(hours=1)) == memory


def test_a_mark_is_of_a_tag_and_what_it_names() -> None:
    assert len({deletion_mark("v0", A), deletion_mark("v0", B), deletion_mark("v1", A)}) == 3
    assert len(deletion_mark("v0", A)) == 8


NAMES = st.sampled_from(
    ["v1", "v2", "v3", "main", "dev", BACKUP, SIGNATURE, SIGNATURE.removesuffix(".sig"), MEMORY_TAG, "v-kept", "own"]
)
RULES = st.builds(
    PruneRules,
    tags=st.sampled_from(["gone_at_source", "not_selected", "none"]),
    keep=st.sampled_from([None, (parse_pattern("*-kept"),), (parse_pattern("v*"),)]),
    max_percent=st.integers(1, 100),
)


@st.composite
def both_sides(draw: st.DrawFn) -> BothSides:
    listed = draw(st.sets(NAMES))
    selected = draw(st.sets(st.sampled_from(sorted(listed)))) if listed else set()
    there = draw(st.dictionaries(NAMES, st.sampled_from([A, B, C, None])))
    return BothSides(
        listed=listed,
        selected=selected,
        rejected=dict.fromkeys(listed - selected, "excluded"),
        destination=there,
        locked=draw(st.sets(st.sampled_from(sorted(there)))) if there else set(),
    )


def deletions(rules: PruneRules, sides: BothSides) -> set[str]:
    """Return the tags that would be deleted at last."""
    wanted = deletion_candidates(policy(rules), sides)
    return set() if pruning_obstacle(policy(rules), sides, wanted, None) else set(wanted)


@given(RULES, both_sides())
def test_only_what_is_there_and_nothing_that_is_selected_kept_locked_a_backup_or_a_signature(
    rules: PruneRules, sides: BothSides
) -> None:
    gone = deletions(rules, sides)
    assert gone <= set(sides.destination)
    assert gone.isdisjoint(sides.selected)
    assert gone.isdisjoint(sides.locked)
    assert gone.isdisjoint({BACKUP, MEMORY_TAG, SIGNATURE, SIGNATURE.removesuffix(".sig")})
    assert gone.isdisjoint({"v-kept"} if rules.keep else ())
    assert rules.keep != (parse_pattern("v*"),) or not any(tag.startswith("v") for tag in gone)


@given(RULES, both_sides())
def test_only_what_the_mirror_would_own(rules: PruneRules, sides: BothSides) -> None:
    for tag in deletions(rules, sides):
        assert tag in sides.listed or policy(rules).owns(tag)
        assert rules.tags == "not_selected" or tag not in sides.listed
    if rules.tags == "none" or not sides.listed or not sides.selected:
        assert deletions(rules, sides) == set()


@given(RULES, both_sides())
def test_no_more_than_the_share_that_is_allowed(rules: PruneRules, sides: BothSides) -> None:
    never = {BACKUP, MEMORY_TAG, SIGNATURE, SIGNATURE.removesuffix(".sig"), *sides.locked}
    own = [tag for tag in sides.destination if tag not in never and (tag in sides.listed or policy(rules).owns(tag))]
    assert len(deletions(rules, sides)) < len(own) * rules.max_percent / 100 + 1


@given(RULES, both_sides())
def test_once_it_is_done_there_is_nothing_left_to_delete(rules: PruneRules, sides: BothSides) -> None:
    gone = deletions(rules, sides)
    after = replace(sides, destination={tag: digest for tag, digest in sides.destination.items() if tag not in gone})
    assert not gone or deletions(rules, after) == set()


@given(RULES, both_sides(), st.integers(1, 1000))
def test_a_source_that_shrank_deletes_nothing(rules: PruneRules, sides: BothSides, before: int) -> None:
    wanted = deletion_candidates(policy(rules), sides)
    why = pruning_obstacle(policy(rules), sides, wanted, PlannedDeletions(marks=(), listed=before))
    if len(sides.listed) < before * (100 - rules.max_percent) / 100:
        assert why != ""


@given(both_sides())
def test_no_image_of_a_tag_that_stays_goes_along(sides: BothSides) -> None:
    wanted = deletion_candidates(policy(NOT_SELECTED), sides)
    gone = set(wanted) - set(tags_sharing_an_image(wanted, sides.destination))
    staying = {digest for tag, digest in sides.destination.items() if tag not in wanted and digest}
    assert staying.isdisjoint({sides.destination[tag] for tag in gone})
