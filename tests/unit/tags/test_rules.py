"""Tag rules as they are written: what they mean together, and what of them needs more than a tag's name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from registry_sync.config.as_json import as_json
from registry_sync.config.entries.tag_rules import TagRuleEntry
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest
from registry_sync.tags.patterns import parse_pattern
from registry_sync.tags.rules import FILTERS, TagRule, only_tags, parse_duration, parse_named
from testkit.settings import tag_rule, tag_rules

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DIGEST = Digest("sha256", 64 * "a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1h", timedelta(hours=1)), ("12h", timedelta(hours=12)), ("90d", timedelta(days=90)), ("6w", timedelta(days=42))],
)
def test_durations_are_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text).length == expected


@pytest.mark.parametrize(
    "text", ["", "90", "0d", "1.5d", "-1d", "90D", "90 d", "d", "1d12h", "30m", "1y", "100000d", "٣d"]
)
def test_invalid_durations_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_duration(text)
    assert str(caught.value) == f"expected a duration such as 12h, 90d or 6w, got {text!r}"


@pytest.mark.parametrize("text", ["25h", "6w", "14286w", "99999w"])
def test_durations_stay_as_they_are_written(text: str) -> None:
    assert str(parse_duration(text)) == text
    written = as_json(tag_rules(older_than=text))
    assert written == {"older_than": text}
    assert tag_rules(**written) == tag_rules(older_than=text)


def test_names_may_be_pinned_to_a_digest() -> None:
    assert parse_named("latest") == ("latest", None)
    assert parse_named(f"v1@{DIGEST}") == ("v1", DIGEST)
    assert tag_rules(names=("latest", f"v1@{DIGEST}")).named == {"latest": None, "v1": DIGEST}


@pytest.mark.parametrize(
    ("rules", "applies", "has_filters", "needs_whole_listing"),
    [
        ({}, False, False, False),
        ({"names": ("a",)}, True, False, False),
        ({"include": ("a",)}, True, True, False),
        ({"exclude": ("a",)}, True, True, False),
        ({"semver": "1.x", "prereleases": True}, True, True, False),
        ({"younger_than": "1d"}, True, True, False),
        ({"older_than": "1d"}, True, True, True),
        ({"newest": 1}, True, True, True),
        ({"min_tags": 1}, False, False, True),
    ],
)
def test_rules_know_what_they_need(rules: Any, applies: bool, has_filters: bool, needs_whole_listing: bool) -> None:
    written = tag_rule(**rules)
    assert (written.applies, written.has_filters, written.needs_whole_listing) == (
        applies,
        has_filters,
        needs_whole_listing,
    )


def test_every_rule_is_known_to_the_order_in_which_they_apply() -> None:
    assert set(TagRuleEntry.model_fields) == {*FILTERS, "names", "prereleases", "version", "newest_by", "min_tags"}


@pytest.mark.parametrize(
    ("rules", "order", "push_time_keys"),
    [
        ({"newest": 1}, "push_time", ("newest",)),
        ({"newest": 1, "semver": "1.x"}, "semver", ()),
        ({"newest": 1, "semver": "1.x", "newest_by": "push_time"}, "push_time", ("newest",)),
        ({"newest": 1, "newest_by": "name"}, "name", ()),
        ({"older_than": "1d", "younger_than": "2d"}, "push_time", ("older_than", "younger_than")),
    ],
)
def test_newest_has_an_order(rules: Any, order: str, push_time_keys: tuple[str, ...]) -> None:
    written = tag_rule(**rules)
    assert (written.order, written.push_time_keys) == (order, push_time_keys)


def test_a_tag_enters_when_it_is_old_enough() -> None:
    assert TagRule().enters_at(NOON) == NOON
    assert tag_rule(older_than="2d").enters_at(NOON) == NOON + timedelta(days=2)
    assert tag_rule(older_than="2d").enters_at(None) is None


def test_tags_of_a_run_are_patterns() -> None:
    assert only_tags([]) == TagRule()
    assert only_tags(["v1*", "/v2/"]) == TagRule(include=(parse_pattern("v1*"), parse_pattern("/v2/")))
    with pytest.raises(ConfigurationError) as caught:
        only_tags(["v1*", "/v[/"])
    assert str(caught.value) == (
        "'/v[/' is not a valid regular expression: missing ]: [; the syntax is RE2's: counts up to 1000, no "
        "back-references or look-around"
    )


@pytest.mark.parametrize(("patterns", "problem"), [((), "too_short"), (("",), "string_too_short")])
@pytest.mark.parametrize("key", ["include", "exclude"])
def test_patterns_that_choose_nothing_are_refused(key: str, patterns: tuple[str, ...], problem: str) -> None:
    written: Any = {key: patterns}
    with pytest.raises(ValidationError) as caught:
        TagRuleEntry(**written)
    first = caught.value.errors()[0]
    assert (first["type"], first["loc"][0]) == (problem, key)


@pytest.mark.parametrize(
    ("rules", "by_name", "is_all_by_name"),
    [
        ({}, (), False),
        ({"names": ("a",)}, ("a",), True),
        ({"names": ("a",), "exclude": ("b",)}, ("a",), False),
        ({"names": ("a",), "include": ("b",)}, ("a", "b"), True),
        ({"include": ("b", "c*")}, ("b",), False),
        ({"include": ("b",), "newest": 1}, ("b",), True),
    ],
)
def test_the_tags_that_are_written_out(rules: Any, by_name: tuple[str, ...], is_all_by_name: bool) -> None:
    written = tag_rules(**rules)
    assert (written.by_name, written.is_all_by_name) == (by_name, is_all_by_name)
