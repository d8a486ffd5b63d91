"""Selections that are too small, and filters that leave nothing."""

from __future__ import annotations

from typing import Any

import pytest

from registry_sync.tags.select import PushTimes
from registry_sync.tags.selection_checks import selects_none, too_few, unanchored_notes
from testkit.settings import tag_rules
from tests.unit.tags.test_select import Listed, ago, select

REMEDY = "correct it, or write min_tags: 0 if that is right"


def none_of(listed: Any, *rules: Any, **rule: Any) -> str:
    return selects_none(select(listed, *rules, **rule), tag_rules(*rules, **rule), "quay.io/a/b")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"include": ("w*",)}, "(listed 3 → include 0), for example not 'v1.1.0': matches none of 'w*'"),
        ({"exclude": ("v*", "lat*")}, "(listed 3 → exclude 0), for example not 'v1.1.0': excluded by 'v*'"),
        (
            {"include": ("v*",), "semver": ">= 2"},
            "(listed 3 → include 2 → semver 0), for example not 'v1.1.0': not in semver '>= 2'",
        ),
        (
            {"younger_than": "1d"},
            "(listed 3 → younger_than 0), for example not 'v1.1.0': pushed 2026-11-22 12:00, 1d ago or more",
        ),
        (
            {"version": "stable-(.+)", "newest": 3},
            (
                "(listed 3 → newest 0), for example not 'v1.1.0': not a version, because version 'stable-(.+)' "
                "does not "
                "match, which newest_by semver requires"
            ),
        ),
    ],
)
def test_filters_that_leave_none_are_named_with_an_example(rule: Any, problem: str) -> None:
    listed = [ago("latest", 1), ago("v1.0.0", 3), ago("v1.1.0", 2)]
    assert none_of(listed, **rule) == f"tags: selects none of the 3 tags of quay.io/a/b {problem}; {REMEDY}"
    assert none_of(listed, **rule, min_tags=0) == ""
    assert none_of(listed, **rule, min_tags=1) == ""


@pytest.mark.parametrize(
    ("listed", "rule"),
    [
        ([], {"include": ("w*",)}),
        (["latest"], {"names": ("latest",), "include": ("w*",)}),
        (["latest"], {"names": ("gone",)}),
        (["latest"], {}),
        (["not:a:tag"], {"include": ("w*",)}),
        ([ago("v1", 1)], {"older_than": "2d"}),
        ([ago("v1", 1)], {"older_than": "2d", "newest": 3}),
        (["v1"], {"newest": 1}),
    ],
)
def test_nothing_is_wrong_with_filters_that_had_nothing_to_judge_or_only_wait(listed: Any, rule: Any) -> None:
    assert none_of(listed, **rule) == ""


def test_filters_beside_names_that_leave_none_are_named() -> None:
    rule: Any = {"names": ("4.0.0",), "include": ("5.*",)}
    assert none_of(["4.0.0", "4.1.0"], **rule) == (
        "tags: selects names only: the other keys select none of the 2 tags of quay.io/a/b "
        f"(listed 2 → include 0 → with names 1), for example not '4.1.0': matches none of '5.*'; {REMEDY}"
    )


def test_each_of_several_rules_has_to_select_a_tag() -> None:
    rules: Any = ({"include": ("v*",)}, {"include": ("w*",)}, {"semver": "9.x", "min_tags": 0}, {"semver": "8.x"})
    assert none_of(["v1.0.0", "x"], *rules) == (
        "rule 2 of tags selects none of the 2 tags of quay.io/a/b (listed 2 → include 0), for example not 'x': matches "
        f"none of 'w*'; {REMEDY}; rule 4 of tags selects none of the 2 tags of quay.io/a/b (listed 2 → semver 0), for "
        f"example not 'x': not a version, which semver '8.x' requires; {REMEDY}"
    )


def test_min_tags_of_each_rule_counts_its_own_tags() -> None:
    rules: Any = ({"include": ("v*",), "min_tags": 2}, {"include": ("w*", "v*"), "min_tags": 2})
    selection = select(["v1", "w1"], *rules)
    assert too_few(selection, tag_rules(*rules), "quay.io/a/b") == (
        "only 1 tags of quay.io/a/b are selected by rule 1 of tags, and min_tags is 2 (listed 2 → include 1)"
    )


@pytest.mark.parametrize(
    ("rule", "notes"),
    [
        (
            {"exclude": ("/rc/",)},
            (
                (
                    "exclude '/rc/' matches no tag as a whole, but is found within 2, such as 'v1-rc1'; patterns match "
                    "whole tags: write '/.*rc.*/'"
                ),
            ),
        ),
        (
            {"include": ("/^v1/", "v2*")},
            (
                (
                    "include '/^v1/' matches no tag as a whole, but is found within 2, such as 'v1-rc1'; "
                    "patterns match "
                    "whole tags: write '/^v1.*/'"
                ),
            ),
        ),
        ({"exclude": ("/.*rc.*/", "/zz/", "*-dev"), "include": ("v*", "/v2/")}, ()),
    ],
)
def test_expressions_that_lack_a_wildcard_are_told(rule: Any, notes: tuple[str, ...]) -> None:
    assert unanchored_notes(tag_rules(**rule), ["v1-rc1", "v1-rc2", "v2"]) == notes


def test_an_unknown_push_time_that_fails_is_said_by_that_failure() -> None:
    selection = select([Listed("a")], newest=1, push_times=PushTimes())
    assert selects_none(selection, tag_rules(newest=1), "quay.io/a/b") == ""
