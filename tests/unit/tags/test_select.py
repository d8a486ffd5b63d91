"""Selection of tags, with reasons for the others: each rule, their order, and the laws that hold for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import ConfigurationError, RefusedError
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import ListedTag
from registry_sync.sync.reading.source import is_in_window
from registry_sync.sync.window import Window
from registry_sync.tags.rules import TagRule, TagRules
from registry_sync.tags.select import (
    ALL_LISTED,
    PushTimes,
    Selection,
    SelectionStep,
    rejection_reason,
    select_tags,
    steps_text,
)
from registry_sync.tags.selection_checks import check_min_tags
from testkit.settings import tag_rule, tag_rules

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NO_TAG = "not a valid OCI tag, so it cannot be pushed"
PIN = Digest("sha256", 64 * "a")


@dataclass(frozen=True, slots=True)
class Listed:
    """A tag as a source lists it."""

    name: str
    pushed_at: datetime | None = None


def ago(name: str, days: float) -> Listed:
    return Listed(name, NOW - timedelta(days=days))


def select(
    listed: list[Listed] | list[str],
    *several: dict[str, Any],
    is_whole: bool = True,
    push_times: PushTimes = ALL_LISTED,
    **rule: Any,
) -> Selection:
    entries = [each if isinstance(each, Listed) else Listed(each) for each in listed]
    return select_tags(entries, tag_rules(*several, **rule), now=NOW, is_whole=is_whole, push_times=push_times)


def test_without_rules_every_tag_is_chosen() -> None:
    assert select(["v2", "v1"]) == Selection(
        selected=("v1", "v2"), rejected={}, steps=(SelectionStep(what="listed", tags=2),)
    )


def test_include_then_exclude_each_with_its_reason() -> None:
    selection = select(
        ["v1", "1.0", "latest", "v1-dev", "v1-rc1", "v1-rc10", "V2"],
        include=("v*", "/1\\.[0-9]/"),
        exclude=("*-dev", "*-rc?"),
    )
    assert selection.selected == ("1.0", "v1", "v1-rc10")
    assert selection.rejected == {
        "V2": "matches none of 'v*', '/1\\.[0-9]/'",
        "latest": "matches none of 'v*', '/1\\.[0-9]/'",
        "v1-dev": "excluded by '*-dev'",
        "v1-rc1": "excluded by '*-rc?'",
    }
    assert steps_text(selection) == "listed 7 → include 5 → exclude 3"


@pytest.mark.parametrize("listed", [f"sha256:{64 * 'a'}", "v1+build", "", 129 * "a"])
def test_what_is_no_tag_is_left_out_whatever_the_rules_say(listed: str) -> None:
    selection = select([listed], include=("*",))
    assert (selection.selected, selection.rejected) == ((), {listed: NO_TAG})


def test_a_tag_that_is_listed_twice_counts_once() -> None:
    assert select(["v1", "v1"]).selected == ("v1",)


def test_semver_selects_versions_in_its_range() -> None:
    listed = ["v1.2.0", "1.3", "2.0.0", "1.4.0-rc.1", "1.4.0-alpine", "latest", "20261124"]
    selection = select(listed, semver=">=1.2 <2")
    assert selection.selected == ("1.3", "v1.2.0")
    assert selection.rejected == {
        "1.4.0-alpine": "a pre-release, by its suffix, which semver '>=1.2 <2' does not include",
        "1.4.0-rc.1": "a pre-release, by its suffix, which semver '>=1.2 <2' does not include",
        "2.0.0": "not in semver '>=1.2 <2'",
        "20261124": "not a version, which semver '>=1.2 <2' requires",
        "latest": "not a version, which semver '>=1.2 <2' requires",
    }
    assert select(listed, semver=">=1.4.0-rc.1 <2").selected == ("1.4.0-rc.1",)
    assert select(listed, semver=">=1.2 <2", prereleases=True).selected == (
        "1.3",
        "1.4.0-alpine",
        "1.4.0-rc.1",
        "v1.2.0",
    )


def test_ages_select_by_push_time() -> None:
    listed = [ago("old", 90), ago("nearly", 89.99), ago("new", 1), ago("edge", 7)]
    selection = select(listed, older_than="90d")
    assert selection.selected == ("old",)
    assert selection.rejected["nearly"] == "pushed 2026-08-26 12:14, not yet 90d ago"
    selection = select(listed, younger_than="7d")
    assert selection.selected == ("new",)
    assert selection.rejected["edge"] == "pushed 2026-11-17 12:00, 7d ago or more"
    assert select(listed, older_than="1d", younger_than="90d").selected == ("edge", "nearly", "new")


def test_newest_by_version_selects_the_highest() -> None:
    listed = ["v1.9.0", "v1.10.0", "1.10.0", "v1.2.0", "v2.0.0-rc.1"]
    selection = select(listed, semver="*", newest=2)
    assert selection.selected == ("1.10.0", "v1.10.0")
    assert selection.rejected["v1.9.0"] == "not among the newest 2 versions"
    assert steps_text(selection) == "listed 5 → semver 4 → newest 2"
    assert select(listed, semver="*", newest=1).selected == ("v1.10.0",)
    assert select(listed, semver="*", prereleases=True, newest=1).selected == ("v2.0.0-rc.1",)


def test_newest_by_version_needs_no_range() -> None:
    selection = select(["v1.9.0", "v2.0.0-rc.1", "main"], newest=1, newest_by="semver")
    assert (selection.selected, selection.rejected) == (
        ("v1.9.0",),
        {
            "main": "not a version, which newest_by semver requires",
            "v2.0.0-rc.1": "a pre-release, by its suffix, and prereleases is false",
        },
    )


def test_the_newest_by_push_time_and_by_name() -> None:
    listed = [ago("c", 3), ago("a", 1), ago("b", 2), ago("b2", 2)]
    assert select(listed, newest=2).selected == ("a", "b2")
    assert select(listed, newest=2).rejected["c"] == "not among the newest 2 by push time"
    assert select(listed, newest=2, newest_by="name").selected == ("b2", "c")
    assert select(["v9", "v10"], newest=1, newest_by="name").rejected == {"v10": "not among the newest 1 by name"}


def test_names_are_mirrored_whatever_the_other_rules_say() -> None:
    listed = [ago("latest", 500), ago("v1.0.0", 3), ago("v1.1.0", 2), ago("v1.2.0", 1)]
    selection = select(listed, names=("latest", "v1.0.0"), exclude=("latest",), semver="1.x", newest=1)
    assert selection.selected == ("latest", "v1.0.0", "v1.2.0")
    assert selection.rejected == {"v1.1.0": "not among the newest 1 versions"}
    assert steps_text(selection) == "listed 4 → exclude 2 → semver 2 → newest 1 → with names 3"


def test_names_alone_are_all_that_is_mirrored() -> None:
    selection = select(["latest", "v1", "v2"], names=("latest", "v2"))
    assert (selection.selected, selection.rejected) == (("latest", "v2"), {"v1": "not among names"})
    assert steps_text(selection) == "listed 3 → names 2"


def test_a_missing_name_fails() -> None:
    selection = select(["v1"], names=("latest",), include=("*",))
    assert selection.selected == ("v1",)
    assert selection.failed == {
        "latest": "names lists it, but the source has no such tag; correct the name, or remove it"
    }
    assert select(["v1"], names=("latest",), is_whole=False).failed == {}


def test_pins_are_chosen_whether_the_tag_is_listed_or_not() -> None:
    selection = select(["v1", "v2"], names=(f"v1@{PIN}", f"v0@{PIN}"))
    assert (selection.selected, selection.pins, selection.failed) == (("v0", "v1"), {"v1": PIN, "v0": PIN}, {})


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"older_than": "1d"}, "older_than needs push times, which the source does not list; remove it here"),
        ({"younger_than": "1d"}, "younger_than needs push times, which the source does not list; remove it here"),
        (
            {"newest": 1},
            (
                "newest needs push times, which the source does not list "
                "(newest_by: semver or name needs none); remove it here"
            ),
        ),
    ],
)
def test_rules_that_need_push_times_where_there_are_none(rules: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        select(["a", "b"], push_times=PushTimes(are_listed=False), **rules)
    assert str(caught.value) == problem
    assert select([], push_times=PushTimes(are_listed=False), **rules).selected == ()
    assert select(["a", "b"], include=("c",), push_times=PushTimes(are_listed=False), **rules).selected == ()


def test_one_unknown_push_time_fails_one_tag_though_no_other_is_left() -> None:
    """The source tells push times, and the other tags did not get as far as the rule that goes by them."""
    selection = select([ago("a", 1), Listed("b")], include=("b",), older_than="1h")
    assert (selection.selected, set(selection.rejected)) == ((), {"a"})
    assert selection.failed == {
        "b": "older_than needs a push time, and the source lists none for this tag; add it to names or exclude"
    }


def test_a_tag_whose_push_time_is_unknown_is_neither_new_nor_old() -> None:
    selection = select([ago("a", 1), Listed("b")], older_than="1h", newest=1)
    assert selection.selected == ("a",)
    assert selection.failed == {
        "b": "older_than needs a push time, and the source lists none for this tag; add it to names or exclude"
    }
    assert select([ago("a", 1), Listed("b")], older_than="1h", names=("b",)).failed == {}


def test_fewer_tags_than_min_tags_are_refused() -> None:
    rules = tag_rules(semver="2.x", names=("latest",), min_tags=3)
    selection = select_tags([Listed(each) for each in ("latest", "2.0.0", "1.0.0")], rules, now=NOW)
    with pytest.raises(RefusedError) as caught:
        check_min_tags(selection, rules, "quay.io/a/b")
    assert str(caught.value) == (
        "only 2 tags of quay.io/a/b are selected, and min_tags is 3 (listed 3 → semver 1 → with names 2); "
        "nothing was copied. Does the source list all its tags?"
    )
    check_min_tags(selection, tag_rules(min_tags=2), "quay.io/a/b")
    check_min_tags(selection, TagRules(), "quay.io/a/b")


def test_a_run_narrows_the_selection() -> None:
    selection = select(["v1", "v2", "latest"], names=("gone",), include=("v*",)).narrow(tag_rule(include=("v1",)))
    assert (selection.selected, selection.failed) == (("v1",), {})
    assert selection.rejected == {"latest": "matches none of 'v*'", "v2": "matches none of 'v1'"}
    assert steps_text(selection) == "listed 3 → include 2 → with names 2 → requested 1"


@pytest.mark.parametrize(
    ("tag", "rules", "reason"),
    [
        ("v1", {}, ""),
        ("v1", {"names": ("v1",), "exclude": ("*",)}, ""),
        ("v2", {"names": ("v1",)}, "not among names"),
        ("v2", {"names": ("v1",), "include": ("v2",)}, ""),
        ("v2", {"exclude": ("v2",)}, "excluded by 'v2'"),
        ("v2.0.0", {"semver": "1.x"}, "not in semver '1.x'"),
        ("v1.0.0", {"semver": "1.x", "newest": 1, "older_than": "90d"}, ""),
    ],
)
def test_a_name_alone_may_rule_a_tag_out(tag: str, rules: Any, reason: str) -> None:
    assert rejection_reason(tag, tag_rules(**rules)) == reason


NAMES = st.sampled_from(
    ["v1.0.0", "v1.2.0", "1.2", "v1.3.0-rc.1", "2.0.0", "v1-dev", "a", "B", "latest", "", "sha256:aa", "v1+x"]
)
TIMES = st.integers(0, 200).map(lambda hours: NOW - timedelta(hours=hours))
LISTED = st.lists(st.builds(Listed, NAMES | st.text(max_size=3), TIMES), unique_by=lambda build: build.name)
PATTERNS = st.none() | st.lists(st.sampled_from(["v*", "*-dev", "?1", "/[a-c1]+.*/", "*"]), min_size=1).map(tuple)
OPTIONAL = {
    "names": st.lists(st.sampled_from(["latest", "a", f"v1.0.0@{PIN}", "gone"]), min_size=1, unique=True).map(tuple),
    "include": PATTERNS,
    "exclude": PATTERNS,
    "semver": st.sampled_from(["1.x", ">=1.2", "^1.2 || 2", "*"]),
    "older_than": st.sampled_from(["1h", "3d"]),
    "younger_than": st.sampled_from(["4d", "1w"]),
    "newest": st.integers(1, 4),
}
ORDERS = st.sampled_from(["semver", "push_time", "name"])


def _rule(written: dict[str, Any], order: str) -> TagRule:
    return tag_rule(**(written | {"newest_by": order} if "newest" in written else written))


RULE = st.builds(_rule, st.fixed_dictionaries({}, optional=OPTIONAL), ORDERS)
RULES = st.lists(RULE, min_size=1, max_size=3).map(lambda rules: TagRules(tuple(rules)))


def _is_in(window: Window, rules: TagRules, listed: Listed) -> bool:
    return any(map(window.holds, rules.entry_times("any", listed.pushed_at)))


@given(LISTED, RULES)
def test_each_listed_tag_is_either_chosen_or_has_a_reason(listed: list[Listed], rules: TagRules) -> None:
    selection = select_tags(listed, rules, now=NOW)
    pinned_only = set(selection.pins) - {each.name for each in listed}
    seen = [*selection.selected, *selection.rejected, *selection.failed]
    missing = set(rules.named) - {each.name for each in listed} - pinned_only
    assert sorted(seen) == sorted({each.name for each in listed} | pinned_only | missing)
    assert all([*selection.rejected.values(), *selection.failed.values()])


@given(LISTED, RULES)
def test_the_chosen_are_some_of_the_listed_and_of_the_pinned(listed: list[Listed], rules: TagRules) -> None:
    selection = select_tags(listed, rules, now=NOW)
    assert set(selection.selected) <= {each.name for each in listed} | set(selection.pins)
    for part in selection.by_rule or (selection,):
        assert part.steps[0].tags == len(listed)
        assert part.steps[-1].tags >= len(part.selected) - len(part.pins)


@given(LISTED, RULES)
def test_choosing_from_the_chosen_changes_nothing(listed: list[Listed], rules: TagRules) -> None:
    chosen = select_tags(listed, rules, now=NOW).selected
    again = select_tags([each for each in listed if each.name in chosen], rules, now=NOW)
    assert (again.selected, again.rejected) == (chosen, {})


@given(LISTED.flatmap(lambda listed: st.tuples(st.just(listed), st.permutations(listed))), RULES)
def test_the_order_of_the_listing_has_no_influence(
    listings: tuple[list[Listed], list[Listed]], rules: TagRules
) -> None:
    assert select_tags(listings[0], rules, now=NOW) == select_tags(listings[1], rules, now=NOW)


@given(LISTED, RULES)
def test_what_a_name_alone_rules_out_is_never_chosen(listed: list[Listed], rules: TagRules) -> None:
    selection = select_tags(listed, rules, now=NOW)
    assert not [tag for tag in selection.selected if rejection_reason(tag, rules)]


@given(LISTED, RULES, st.integers(0, 250))
def test_a_cheaper_reading_chooses_the_same_tags(listed: list[Listed], rules: TagRules, hours: int) -> None:
    """Rules that judge each tag by itself need only the tags that were pushed in the run's window."""
    window = Window(reason="test", start=NOW - timedelta(hours=hours))
    read = listed if rules.needs_whole_listing else [each for each in listed if window.holds(each.pushed_at)]
    outside = {each.name for each in listed if not _is_in(window, rules, each)}
    whole = select_tags(listed, rules, now=NOW).without(outside, "in the window")
    part = select_tags(read, rules, now=NOW, is_whole=False).without(outside, "in the window")
    unlisted = set(whole.pins) - {each.name for each in listed}
    assert set(part.selected) - outside == set(whole.selected)
    assert {tag: why for tag, why in part.rejected.items() if tag not in unlisted} == whole.rejected


@given(LISTED, RULES)
def test_nothing_grows_old_outside_every_window(listed: list[Listed], rules: TagRules) -> None:
    """Every choice of two runs in a row is in the first run's choice or in the second one's window."""
    first, second = NOW - timedelta(hours=30), NOW
    before = set(select_tags([each for each in listed if (each.pushed_at or NOW) <= first], rules, now=first).selected)
    now = set(select_tags(listed, rules, now=second).selected)
    window = Window(reason="test", start=first, end=second + timedelta(seconds=1))
    times = {each.name: each.pushed_at for each in listed}
    for tag in now - before - set(rules.named):
        assert any(rule.newest for rule in rules.rules) or _is_in(window, rules, Listed(tag, times[tag]))


def test_a_named_tag_is_in_the_window_of_its_push_whatever_age_the_others_need() -> None:
    start = NOW - timedelta(hours=1)
    window = Window(reason="scheduled", start=start, end=NOW)
    rules = tag_rules(names=("latest",), older_than="90d")
    pushed_at = NOW - timedelta(minutes=30)
    assert is_in_window(ListedTag(name="latest", pushed_at=pushed_at), rules, window)
    assert not is_in_window(ListedTag(name="v1", pushed_at=pushed_at), rules, window)
    assert is_in_window(ListedTag(name="v1", pushed_at=pushed_at - timedelta(days=90)), rules, window)


def test_a_tag_is_selected_if_one_of_several_rules_selects_it() -> None:
    listed = ["0.9.4", "0.9.4-full", "0.8.0", "0.8.0-full", "latest"]
    selection = select(listed, {"semver": ">= v0.9.4"}, {"include": ("*-full",)}, {"names": ("latest",)})
    assert selection.selected == ("0.8.0-full", "0.9.4", "0.9.4-full", "latest")
    assert selection.rejected == {
        "0.8.0": "rule 1: not in semver '>= v0.9.4'; rule 2: matches none of '*-full'; rule 3: not among names"
    }
    assert steps_text(selection) == (
        "rule 1: listed 5 → semver 1; rule 2: listed 5 → include 2; rule 3: listed 5 → names 1; together 4"
    )
    narrowed = selection.narrow(tag_rule(include=("*-full",)))
    assert steps_text(narrowed).endswith("together 4 → requested 2")


def test_each_of_several_rules_counts_by_itself() -> None:
    """Tags in ``names`` of one rule are ordinary tags for the others."""
    listed = [ago("a", 1), ago("b", 2), ago("c", 3)]
    selection = select(listed, {"names": ("a",)}, {"newest": 1}, {"names": (f"z@{PIN}", f"c@{PIN}"), "include": ("b",)})
    assert (selection.selected, selection.pins) == (("a", "b", "c", "z"), {"z": PIN, "c": PIN})


def test_what_one_rule_cannot_judge_another_may_select() -> None:
    listed = [Listed("a"), Listed("b"), ago("c", 1)]
    selection = select(listed, {"newest": 1}, {"include": ("a",)}, {"names": ("gone",)})
    assert (selection.selected, selection.rejected) == (("a", "c"), {})
    assert selection.failed == {
        "b": "newest needs a push time, and the source lists none for this tag; add it to names or exclude",
        "gone": "names lists it, but the source has no such tag; correct the name, or remove it",
    }


def test_tags_that_wait_for_their_age_in_one_rule_wait_though_another_rejects_them() -> None:
    selection = select([ago("a", 1), ago("b", 9)], {"older_than": "3d"}, {"include": ("x*",)})
    assert (selection.selected, selection.not_yet) == (("b",), frozenset({"a"}))
    assert select([ago("a", 1)], {"older_than": "3d"}, {"include": ("a",)}).not_yet == set()


def test_a_tag_that_fails_in_one_rule_fails_though_it_waits_in_another() -> None:
    listed = [ago("a", 1), ago("b", 2), Listed("c"), Listed("d")]
    selection = select(listed, {"older_than": "3d"}, {"names": ("e",), "newest": 1, "newest_by": "push_time"})
    assert selection.selected == ("a",)
    assert selection.not_yet == {"b", "d"}
    assert set(selection.failed) == {"c", "e"}
    assert set(selection.rejected) == {"b", "d"}


def test_many_unknown_push_times_are_one_failure() -> None:
    """Pruning spares the others too: they are rejected, but not for good."""
    listed = [ago("new", 1), *(Listed(f"v{number}") for number in range(7)), Listed("x-dev")]
    selection = select(listed, exclude=("*-dev",), newest=1, newest_by="push_time")
    assert selection.selected == ("new",)
    assert selection.failed == {
        "v0": "newest needs push times, and the source lists none for this tag and 6 others (v1, v2, v3, v4, v5, …); "
        "add them to names or exclude"
    }
    unknown = "its push time is unknown, as that of v0, which fails"
    assert selection.rejected == {"x-dev": "excluded by '*-dev'"} | {f"v{number}": unknown for number in range(1, 7)}
    assert selection.not_yet == {f"v{number}" for number in range(1, 7)}


OLD = PushTimes(unknown_is_old=True)


@pytest.mark.parametrize(
    ("rule", "selected", "reason"),
    [
        ({"newest": 2}, ("new", "newer"), "not among the newest 2 by push time"),
        ({"newest": 4}, ("b", "c", "new", "newer"), "not among the newest 4 by push time"),
        (
            {"younger_than": "90d"},
            ("new", "newer"),
            "pushed so long ago that the source no longer lists when, 90d ago or more",
        ),
        ({"older_than": "2d"}, ("a", "b", "c"), ""),
    ],
)
def test_unknown_push_times_are_old_where_a_registry_forgets_old_ones(
    rule: Any, selected: tuple[str, ...], reason: str
) -> None:
    selection = select(
        [ago("new", 1), ago("newer", 0.5), Listed("a"), Listed("b"), Listed("c")], push_times=OLD, **rule
    )
    assert (selection.selected, selection.rejected.get("a", ""), selection.failed) == (selected, reason, {})
    assert selection.notes == ("3 tags without a push time count as older than all others (a, b, c)",)


def test_unknown_push_times_need_no_note_where_no_filter_needs_them() -> None:
    assert select([Listed("v1.0.0")], push_times=OLD, semver="*").notes == ()
    assert select([Listed("a"), ago("b", 1)], push_times=OLD, names=("a",), newest=1).notes == ()
