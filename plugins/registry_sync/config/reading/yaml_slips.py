"""Read a line of YAML as its author meant it, and write the values that YAML reads differently with quotes.

YAML gives a meaning to characters with which globs, templates and presets begin: https://yaml.org/spec/1.2.2/#53-indicator-characters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from registry_sync.text import quoted


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar of a line, as its author meant it. ``in_flow``: within ``[…]`` or ``{…}``."""

    text: str
    in_flow: bool


def advice_for_line(line: str, *, in_flow: bool = False, anchors: Collection[str] = ()) -> str:
    """The correction of the first value of ``line`` that YAML does not read as it is meant; empty when there is none.

    >>> advice_for_line("  include: [v1, *-dev]")
    "put it in quotes: '*-dev'"
    >>> advice_for_line("  backup_tag: {{ tag }}-old")
    "put it in quotes: '{{ tag }}-old'"
    >>> advice_for_line("  include: ['*-dev']")
    ''

    :param in_flow: the line begins within ``[…]`` or ``{…}``.
    :param anchors: the names that aliases may have.
    """
    values = (value for value in _values(line, in_flow=in_flow) if value.text.removeprefix("*") not in anchors)
    return next(filter(None, map(_advice, values)), "")


def advice_for_space(line: str) -> str:
    """The correction of a key or list item without the space behind its ``:`` or ``-``; empty when there is none.

    >>> advice_for_space("  source:quay")
    "write a space after the colon: 'source: quay'"
    """
    if key := re.match(r"\s*(?:- +)*([A-Za-z_]\w*):(?!/|\d+\s*$)(\S.*?)\s*$", line):
        return f"write a space after the colon: '{key[1]}: {key[2]}'"
    if item := re.match(r"\s*-([\w*/'\"].*?)\s*$", line):
        return f"write a space after the dash: '- {item[1]}'"
    return ""


def _values(line: str, *, in_flow: bool) -> Iterator[Value]:
    """The scalars of a line, without keys."""
    begin = _BEGIN.match(line)
    rest = _without_comment(line[begin.end() if begin else 0 :]).strip()
    if in_flow or _is_collection(rest):
        yield from _values_in_flow(rest)
    elif rest:
        yield Value(rest, in_flow=False)


_KEY = r"""(?:"[^"]*"|'[^']*'|[^\s\[\]{},"'#&*!|>%@`:][^\[\]{},"'#:]*?)\s*:(?=\s|$)"""
"""A key with its colon."""

_ANCHOR = r"(?:&[^\s\[\]{},]+\s+)?"
"""The anchor of a value, if it has one: ``&name``."""

_BEGIN = re.compile(rf"\s*(?:- +)*(?:{_KEY}\s*)?{_ANCHOR}")
"""The beginning of a line up to its value."""


def _is_collection(text: str) -> bool:
    """True for ``[…]`` and ``{…}``, also unclosed; false for a glob such as ``[a-z]*`` and for ``{{ tag }}-old``."""
    if text[:1] not in ("[", "{") or text.startswith("{{"):
        return False
    end = _end_of_collection(text)
    return end is None or not text[end:].strip(" ,]}")


def _end_of_collection(text: str) -> int | None:
    """The position after the bracket that closes the first one; ``None`` where it is not closed."""
    depth = 0
    for part in _PARTS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(part[0], 0)
        if depth <= 0:
            return part.end()
    return None


_PARTS = re.compile(
    r"""
    (?<![\w.-])"(?:[^"\\]|\\.)*" | (?<![\w.-])'(?:[^']|'')*'
    | \{\{.*?\}\} | \{%.*?%\} | \$\{[^}]*\}  # of templates, and variables
    | (?<=[\[,\s])/(?:[^/\\]|\\.)+/(?=\s*[\],])  # regular expressions
    | [\w.*?-]*\[[^\s,\[\]]*\](?=[\w*?.-])[\w*?.-]*  # globs
    | [\[\]{},] | [^\[\]{},]
    """,
    re.VERBOSE,
)
"""The parts of a text in ``[…]`` or ``{…}`` that a comma or bracket does not split."""


def _values_in_flow(text: str) -> Iterator[Value]:
    for item in _items(text):
        value = re.sub(rf"^(?:{_KEY}\s*)?{_ANCHOR}", "", item).strip()
        if value:
            yield Value(value, in_flow=True)


def _items(text: str) -> Iterator[str]:
    """The texts between commas and brackets."""
    item = ""
    for part in _PARTS.finditer(text):
        if part[0] in "[]{},":
            yield item.strip()
            item = ""
        else:
            item += part[0]
    yield item.strip()


_QUOTED = r"""(?<![\w.-])"(?:[^"\\]|\\.)*"|(?<![\w.-])'(?:[^']|'')*'"""
"""A quoted text; an apostrophe within a word is a letter."""


def _without_comment(text: str) -> str:
    parts = re.finditer(rf"{_QUOTED}|(?:^|\s)\#.*|.", text)
    return "".join(part[0] for part in parts if not part[0].lstrip().startswith("#"))


def _advice(value: Value) -> str:
    text = value.text
    if text[0] in "\"'":
        return _advice_for_quotes(text)
    if not _needs_quotes(value):
        return ""
    if text.startswith("- "):
        return f"write it as [{text[2:].strip()}], or begin a line below with the dash"
    if value.in_flow and (key := re.search(r"\s(\w+):\s", text)):
        return f"write a comma before '{key[1]}:', or put it in quotes: {quoted(text)}"
    if key := re.fullmatch(r"([*&!%@`][^\s:]*):\s+(\S.*)", text):
        return f"put the key in quotes: {quoted(key[1])}: {key[2]}"
    alias = re.fullmatch(r"\*(\w+)", text)
    or_anchor = f", or write the anchor &{alias[1]} before it" if alias else ""
    return f"put it in quotes: {quoted(text)}{or_anchor}"


def _advice_for_quotes(text: str) -> str:
    """The correction of a text that begins with a quote, unless it is a valid one with or without a comment."""
    if re.fullmatch(r"""(?:"(?:[^"\\]|\\[0abtnvfre "/\\NLP_xuU\t])*"|'(?:[^']|'')*')\s*:?(?:\s+\#.*)?""", text):
        return ""
    quote = text[0]
    if quote not in text[1:]:
        return f"close the quote: {text.rstrip()}{quote}"
    if quote == '"' and re.fullmatch(r'"[^"]*"', text):
        return f"put it in single quotes, where \\ is an ordinary character: {quoted(text[1:-1])}"
    inner = text[1:-1] if text.endswith(quote) else text.replace(quote, "")
    return f"write {quoted(inner)}"


_INDICATORS = "*&!%@`|>,[]{}#"
"""Characters with which a scalar without quotes cannot begin."""

_BLOCK_HEADER = re.compile(r"[|>][-+1-9]{0,2}")


def _needs_quotes(value: Value) -> bool:
    text = value.text
    if text[0] in "|>" and not value.in_flow:
        return _BLOCK_HEADER.fullmatch(text) is None
    if text[0] in _INDICATORS or re.match(r"[?:-](\s|$)" if value.in_flow else r"[:-]\s", text):
        return not re.fullmatch(r"(?:&[\w-]+|!!\S+)(?:\s+.*)?", text)
    return bool(re.search(r":\s|:$|\s#", text)) or (value.in_flow and bool(re.search(r"[\[\]{}]", text)))
