"""Patterns of tags that can match no tag are refused, each with the reason and what to write instead."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import ConfigurationError
from registry_sync.tags.patterns import parse_pattern
from registry_sync.tags.tag_patterns import parse_tag_pattern
from registry_sync.text import quoted
from tests.unit.tags.test_patterns import EXPRESSIONS

CHARACTERS = "because tags have only letters, digits, '.', '_' and '-'"
FIRST = "because tags begin with a letter, a digit or '_'"
LONG = "because tags have at most 128 characters"
GLOBS = "globs have *, ? and [a-z]; write a regular expression as /…/"
REMOVE = "correct it, or remove it"


def instead(pattern: str) -> str:
    return f"patterns match whole tags; write {quoted(pattern)} for tags that contain it"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("team/*", f"{CHARACTERS}; {GLOBS}"),
        ("[:/]*", f"{CHARACTERS}; {GLOBS}"),
        ("[z-a]x", f"{CHARACTERS}; {GLOBS}"),
        ("-rc", f"{FIRST}; {GLOBS}"),
        (".*", f"{FIRST}; {GLOBS}"),
        (129 * "a", f"{LONG}; {GLOBS}"),
        ("/release:.*/", f"{CHARACTERS}; {REMOVE}"),
        ("/v1 v2/", f"{CHARACTERS}; {REMOVE}"),
        (r"/v1\+build/", f"{CHARACTERS}; {REMOVE}"),
        (r"/\s+/", f"{CHARACTERS}; {REMOVE}"),
        (r"/[^\w.-]/", f"{CHARACTERS}; {REMOVE}"),
        ("/a,b|c d/", f"{CHARACTERS}; {REMOVE}"),
        ("/-rc/", f"{FIRST}; {instead('/.*-rc.*/')}"),
        ("/[.]x/", f"{FIRST}; {instead('/.*[.]x.*/')}"),
        ("/.{129}/", f"{LONG}; {REMOVE}"),
        ("/[a-z]{100}.{29,}/", f"{LONG}; {REMOVE}"),
        ("/^$/", "because tags are not empty; remove it"),
        ("/()/", "because tags are not empty; remove it"),
        ("/a^b/", f"because it has text before ^ or after $; {REMOVE}"),
        ("/v1$-rc/", f"because it has text before ^ or after $; {REMOVE}"),
        (r"/^14\./", "because it would have to end with '.'; " + instead(r"/^14\..*/")),
        (r"/^(?:1|2)\.|3\./", "because it would have to end with '.'; " + instead(r"/.*(?:^(?:1|2)\.|3\.).*/")),
        ("/^v1-/", f"because it would have to end with '-'; {instead('/^v1-.*/')}"),
        ("/.*-/", f"because it would have to end with '-'; {instead('/.*-.*/')}"),
    ],
)
def test_patterns_that_match_no_tag_are_refused(pattern: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_tag_pattern(pattern)
    assert str(caught.value) == f"{quoted(pattern)} matches no tag, {problem}"


@pytest.mark.parametrize(
    ("pattern", "tag"),
    [
        (r"/^2\.4\.[0-9]*-alpine$/", "2.4.7-alpine"),
        (r"/^v?\d+(\.\d+){0,2}(-.+)?$|^latest$/", "latest"),
        (r"/1\.11\.(?:[0-9]?[0-9]).*/", "1.11.12-x"),
        (r"/^3\.(8|9)$/", "3.9"),
        ("/(?i)release-.*/", "RELEASE-1"),
        (r"/v[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9\.]+)?/", "v1.2.3-rc.1"),
        (r"/\bv1\b.*/", "v1-x"),
        ("/v.*?-full/", "v1-full"),
        (r"/v1[.=]$/", "v1."),
        ("/a{128}/", 128 * "a"),
        ("/a,b|c/", "c"),
        ("*-dev", "v1-dev"),
        ("_*", "_x"),
        ("[.v]1", "v1"),
        (r"/\x3av1|v1/", "v1"),
    ],
)
def test_patterns_of_the_wild_are_accepted(pattern: str, tag: str) -> None:
    assert parse_tag_pattern(pattern).matches(tag)


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("/[[:digit:]]+/", "[:digit:], which is not supported; write '/[0-9]+/'"),
        ("[[:digit:]]*", "[:digit:], which is not supported; write '[0-9]*'"),
        ("[:alpha:]*", "[:alpha:], which is not supported; write '[A-Za-z]*'"),
        ("/[^[:upper:][:digit:]._]x/", "[:upper:], which is not supported; write '/[^A-Z0-9._]x/'"),
        (r"/\[?v[[:alnum:]]/", r"[:alnum:], which is not supported; write '/\[?v[A-Za-z0-9]/'"),
        ("/[[:space:]]/", "[:space:], which is not supported; write the characters themselves, such as [0-9]"),
        ("/[[:^digit:]]/", "[:^digit:], which is not supported; write the characters themselves, such as [0-9]"),
        ("/v[[.a.]]/", "[.a.], which is not supported; write the characters themselves, such as [0-9]"),
        ("v[x[=a=]]", "[=a=], which is not supported; write the characters themselves, such as [0-9]"),
    ],
)
def test_posix_classes_are_refused_with_the_same_pattern_without_them(pattern: str, advice: str) -> None:
    for parse in (parse_pattern, parse_tag_pattern):
        with pytest.raises(ConfigurationError) as caught:
            parse(pattern)
        assert str(caught.value) == f"{quoted(pattern)} has {advice}"


@pytest.mark.parametrize("pattern", ["[.]1", "/v[.]2/", "/v[.=.]2/", r"/\[:digit:\]|v/", "/v[:=]?/"])
def test_sets_that_only_look_like_posix_are_accepted(pattern: str) -> None:
    assert parse_pattern(pattern).text == pattern


@given(
    EXPRESSIONS | st.text(alphabet="ab1-.^$[]|(){}*+?,:\\", max_size=8),
    st.from_regex("[ab1_][ab1._-]{0,5}[ab1_]", fullmatch=True),
)
def test_no_pattern_is_refused_that_matches_a_tag(expression: str, tag: str) -> None:
    """Tags that end with a dot or a hyphen are the exception: such an expression means tags that contain it."""
    try:
        pattern = parse_pattern(f"/{expression}/")
    except ConfigurationError:
        return
    if pattern.matches(tag):
        assert parse_tag_pattern(pattern.text) == pattern


@pytest.mark.parametrize("pattern", [r"/^14\./", r"/-\d+/", r"/-rc\.[0-9]+/"])
def test_advice_can_be_pasted_into_a_mirrors_file(pattern: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_tag_pattern(pattern)
    pasted = yaml.safe_load(str(caught.value).partition("whole tags; write ")[2].partition(" for tags")[0] or "''")
    assert parse_tag_pattern(pasted).text == pasted != pattern
