"""Ranges of versions as npm's own semver answers (``npm_ranges/README.md``), and tags that are read as versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import ConfigurationError
from registry_sync.tags.semver import Version, parse_range, read_version

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "npm_ranges" / "table.json").read_text())


def version(text: str) -> Version:
    """A version with all its parts, as semver.org writes it."""
    numbers, _, prerelease = text.partition("+")[0].partition("-")
    major, minor, patch = map(int, numbers.split("."))
    return Version.of(major, minor, patch, prerelease)


VERSIONS = [version(each) for each in TABLE["versions"]]


def answers(text: str, *, prereleases: bool) -> str | None:
    try:
        parsed = parse_range(text, prereleases=prereleases)
    except ConfigurationError:
        return None
    return "".join("+" if parsed.holds(each) else "-" for each in VERSIONS)


def test_the_table_is_large_and_has_ranges_that_are_none() -> None:
    assert (len(VERSIONS) > 100, len(TABLE["ranges"]) > 480) == (True, True)
    assert sum(default is None for _, default, _ in TABLE["ranges"]) > 40


@pytest.mark.parametrize(("text", "default", "with_prereleases"), TABLE["ranges"])
def test_every_answer_is_that_of_npm(text: str, default: str | None, with_prereleases: str | None) -> None:
    assert answers(text, prereleases=False) == default
    assert answers(text, prereleases=True) == with_prereleases


def test_versions_have_the_order_that_they_have_at_npm() -> None:
    assert sorted(VERSIONS) == VERSIONS


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("1.2.3", "1.2.3"),
        ("v1.2.3", "1.2.3"),
        ("1.2", "1.2.0"),
        ("v1.2", "1.2.0"),
        ("v1", "1.0.0"),
        ("v1-rc.1", "1.0.0-rc.1"),
        ("1.4.2-alpine", "1.4.2-alpine"),
        ("3.19-alpine3", "3.19.0-alpine3"),
        ("1.2.3-rc.1", "1.2.3-rc.1"),
        ("1.2.3-0a1b2c3", "1.2.3-0a1b2c3"),
        ("1.2.3_build.5", "1.2.3"),
        ("1.2.3-rc.1_build-5", "1.2.3-rc.1"),
        ("0.0.0", "0.0.0"),
    ],
)
def test_tags_are_read_as_versions(tag: str, expected: str) -> None:
    assert read_version(tag) == version(expected)


@pytest.mark.parametrize(
    "tag",
    [
        *("latest", "", "1", "22", "20261124", "1234567", "V1.2.3", "v", "release-1.2", "1.2.3.4", "01.2.3", "1.02"),
        *("2026.01.31", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3_", "1.x", f"{2**53}.0.0", "1.2.3+build", "1.2 "),
    ],
)
def test_other_tags_are_not_versions(tag: str) -> None:
    assert read_version(tag) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("latest", "'latest' is not a version"),
        ("^", "'' is not a version"),
        ("1.x.3", "a number follows an x"),
        ("==1.2.3", "there is one '=' too many"),
        (f"{2**53}.0.0", f"numbers go up to {2**53 - 1}"),
    ],
)
def test_invalid_ranges_are_refused(text: str, why: str) -> None:
    advice = "write such as '>=1.2 <2', '^1.4', '~1.4.2', '1.x', '1.2 - 1.4' or two of them with || between"
    with pytest.raises(ConfigurationError) as caught:
        parse_range(text)
    assert str(caught.value) == f"{text!r} is not a version range: {why}; {advice}"


NUMBERS = st.integers(0, 3)
PLAIN = st.builds(Version.of, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", "", "0", "rc.1", "rc.2", "x"]))
WORDS = st.sampled_from([text for text, default, _ in TABLE["ranges"] if default is not None and "||" not in text])


@given(PLAIN, WORDS, WORDS)
def test_alternatives_hold_what_one_of_them_holds(each: Version, one: str, other: str) -> None:
    both = parse_range(f"{one} || {other}", prereleases=True)
    assert both.holds(each) == any(parse_range(text, prereleases=True).holds(each) for text in (one, other))


@given(PLAIN, WORDS)
def test_with_prereleases_releases_are_judged_alike(each: Version, text: str) -> None:
    if each.is_release:
        assert parse_range(text, prereleases=True).holds(each) == parse_range(text).holds(each)


@given(st.text(alphabet="0123456789.xX*v^~<>=-| +arc", max_size=12))
def test_any_text_is_a_range_or_an_error_of_ours(text: str) -> None:
    answers(text, prereleases=False)
