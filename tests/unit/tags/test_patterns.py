"""Globs and regular expressions: as Python's ``re`` where both can, in linear time, and refused where not."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import ConfigurationError
from registry_sync.tags.patterns import check_pattern, common_name, first_match, matches


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("v*", "v1", True),
        ("v*", "V1", False),
        ("*-dev", "v1-dev", True),
        ("v?", "v10", False),
        ("[a-c]*", "beta", True),
        ("/v[0-9]+/", "v10", True),
        ("/v[0-9]+/", "v10-dev", False),
        ("/v[0-9]+/", "a-v10", False),
        ("/^v[0-9]+$/", "v10", True),
        (r"/v\d+(\.\d+)*/", "v1.2.3.4", True),
        (r"/v\d+(\.\d+)*/", "v1.2.", False),
        ("/(alpha|beta)-[^x]/", "beta-y", True),
        ("/(alpha|beta)-[^x]/", "beta-x", False),
        ("/a{2,3}/", "aaa", True),
        ("/a{2,3}/", "aaaa", False),
        ("/a.c/", "a\nc", True),
        (r"/a\.c/", "abc", False),
        ("team/*", "team/app", True),
    ],
)
def test_patterns_match_whole_names(pattern: str, text: str, expected: bool) -> None:
    assert check_pattern(pattern) == pattern
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("/", "'/' matches no name; a regular expression has a / at its end as well"),
        (r"/v1\..*", r"'/v1\\..*' matches no name; a regular expression has a / at its end as well"),
        ("v[0-9", "'v[0-9' matches no name; its [ has no ]"),
        ("v]0[", "'v]0[' matches no name; its [ has no ]"),
    ],
)
def test_what_matches_nothing_is_refused(pattern: str, problem: str) -> None:
    """In ``exclude`` and ``keep`` it would leave out and keep nothing, in silence."""
    with pytest.raises(ConfigurationError) as caught:
        check_pattern(pattern)
    assert str(caught.value) == problem


def test_first_match_returns_the_first_pattern() -> None:
    assert first_match(("a*", "/[ab]+/", "*"), "ba") == "/[ab]+/"
    assert first_match(("a*",), "ba") is None
    assert first_match((), "ba") is None


_KNOWN = "is not known here; there are . [] () | * + ? {} and \\d \\s \\w"


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("v[", "unterminated character set at position 1"),
        ("a(", "missing ), unterminated subpattern at position 1"),
        ("a**", "multiple repeat at position 2"),
        ("a{99999999999}", "the repetition number is too large"),
        ("a{2001}", "it is too large; write smaller counts in {}"),
        ("((a{50}){50}){50}", "it is too large; write smaller counts in {}"),
        (r"(a)\1", rf"\1 {_KNOWN}"),
        (r"\bfoo", rf"\b {_KNOWN}"),
        ("(?=a)b", f"(? {_KNOWN}"),
        ("(?i)a", f"(? {_KNOWN}"),
        ("a^b", f"^ {_KNOWN}"),
        ("a$b", f"$ {_KNOWN}"),
        ("a*+", f"*+ {_KNOWN}"),
    ],
)
def test_expressions_that_are_refused(expression: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_pattern(f"/{expression}/")
    assert str(caught.value) == f"'/{expression}/' is no regular expression: {problem}"


def test_an_expression_that_is_nested_without_end() -> None:
    with pytest.raises(ConfigurationError):
        check_pattern(f"/{3000 * '('}{3000 * ')'}/")


@pytest.mark.parametrize("pattern", ["", "//"])
def test_patterns_that_match_nothing(pattern: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_pattern(pattern)
    assert str(caught.value) == "it is empty; write a value, or remove it"


@pytest.mark.parametrize(
    ("glob", "character"),
    [
        *(("v{1,2}", "{"), ("v1,v2", ","), ("!v1", "!"), ("^v1$", "^"), (" v1", " "), ("v1|v2", "|"), ("a:v1", ":")),
        *(("v1\\.2", "\\"), ("v1.+", "+"), ("[ab]]", "]"), ("v1\n", "\n"), ("ä*", "ä"), ("(v1)", "(")),
    ],
)
def test_globs_that_match_nothing(glob: str, character: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_pattern(glob)
    assert str(caught.value) == (
        f"{glob!r} matches no name, since none has {character!r} in it; globs have *, ? and [a-z], and a regular "
        "expression stands between two /"
    )


def test_globs_of_valid_characters_are_accepted() -> None:
    for glob in ("v1.2-rc_3", "*", "?", "[!a]*", "[^,]", "team/app", "[a-z]", "V*"):
        assert check_pattern(glob) == glob


@pytest.mark.parametrize("expression", ["(a+)+", "(a|a)*", "(a*)*(a*)*", "(.*a){12}", "(a|aa)+", "(a?){60}a{60}"])
def test_catastrophic_expressions_end_at_once(expression: str) -> None:
    """For all of these ``re`` needs longer than this universe has, or nearly."""
    started = time.monotonic()
    assert not matches(f"/{expression}/", 127 * "a" + "!")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("wanted", "unwanted", "name"),
    [
        (["*"], [], "a"),
        (["*"], ["?"], "aa"),
        (["/.*-operator/"], [], "a-operator"),
        (["[!a]*", "*z"], ["z", "?z"], "baz"),
        (["/v[0-9]+/", "*1?"], [], "v10"),
        (["team/*"], [], "team/a"),
        (["[]a-]b"], [], "ab"),
        (["a*"], ["/a.*/"], None),
        (["[z-a]"], [], None),
        (["[[&&]b"], [], None),
        (["[^a]b"], [], "ab"),
        (["a[b"], [], None),
        (["A"], [], None),
        (["/(a?){60}-/"], [], None),
    ],
)
def test_a_name_that_patterns_have_in_common(wanted: list[str], unwanted: list[str], name: str | None) -> None:
    assert common_name(wanted, unwanted) == name


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\.", r"\w", "1", "[]a]", "-", r"\-", "[a-z0-9]"])
COUNTS = st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{,2}", "{2,}", "*?", "+?", "??", "{1,2}?"])


def _larger(smaller: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(smaller, smaller).map("".join),
        st.tuples(smaller, smaller).map(lambda both: f"({both[0]}|{both[1]})"),
        smaller.map(lambda each: f"(?:{each})"),
        st.tuples(smaller, COUNTS).map(lambda both: f"({both[0]}){both[1]}"),
    )


EXPRESSIONS = st.recursive(ATOMS, _larger, max_leaves=6)


@given(EXPRESSIONS, st.text(alphabet="ab1.-]", max_size=6))
def test_expressions_match_what_they_match_in_python(expression: str, text: str) -> None:
    assert matches(f"/{expression}/", text) == (re.fullmatch(expression, text, re.DOTALL) is not None)
