"""Forms of names: patterns may share a name unless their texts rule it out, and examples match their pattern."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.tags.name_forms import NamePattern, example_names, form_text, forms_of, may_share_name
from registry_sync.tags.patterns import parse_pattern
from tests.unit.tags.test_patterns import EXPRESSIONS


def names(text: str, base: str = "") -> NamePattern:
    return NamePattern(base=base, pattern=parse_pattern(text))


def may_share(first: str, second: str, *excluded: str) -> bool:
    return may_share_name([names(first)], [names(second)], map(names, excluded))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("*", "*", True),
        ("*-app", "app-*", True),
        ("a*", "b*", False),
        ("*-app", "*-operator", False),
        ("a?", "a??", False),
        ("a?", "a*bc", False),
        ("[a-c]*", "b*", True),
        ("[a-c]*", "z*", False),
        ("*[a-c]", "*z", False),
        ("a*b*c", "*z*", True),
        ("[!a]*", "a*", False),
        ("team/*", "team/a?", True),
        ("app", "app", True),
        ("app", "*-app", False),
        ("my-app", "*-app", True),
        ("my-app", "/[a-z]+/", False),
        ("*", "/[a-z]+/", True),
        ("a*", "/b+/", False),
        ("a*", "/(?i)b+/", True),
        ("a*", "/b|c/", False),
        ("a*", "/b|(a|c)/", True),
        ("abc", "/(a|b)bc/", True),
        ("abx", "/(a|b)bc/", False),
        ("*-app", r"/.*\.app/", False),
        ("a*", r"/\d+/", False),
    ],
)
def test_patterns_that_may_have_a_name_in_common(first: str, second: str, expected: bool) -> None:
    assert may_share(first, second) is expected
    assert may_share(second, first) is expected


@pytest.mark.parametrize(
    ("first", "second", "excluded", "expected"),
    [
        ("*", "a-*", ["a*"], False),
        ("*", "a*", ["a-*"], True),
        ("*", "[a-c]x", ["[a-d]?"], False),
        ("*", "[a-e]x", ["[a-d]?"], True),
        ("*", "/(foo|bar)/", ["foo", "bar"], False),
        ("*", "/(foo|bar)/", ["foo"], True),
        ("*", "/(foo|bar)/", ["/[a-z]+/"], False),
        ("*", "/(a|b)c/", ["/(a|b)c/"], False),
        ("*", "/(a|b)c/", ["*c"], False),
        ("*", "a*", ["/[a-c].*/"], False),
        ("*", "/(a|b)-app/", ["/.*-app/"], False),
        ("*", "a*", ["/[a-c]+/"], True),
        ("*", "a*", ["/a(x|y)/"], True),
    ],
)
def test_names_that_are_excluded_do_not_count(first: str, second: str, excluded: list[str], expected: bool) -> None:
    assert may_share(first, second, *excluded) is expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("sub/*", "*", True), ("other*", "*", False), ("sub/a", "/[a-c]/", True), ("/sub.(a|b)/", "[c-d]", True)],
)
def test_patterns_of_nested_namespaces_are_compared_as_whole_names(first: str, second: str, expected: bool) -> None:
    assert may_share_name([names(first, "x/")], [names(second, "x/sub/")]) is expected


@pytest.mark.parametrize(
    ("pattern", "forms"),
    [
        ("a*?", ["a*?"]),
        ("/a+b{2}/", ["a**"]),
        ("/^(?:a|b[0-9])$/", ["a", "b?"]),
        ("/a|b(c|d)?e/", ["a", "b*e"]),
        ("/(a)(b)/", ["**"]),
        (r"/\Qa|b\E/", ["*"]),
        (r"/\pL/", ["*"]),
        ("/(?i)ab/", ["*"]),
        ("/(?P<n>a)b/", ["*"]),
    ],
)
def test_forms_of_a_pattern(pattern: str, forms: list[str]) -> None:
    assert [form_text(form) for form in forms_of(parse_pattern(pattern))] == forms


@pytest.mark.parametrize(
    ("pattern", "first"),
    [
        ("*", "any"),
        ("[b-d]?", "b"),
        ("/.*-app/", "any-app"),
        ("/[k-m]+-op/", "k-op"),
        ("/v[0-9]+/", "v0"),
        ("/(foo|bar)/", "foo"),
    ],
)
def test_examples(pattern: str, first: str) -> None:
    assert example_names(parse_pattern(pattern))[0].startswith(first)


def test_patterns_without_examples() -> None:
    for pattern in ("/(foo|bar)-x/", "/(?i)bc/", "[!a-z0-9]", "[_]"):
        assert example_names(parse_pattern(pattern)) == ()


NAMES = st.text(alphabet="ab-", min_size=1, max_size=4)
GLOBS = st.lists(st.sampled_from(["a", "b", "-", "*", "?", "[ab]", "[!a]"]), min_size=1, max_size=4).map("".join)
PATTERNS = GLOBS | EXPRESSIONS.map(lambda expression: f"/{expression}/")


@given(PATTERNS, PATTERNS, PATTERNS, NAMES)
def test_patterns_that_match_one_name_share_it(first: str, second: str, excluded: str, name: str) -> None:
    is_shared = parse_pattern(first).matches(name) and parse_pattern(second).matches(name)
    assert may_share(first, second) or not is_shared
    assert may_share(first, second, excluded) or not is_shared or parse_pattern(excluded).matches(name)


@given(PATTERNS)
def test_examples_match_their_pattern(pattern: str) -> None:
    assert all(map(parse_pattern(pattern).matches, example_names(parse_pattern(pattern))))
