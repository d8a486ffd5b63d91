"""``version:``: the part of a tag that semver and newest read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import ConfigurationError
from registry_sync.tags.patterns import parse_pattern
from registry_sync.tags.semver import Version, parse_range, read_version
from registry_sync.tags.version_part import never_in_range, parse_version_part, version_of
from testkit.settings import tag_rules
from tests.unit.tags.test_select import Listed, ago, select

NUMBERS = st.integers(0, 3)
RANGES = st.one_of(
    st.tuples(st.sampled_from(["<", "<=", ">", ">=", "^", "~", ""]), NUMBERS, NUMBERS).map(
        lambda parts: f"{parts[0]}{parts[1]}.{parts[2]}"
    ),
    st.tuples(NUMBERS, NUMBERS, NUMBERS).map(lambda parts: f">={parts[0]}.{parts[1]} <{parts[2]} || {parts[1]}.x"),
)


@pytest.mark.parametrize(
    ("expression", "tag", "version"),
    [
        ("stable-(.+)", "stable-2.14.10", (2, 14, 10)),
        ("^stable-(.*)$", "stable-v2.14", (2, 14, 0)),
        ("stable-(.+)", "x-stable-2.14.10", None),
        ("stable-(.+)", "stable-latest", None),
        ("^(.+)-amd64$", "2023.8.2-amd64", (2023, 8, 2)),
        ("(.+)-amd64", "2023.8.2", None),
        (r"r(\d+)", "r22", (22, 0, 0)),
        (r"(?:rel|r)-(\d+(?:\.\d+)*)", "rel-1.2", (1, 2, 0)),
        ("(?P<version>.+)-full", "1.2.3-full", (1, 2, 3)),
        ("a(.+)?", "a", None),
    ],
)
def test_the_group_is_the_version(expression: str, tag: str, version: tuple[int, int, int] | None) -> None:
    assert version_of(tag, parse_version_part(expression)) == (Version.of(*version) if version else None)


def test_a_number_alone_is_a_version_only_where_version_says_so() -> None:
    assert version_of("22", None) is None


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        (
            "/stable-(.+)/",
            "'/stable-(.+)/' has slashes, but version is always a regular expression; write 'stable-(.+)'",
        ),
        (
            "(a)(.+)",
            (
                "'(a)(.+)' has 2 groups, but version needs one, whose text is the version; write such as "
                "'stable-(.+)', and "
                "(?:…) for other groups"
            ),
        ),
        (
            "stable-(",
            (
                "'stable-(' is not a valid regular expression: missing ): stable-(; the syntax is RE2's: counts "
                "up to 1000, "
                "no back-references or look-around"
            ),
        ),
        (
            "stable:(.+)",
            (
                "'stable:(.+)' matches no tag, because tags have only letters, digits, '.', '_' and '-'; "
                "correct it, or "
                "remove it"
            ),
        ),
        ("v([[:digit:]]+)", "'v([[:digit:]]+)' has [:digit:], which is not supported; write 'v([0-9]+)'"),
    ],
)
def test_invalid_expressions_are_refused(expression: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_version_part(expression)
    assert str(caught.value) == problem


def test_semver_reads_the_part_that_version_marks() -> None:
    listed = ["stable-2.14.10", "stable-2.13.0", "stable-2.14.0-rc.1", "edge-24.1.1", "stable-x", "2.15.0"]
    selection = select(listed, version="stable-(.+)", semver=">= 2.13.4")
    assert selection.selected == ("stable-2.14.10",)
    assert selection.rejected == {
        "2.15.0": "not a version, because version 'stable-(.+)' does not match, which semver '>= 2.13.4' requires",
        "edge-24.1.1": "not a version, because version 'stable-(.+)' does not match, which semver '>= 2.13.4' requires",
        "stable-2.13.0": "not in semver '>= 2.13.4'",
        "stable-2.14.0-rc.1": "a pre-release, by its suffix, which semver '>= 2.13.4' does not include",
        "stable-x": "not a version, because its part 'x' is none, which semver '>= 2.13.4' requires",
    }


def test_newest_goes_by_the_part_that_version_marks_and_then_by_name() -> None:
    listed = ["1.9.0-amd64", "1.10.0-amd64", "1.10-amd64", "1.10.0-arm64", "1.11.0-rc.1-amd64"]
    written: Any = {"version": "(.+)-amd64", "newest": 1}
    assert select(listed, **written).selected == ("1.10.0-amd64",)
    assert select(listed, **written, prereleases=True).selected == ("1.11.0-rc.1-amd64",)
    assert select(listed, **written).rejected == {
        "1.10-amd64": "not among the newest 1 versions",
        "1.10.0-arm64": "not a version, because version '(.+)-amd64' does not match, which newest_by semver requires",
        "1.11.0-rc.1-amd64": "a pre-release, by its suffix, and prereleases is false",
        "1.9.0-amd64": "not among the newest 1 versions",
    }
    by_time = [ago("1.1.0-amd64", 1), ago("1.2.0-amd64", 2), Listed("x")]
    assert select(by_time, version="(.+)-amd64", semver="*", newest=1, newest_by="push_time").selected == (
        "1.1.0-amd64",
    )


@pytest.mark.parametrize(
    "written",
    [
        {"include": ("v*", "stable-*"), "semver": "1.x"},
        {"include": ("[0-9]*",), "semver": "1.x"},
        {"include": ("1.2.*", "2.*"), "semver": ">=2"},
        {"include": ("v2.*",), "semver": ">=2.0.0-rc.1 <2.0.0"},
        {"include": ("v1.2.3-*", "*-amd64"), "semver": "1.x"},
        {"include": ("/v?1.*/",), "newest": 3, "newest_by": "semver"},
        {"include": ("stable-2.*",), "semver": "2.x", "version": "stable-(.+)"},
        {"include": ("stable-*",), "newest": 3},
        {"include": ("stable-*",), "newest": 3, "newest_by": "name"},
    ],
)
def test_patterns_that_may_match_a_version_go_beside_semver(written: Any) -> None:
    assert tag_rules(**written).applies


@pytest.mark.parametrize(
    ("include", "semver", "is_never"),
    [
        ("1.2.*", ">=2", True),
        ("v1.*", ">=2", True),
        ("2.*", "<2", True),
        ("2.*", "<=2", False),
        ("1.9*", ">=1.10", False),
        ("1.9.*", ">=1.10", True),
        ("1.9-*", ">=1.10", True),
        ("1.*", "1.4.2", False),
        ("1.5.*", "1.4.2", True),
        ("1.4.*", "~1.3 || ^1.4", False),
        ("3.*", "1.x || 2.x", True),
        ("1.*", "*", False),
        ("1*", ">=2", False),
        ("[12].*", ">=3", False),
        ("99999999999999999999.*", "1.x", False),
    ],
)
def test_beginnings_of_patterns_are_compared_with_ranges(include: str, semver: str, is_never: bool) -> None:
    assert never_in_range([parse_pattern(include)], parse_range(semver)) is is_never


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.sampled_from(["", "-rc.1", "-0"]), RANGES)
def test_no_pattern_is_refused_that_matches_a_version_in_the_range(
    major: int, minor: int, patch: int, suffix: str, semver: str
) -> None:
    tag = f"{major}.{minor}.{patch}{suffix}"
    for prereleases in (False, True):
        versions = parse_range(semver, prereleases=prereleases)
        if (version := read_version(tag)) and versions.holds(version):
            assert not never_in_range([parse_pattern(f"{major}.{minor}.*")], versions)
            assert not never_in_range([parse_pattern(f"v{major}.*")], versions)
