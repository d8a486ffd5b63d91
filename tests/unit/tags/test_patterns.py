r"""Globs and regular expressions: as Python's ``re`` where both can, in linear time, and refused where not.

The expressions are RE2's. It accepts what our own matcher refused until then (``^`` and ``$`` anywhere, ``(?i)``,
``\b``), counts up to 1000 instead of 2000 states, and words its refusals itself.
"""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import ConfigurationError
from registry_sync.tags.patterns import first_match, parse_pattern
from registry_sync.text import quoted


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
    assert parse_pattern(pattern).text == pattern
    assert parse_pattern(pattern).matches(text) is expected


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("/", "'/' matches no name; a regular expression has a / at its end as well"),
        (r"/v1\..*", r"'/v1\..*' matches no name; a regular expression has a / at its end as well"),
        ("v[0-9", "'v[0-9' matches no name; its [ has no ]"),
        ("v]0[", "'v]0[' matches no name; its [ has no ]"),
    ],
)
def test_what_matches_nothing_is_refused(pattern: str, problem: str) -> None:
    """In ``exclude`` and ``keep`` it would leave out and keep nothing, in silence."""
    with pytest.raises(ConfigurationError) as caught:
        parse_pattern(pattern)
    assert str(caught.value) == problem


def test_first_match_returns_the_first_pattern() -> None:
    patterns = [parse_pattern(each) for each in ("a*", "/[ab]+/", "*")]
    assert first_match(patterns, "ba") == parse_pattern("/[ab]+/")
    assert first_match(patterns[:1], "ba") is None
    assert first_match((), "ba") is None


ADVICE = "the syntax is RE2's: counts up to 1000, no back-references or look-around"


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("v[", "missing ]: ["),
        ("a(", "missing ): a("),
        ("a**", "bad repetition operator: **"),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("((a{50}){50}){50}", "invalid repetition size: {50}"),
        (r"(\pL{30}){30}", "pattern too large - compile failed"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("(?=a)b", "invalid perl operator: (?="),
        ("(?<!a)b", "invalid perl operator: (?<!"),
        ("a*+", "bad repetition operator: *+"),
    ],
)
def test_expressions_that_are_refused(expression: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_pattern(f"/{expression}/")
    assert str(caught.value) == f"'/{expression}/' is not a valid regular expression: {problem}; {ADVICE}"


def test_an_expression_that_is_not_text_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="surrogates not allowed"):
        parse_pattern("/\udcff/")


@pytest.mark.parametrize("expression", ["a{,2}", "[^{]{,2}", r"\\{,2}", "a{99999999999}", "a{x}", "{", "a{2"])
def test_braces_that_are_not_counts_are_refused(expression: str) -> None:
    """RE2 would read them as text, which no name has."""
    with pytest.raises(ConfigurationError) as caught:
        parse_pattern(f"/{expression}/")
    assert str(caught.value) == (
        f"{quoted(f'/{expression}/')} has a {{ that does not start a count; write {{2}}, {{2,}} or {{0,2}}"
    )


@pytest.mark.parametrize(
    ("expression", "name"),
    [("[^{]+", "ab"), ("[{]?x", "x"), ("[]{]?x", "x"), (r"[\]{]?x", "x"), ("x{00012}", 12 * "x"), ("x{0,02}y", "xxy")],
)
def test_braces_of_sets_and_counts_with_leading_zeros_are_accepted(expression: str, name: str) -> None:
    assert parse_pattern(f"/{expression}/").matches(name)


@pytest.mark.parametrize(
    ("expression", "name"), [("(?i)a", "A"), (r"\bfoo", "foo"), ("a(^b)?", "a"), (r"\p{L}{2}", "ab")]
)
def test_expressions_of_which_re2_knows_more(expression: str, name: str) -> None:
    assert parse_pattern(f"/{expression}/").matches(name)


def test_names_that_are_not_text_match_like_others() -> None:
    """A registry may list any string of JSON."""
    assert parse_pattern("*").matches("a\udcff")
    assert not parse_pattern("/[a-z]+/").matches("a\udcff")


def test_an_expression_that_is_nested_deeply_is_matched() -> None:
    assert parse_pattern(f"/{3000 * '(a|'}b{3000 * ')'}/").matches("b")


@pytest.mark.parametrize("pattern", ["", "//"])
def test_patterns_that_match_nothing(pattern: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_pattern(pattern)
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
        parse_pattern(glob)
    assert str(caught.value) == (
        f"{quoted(glob)} matches no name, because names do not contain {quoted(character)}; globs have *, ? and [a-z]; "
        "write a regular expression as /…/"
    )


def test_globs_of_valid_characters_are_accepted() -> None:
    for glob in ("v1.2-rc_3", "*", "?", "[!a]*", "[^,]", "team/app", "[a-z]", "V*"):
        assert str(parse_pattern(glob)) == glob


@pytest.mark.parametrize("expression", ["(a+)+", "(a|a)*", "(a*)*(a*)*", "(.*a){12}", "(a|aa)+", "(a?){60}a{60}"])
def test_catastrophic_expressions_end_at_once(expression: str) -> None:
    """For all of these ``re`` needs longer than this universe has, or nearly."""
    started = time.monotonic()
    assert not parse_pattern(f"/{expression}/").matches(127 * "a" + "!")
    assert time.monotonic() - started < 2


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\.", r"\w", "1", "[]a]", "-", r"\-", "[a-z0-9]"])
COUNTS = st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,2}", "{2,}", "*?", "+?", "??", "{1,2}?"])


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
    assert parse_pattern(f"/{expression}/").matches(text) == (re.fullmatch(expression, text, re.DOTALL) is not None)


@pytest.mark.parametrize("glob", [f"sha256:{'a' * 64}", f"v1@sha256:{'a' * 64}", f"sha512:{'a' * 128}"])
def test_a_digest_is_not_a_pattern(glob: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_pattern(glob)
    character = "@" if "@" in glob else ":"
    assert str(caught.value) == (
        f"{quoted(glob)} matches no name, because names do not contain {quoted(character)}; an image by its digest is "
        "written in names:, as TAG@sha256:…, with any TAG of your own"
    )
