"""Reading YAML as plain values with their lines, and refusing what is invalid or not supported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.config.reading.yaml_slips import advice_for_line, advice_for_space
from registry_sync.config.reading.yaml_source import Document, Place, read_all_yaml, read_yaml, show_place
from registry_sync.errors import MirrorsFileError
from testkit.project import PROJECT

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8)
INVALID = "this is not valid YAML"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-999, 999).map(lambda n: n / 8) | TEXTS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


def read(text: str) -> Document:
    return read_yaml(text, "mirrors.yaml")


def refusal(text: str) -> str:
    with pytest.raises(MirrorsFileError) as caught:
        read(text)
    return str(caught.value)


def as_lists(value: Any) -> Any:
    """Tuples as lists: safe YAML has no tuples."""
    match value:
        case dict():
            return {key: as_lists(each) for key, each in value.items()}
        case tuple():
            return [as_lists(each) for each in value]
    return value


@given(VALUES, st.booleans())
def test_dumped_values_are_read_back(value: Any, is_flow: bool) -> None:
    document = read(yaml.safe_dump(as_lists(value), default_flow_style=is_flow, allow_unicode=True))
    assert (document.value, document.problems) == (value, [])


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    try:
        document = read(text)
    except MirrorsFileError as error:
        (problem,) = error.problems
    else:
        problem = document.at(())
    assert re.match(r"mirrors\.yaml:\d+(: |$)", problem)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1.10", 1.1),
        ("0o17", "0o17"),
        ("017", "017"),
        ("0", 0),
        ("-12", -12),
        ("0x1F", "0x1F"),
        ("0b1", "0b1"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        ("1.5e+3", "1.5e+3"),
        (".5", 0.5),
        ("+.5", "+.5"),
        ("01.5", "01.5"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("y", "y"),
        ("=", "="),
        ("<<", "<<"),
        ("True", True),
        ("~", None),
        ("", None),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01 10:00:00", "2026-01-01 10:00:00"),
        ("!!str 1.10", "1.10"),
        ('"1.10"', "1.10"),
        ("localhost:5000", "localhost:5000"),
    ],
)
def test_scalars_keep_their_value_and_text(written: str, value: Any) -> None:
    document = read(f"a: {written}\n")
    assert document.value == {"a": value}
    assert type(document.value["a"]) is type(value)
    assert document.texts["a",] == written.removeprefix("!!str ").strip('"')


def test_keys_stay_text() -> None:
    assert read("{on: 1, 1.10: 2, null: 3, 2026-01-01: 4}").value == {"on": 1, "1.10": 2, "null": 3, "2026-01-01": 4}


def test_places_have_lines() -> None:
    document = read("a:\n  - b\n  - c:\n      d\n# comment\ne: {f: 1,\n  g: 2}\n")
    places: list[Place] = [(), ("a",), ("a", 0), ("a", 1), ("a", 1, "c"), ("e",), ("e", "f"), ("e", "g")]
    assert [document.at(place) for place in places] == [f"mirrors.yaml:{line}" for line in (1, 1, 2, 3, 3, 6, 6, 7)]
    assert document.at(("e", "no", "such", 1)) == "mirrors.yaml:6"


@pytest.mark.parametrize(
    ("place", "shown"),
    [((), ""), (("a",), "a"), (("a", 0, 1, "b"), "a[0][1].b"), ((0, "a"), "[0].a")],
)
def test_show_place_joins_keys_and_positions(place: Place, shown: str) -> None:
    assert show_place(place) == shown


def test_empty_document_is_none() -> None:
    assert read("").value is None
    assert read("# only a comment\n").value is None


def test_byte_order_mark_is_ignored() -> None:
    assert read("\ufeffa: 1\n").value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a: 1\n---\nb: 2",
            f"2: {INVALID}: expected a single document in the stream (line 1) but found another document",
        ),
        ("a: 1\nb: \x00", "2: the control character '\\x00' is not allowed in YAML; remove it"),
        ("# é\nb: \x07\n", "2: the control character '\\x07' is not allowed in YAML; remove it"),
        ("a: {}\nb: {<<: 5}", f"2: {INVALID}: << needs a mapping, or a list of mappings"),
        ("a: {}\nb: {<<: [{}, 5]}", f"2: {INVALID}: << needs a mapping, or a list of mappings"),
        ("a: &a [*a]", "1: nested too deeply; does an anchor contain its own alias?"),
        ("a: &a {b: *a}", "1: nested too deeply; does an anchor contain its own alias?"),
        ("a: &a {<<: *a}", "1: nested too deeply; does an anchor contain its own alias?"),
    ],
)
def test_invalid_yaml_is_refused(text: str, problem: str) -> None:
    assert refusal(text) == f"mirrors.yaml:{problem}"


@pytest.mark.parametrize(
    ("text", "line", "advice"),
    [
        ("a:\n  b: [*-dev]", 2, "put it in quotes: '*-dev'"),
        ("a: {b: [v1, *dev], c: 1}", 1, "put it in quotes: '*dev', or write the anchor &dev before it"),
        ("a:\n  - *.1\n  - v1", 2, "put it in quotes: '*.1'"),
        ("a: [\n  v1,\n  *-rc,\n  v2]", 3, "put it in quotes: '*-rc'"),
        ("x: &x {b: 1}\na: {<<: *x, c: [*-y]}", 2, "put it in quotes: '*-y'"),
        ("x-r: &rel {exclude: [*-dev]}", 1, "put it in quotes: '*-dev'"),
        (
            r'x-r: &rel {include: ["/\d/"]}',
            1,
            r"put it in single quotes, where \ is an ordinary character: '/\d/'",
        ),
        ("s: &s @hourly", 1, "put it in quotes: '@hourly'"),
        ("a:\n  - &x *-rc\n", 2, "put it in quotes: '*-rc'"),
        ("a: {b: &c >=1.2, d: 1}", 1, "put it in quotes: '>=1.2'"),
        ("a: &x Mirror: all", 1, "put it in quotes: 'Mirror: all'"),
        ("a: @hourly", 1, "put it in quotes: '@hourly'"),
        ("a: {b: @daily, c: 1}", 1, "put it in quotes: '@daily'"),
        ("a: `x`", 1, "put it in quotes: '`x`'"),
        ("a: %x", 1, "put it in quotes: '%x'"),
        ("%x", 1, "put it in quotes: '%x'"),
        ("a: {{ tag }}-old", 1, "put it in quotes: '{{ tag }}-old'"),
        ("a: {b: copies/{{ name }}, c: 1}", 1, "put it in quotes: 'copies/{{ name }}'"),
        ("a:\n  - {{ name }}-x\n  - b", 2, "put it in quotes: '{{ name }}-x'"),
        ("a: {host: ${HOST}, b: 1}", 1, "put it in quotes: '${HOST}'"),
        ("a: >=1.2 <2", 1, "put it in quotes: '>=1.2 <2'"),
        ("a: {b: >=1.2}", 1, "put it in quotes: '>=1.2'"),
        ("a: || ^3", 1, "put it in quotes: '|| ^3'"),
        ("a: [!rc*]", 1, "put it in quotes: '!rc*'"),
        ("a:\n  - [a-z]*\n  - b", 2, "put it in quotes: '[a-z]*'"),
        ("a: [[a-z]*, b]", 1, "put it in quotes: '[a-z]*'"),
        ("a: Mirror: all  # a comment", 1, "put it in quotes: 'Mirror: all'"),
        ("a: [?, b]", 1, "put it in quotes: '?'"),
        ("a: [/v[0-9]+/, b]", 1, "put it in quotes: '/v[0-9]+/'"),
        ("a: {b: [x, /^[a-z]+-[0-9]{1,2}$/]}", 1, "put it in quotes: '/^[a-z]+-[0-9]{1,2}$/'"),
        ("a: {*: follow}", 1, "put the key in quotes: '*': follow"),
        ("a: {latest: follow, *-rc: keep}", 1, "put the key in quotes: '*-rc': keep"),
        ("a:\n  *-rc: keep\n  b: fail", 2, "put the key in quotes: '*-rc': keep"),
        ("a:\n\tb: 2", 2, "indent this line with spaces, not with tabs"),
        ("a:\n  b: 1\n \tc: 2", 3, "indent this line with spaces, not with tabs"),
        ("m:\n  source:quay\n  b: [c]", 2, "write a space after the colon: 'source: quay'"),
        ("m:\n  b: [c]\n  source:quay", 3, "write a space after the colon: 'source: quay'"),
        ("m:\n  - repository:a/b\n    tags: 1", 2, "write a space after the colon: 'repository: a/b'"),
        ("a:\n  - x\n  -y", 3, "write a space after the dash: '- y'"),
        ("a: 'b\nc: 1", 1, "close the quote: 'b'"),
        ('a:\n  b: "@hourly\n  c: "x"', 2, 'close the quote: "@hourly"'),
        ("a: ['v1, v2]\nb: 'c'", 1, "close the quote: 'v1'"),
        ("a: 'it's'", 1, "write 'it''s'"),
        ('a: "v1"-x', 1, "write 'v1-x'"),
        ('a: "/\\d+/"', 1, "put it in single quotes, where \\ is an ordinary character: '/\\d+/'"),
        ("a: [1,\nb: 2", 2, "close the bracket of line 1"),
        ('r: "{{ name }}\nb: 1', 1, 'close the quote: "{{ name }}"'),
        ("s: */5 * * * *", 1, "put it in quotes: '*/5 * * * *'"),
        ("r: - a/b", 1, "write it as [a/b], or begin a line below with the dash"),
        ("a: {b: 1 c: 2}", 1, "write a comma before 'c:', or put it in quotes: '1 c: 2'"),
        ("a: [", 1, "close the bracket of line 1"),
        ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> x", 1, "resolve this conflict of git, and remove its markers"),
        ("a: {b: [1, 2}", 1, "close the bracket of line 1"),
        ("a:\n  b: 1\n c: 2", 3, "check the indentation, colons and brackets of this line and of those before it"),
        ("a: 1\nb\n", 3, "check the indentation, colons and brackets of this line and of those before it"),
    ],
)
def test_slip_is_found_and_corrected(text: str, line: int, advice: str) -> None:
    message = refusal(text)
    assert message.startswith(f"mirrors.yaml:{line}: {INVALID}: {f'{advice} (' if advice else ''}")
    if re.match("put it in|write a space|write '|close the quote: ", advice) and "anchor" not in advice:
        assert read(_corrected(text, line, advice)).value


PAGE = (PROJECT / "docs" / "mistakes.md").read_text(encoding="utf-8")
DOCUMENTED = re.findall(
    r"^\| `(.+)` \| (.+) \|$", PAGE.partition("the value to paste:")[2].partition("\n\nValues")[0], re.MULTILINE
)


def test_page_has_examples_of_slips() -> None:
    assert len(DOCUMENTED) == 8


@pytest.mark.parametrize(("written", "advice"), DOCUMENTED)
def test_documented_slip_gets_the_documented_answer(written: str, advice: str) -> None:
    message = refusal(f"m:\n  {written}\n  other: [1]\n")
    assert message.startswith(f"mirrors.yaml:2: {INVALID}: {advice} (")


def _corrected(text: str, line: int, advice: str) -> str:
    """The text with the advice followed: what it says to write replaces the same characters without quotes."""
    lines = text.split("\n")
    old = lines[line - 1]
    new = advice.partition(": ")[2] or advice.removeprefix("write ")
    new = new[1:-1] if "after the" in advice else new
    bare = re.sub(r"[\s'\"]", "", new)
    pattern = r"[\s'\"]*".join(map(re.escape, bare))
    lines[line - 1] = re.sub(rf"['\"]*{pattern}['\"]*", lambda _: new, old, count=1)
    return "\n".join(lines)


@pytest.mark.parametrize("path", sorted((PROJECT / "include").rglob("*.yaml")), ids=lambda path: path.name)
def test_lines_of_valid_files_get_no_advice(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert {
        line: advice for line in text.splitlines() if (advice := advice_for_line(line) or advice_for_space(line))
    } == {}


def test_other_programs_files_get_no_advice() -> None:
    with pytest.raises(MirrorsFileError) as caught:
        read_all_yaml("a: {{ .Values.image }}-x\n", "pod.yaml")
    assert str(caught.value) == f"pod.yaml:1: {INVALID}: while parsing a block mapping did not find expected key"


def test_deep_nesting_is_refused() -> None:
    nested = "[" * 5000 + "]" * 5000
    problem = "while increasing flow level exceeded maximum nesting depth"
    assert refusal(nested) == f"mirrors.yaml:1: {INVALID}: {problem}"


def lines_of_doubling(last: int, form: str) -> str:
    """A document of few lines, each with two aliases of the line before."""
    return "\n".join(["a0: &a0 {x: 1}", *(form.format(n, n - 1) for n in range(1, last + 1))])


@pytest.mark.usefixtures("low_bound_of_values")
def test_multiplying_aliases_are_refused() -> None:
    text = lines_of_doubling(40, "a{0}: &a{0} [*a{1}, *a{1}]")
    assert refusal(text) == "mirrors.yaml:1: more than 5000 values; do aliases multiply them?"


def test_merges_do_not_multiply() -> None:
    document = read(lines_of_doubling(60, "a{0}: &a{0} {{<<: [*a{1}, *a{1}]}}"))
    assert document.value["a60"] == {"x": 1}


def test_duplicate_keys_do_not_multiply() -> None:
    document = read(lines_of_doubling(60, "a{0}: &a{0} {{k: *a{1}, k: *a{1}}}"))
    assert document.problems[0] == (("a1", "k"), "duplicate key 'k', in line 2 and line 2; keep one")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{<<: {a: 1}, b: 2}", {"a": 1, "b": 2}),
        ("{a: 2, <<: {a: 1}}", {"a": 2}),
        ("{<<: [{a: 1}, {a: 2, b: 2}]}", {"a": 1, "b": 2}),
        ("{<<: {<<: {a: 1}, b: 1}, b: 2}", {"a": 1, "b": 2}),
        ('{"<<": {a: 1}}', {"<<": {"a": 1}}),
    ],
)
def test_merge_keys_are_resolved(text: str, value: Any) -> None:
    document = read(text)
    assert (document.value, document.problems) == (value, [])


def test_merged_mapping_behind_an_alias_has_no_duplicates() -> None:
    document = read("a: &a {<<: {x: 1}, x: 2}\nb: *a\nc: {<<: *a, x: 3}\n")
    assert document.value == {"a": {"x": 2}, "b": {"x": 2}, "c": {"x": 3}}
    assert document.problems == []


def test_duplicate_keys_are_reported_beside_the_rest() -> None:
    document = read("a: 1\nb: &b\n  c: 1\n  c: 2\na: 3\nd: *b\n")
    assert document.value == {"a": 3, "b": {"c": 2}, "d": {"c": 2}}
    assert document.problems == [
        (("a",), "duplicate key 'a', in line 1 and line 5; keep one"),
        (("b", "c"), "duplicate key 'c', in line 3 and line 4; keep one"),
        (("d", "c"), "duplicate key 'c', in line 3 and line 4; keep one"),
    ]


def test_list_as_a_key_is_reported() -> None:
    document = read("a:\n  b: 1\n  ? [c, d]\n  : 2\n")
    assert document.value == {"a": {"b": 1}}
    assert document.problems == [(("a", "?"), "a key must be a plain string")]
    assert document.at(("a", "?")) == "mirrors.yaml:3"


@pytest.mark.parametrize(
    "written",
    [
        "!!python/name:os.system x",
        "!!python/object/apply:os.system [x]",
        "!!python/object/new:os.system {a: x}",
        "!!set {x}",
        "!!binary aGk=",
        "!vault x",
    ],
)
def test_other_yaml_tags_are_reported(written: str) -> None:
    document = read(f"a: {written}\n")
    tag = written.partition(" ")[0]
    advice = "remove it, or quote the value" if tag.startswith("!!") else f"put it in quotes: '{written}'"
    assert document.problems == [(("a",), f"the YAML tag {tag} is not supported; {advice}")]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("!!int 010", "'010' is not a valid !!int"),
        ("!!int abc", "'abc' is not a valid !!int"),
        ('!!int ""', "'' is not a valid !!int"),
        ("!!float abc", "'abc' is not a valid !!float"),
        ("!!bool maybe", "'maybe' is not a valid !!bool"),
        (5000 * "1", f"{40 * '1'!r} is not a valid !!int"),
    ],
    ids=["octal", "int", "empty int", "float", "bool", "more digits than Python reads"],
)
def test_scalar_that_does_not_fit_its_tag_is_reported(written: str, problem: str) -> None:
    assert read(f"a: {written}\n").problems == [(("a",), problem)]
