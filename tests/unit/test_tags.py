"""Tag rules: which tags are chosen, and why the others are not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from registry_sync.tags import Selection, TagRules, select_tags

NO_TAG = "no tag by the OCI grammar, it cannot be pushed"
GLOBS = st.one_of(st.none(), st.lists(st.sampled_from(["v*", "*-dev", "?1", "[a-c]*", "*"]), min_size=1).map(tuple))
RULES = st.builds(TagRules, include=GLOBS, exclude=GLOBS)
LISTED = st.lists(st.sampled_from(["v1", "v1-dev", "a", "B", "latest", "", "sha256:aa", "v1+x"]) | st.text(max_size=4))


def test_without_rules_every_tag_is_chosen() -> None:
    assert select_tags(["v2", "v1"], TagRules()) == Selection(selected=("v1", "v2"), rejected={})


def test_include_then_exclude_each_with_its_reason() -> None:
    rules = TagRules(include=("v*", "1.*"), exclude=("*-dev", "*-rc?"))
    assert select_tags(["v1", "1.0", "latest", "v1-dev", "v1-rc1", "v1-rc10", "V2"], rules) == Selection(
        selected=("1.0", "v1", "v1-rc10"),
        rejected={
            "V2": "matches none of 'v*', '1.*'",
            "latest": "matches none of 'v*', '1.*'",
            "v1-dev": "excluded by '*-dev'",
            "v1-rc1": "excluded by '*-rc?'",
        },
    )


@pytest.mark.parametrize("listed", [f"sha256:{64 * 'a'}", "v1+build", "", 129 * "a"])
def test_what_is_no_tag_is_left_out_whatever_the_rules_say(listed: str) -> None:
    selection = select_tags([listed], TagRules(include=("*",)))
    assert selection == Selection(selected=(), rejected={listed: NO_TAG})


def test_a_tag_that_is_listed_twice_counts_once() -> None:
    assert select_tags(["v1", "v1"], TagRules()).selected == ("v1",)


@pytest.mark.parametrize(("globs", "problem"), [((), "too_short"), (("",), "string_too_short")])
@pytest.mark.parametrize("key", ["include", "exclude"])
def test_globs_that_choose_nothing_are_refused(key: str, globs: tuple[str, ...], problem: str) -> None:
    written: Any = {key: globs}
    with pytest.raises(ValidationError) as caught:
        TagRules(**written)
    first = caught.value.errors()[0]
    assert (first["type"], first["loc"][0]) == (problem, key)


@given(LISTED, RULES)
def test_each_listed_tag_is_either_selected_or_has_a_reason(listed: list[str], rules: TagRules) -> None:
    selection = select_tags(listed, rules)
    assert sorted([*selection.selected, *selection.rejected]) == sorted(set(listed))
    assert all(selection.rejected.values())


@given(LISTED, RULES)
def test_selecting_from_the_selected_changes_nothing(listed: list[str], rules: TagRules) -> None:
    selected = select_tags(listed, rules).selected
    assert select_tags(selected, rules) == Selection(selected=selected, rejected={})


@given(LISTED.flatmap(lambda listed: st.tuples(st.just(listed), st.permutations(listed))), RULES)
def test_the_order_of_the_listing_has_no_influence(listings: tuple[list[str], list[str]], rules: TagRules) -> None:
    assert select_tags(listings[0], rules) == select_tags(listings[1], rules)


@given(LISTED, LISTED, RULES)
def test_other_tags_have_no_influence(some: list[str], more: list[str], rules: TagRules) -> None:
    assert set(select_tags(some, rules).selected) <= set(select_tags([*some, *more], rules).selected)
