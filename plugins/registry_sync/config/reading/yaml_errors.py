"""Translate PyYAML's errors into messages with the line, and the corrected text where it can be found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import yaml

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml: the same, slower
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

from registry_sync.config.reading.yaml_slips import advice_for_line, advice_for_space
from registry_sync.errors import MirrorsFileError

__all__ = ("LONGEST_LINE", "Loader", "explained", "split_lines")


@contextmanager
def explained(text: str, name: str, *, advises: bool = False) -> Iterator[None]:
    """Read ``text``, of the file ``name``, in the block.

    :param advises: look for the slip behind an error. Not for files of other programs, which may be templates of YAML.
    :raises MirrorsFileError: with the line, when it is not valid YAML.
    """
    try:
        yield
    except yaml.MarkedYAMLError as error:
        raise MirrorsFileError((_explain(text, name, error, advises=advises),)) from error
    except yaml.reader.ReaderError as error:
        character = chr(error.character) if isinstance(error.character, int) else str(error.character)
        line = text.partition(character)[0].count("\n") + 1
        problem = f"{name}:{line}: the control character {character!r} is not allowed in YAML; remove it"
        raise MirrorsFileError((problem,)) from error
    except RecursionError as error:
        raise MirrorsFileError((f"{name}:1: nested too deeply; does an anchor contain its own alias?",)) from error


def _explain(text: str, name: str, error: yaml.MarkedYAMLError, *, advises: bool) -> str:
    mark = error.problem_mark or error.context_mark
    line = min(mark.line + 1, len(split_lines(text))) if mark else 1
    first_line = error.context_mark.line + 1 if error.context_mark else line
    begin = f"(line {first_line})" if first_line != line else ""
    problem = " ".join(filter(None, (error.context, begin, error.problem)))
    line, advice = _find_slip(text, line, first_line, error.problem) if advises else (line, "")
    return f"{name}:{line}: this is not valid YAML: {f'{advice} ({problem})' if advice else problem}"


def _find_slip(text: str, line: int, first_line: int, problem: str | None) -> tuple[int, str]:
    """The line and the correction of the slip behind an error in ``line``; no correction when none is found.

    :param first_line: the line in which what was being read begins.
    :param problem: PyYAML's words.
    """
    lines, layout = split_lines(text), _read_layout(text, line)
    slips = _slips(lines, layout, _nearby(lines, line, first_line))
    if slip := next(slips, None):
        return slip
    is_unclosed = layout.open_bracket < line or first_line > len(lines) or "expected ',' or" in str(problem)
    if layout.open_bracket and is_unclosed:
        return line, f"close the bracket of line {layout.open_bracket}"
    return line, _OTHER_ADVICE if problem in _LAYOUT_PROBLEMS else ""


def _slips(lines: list[str], layout: _Layout, nearby: list[int]) -> Iterator[tuple[int, str]]:
    """The slips that a line shows by itself, with the numbers of their lines, the surest first."""
    for number, line in enumerate(lines, 1):
        if re.match(r"(<<<<<<<|>>>>>>>) ", line):
            yield number, "resolve this conflict of git, and remove its markers"
    for number in nearby:
        if re.match(r" *\t", lines[number - 1]):
            yield number, "indent this line with spaces, not with tabs"
    if layout.open_quote:
        yield layout.open_quote, advice_for_line(lines[layout.open_quote - 1]) or "close the quote"
    for number in nearby:
        line, in_flow = lines[number - 1], number in layout.flow_lines
        if advice := advice_for_line(line, in_flow=in_flow, anchors=layout.anchors) or advice_for_space(line):
            yield number, advice


_OTHER_ADVICE = "check the indentation, colons and brackets of this line and of those before it"

_LAYOUT_PROBLEMS = (
    "mapping values are not allowed in this context",
    "did not find expected key",
    "did not find expected '-' indicator",
    "could not find expected ':'",
)
"""PyYAML's words for lines that do not fit together."""


def split_lines(text: str) -> list[str]:
    """The lines of a text as YAML counts them: https://yaml.org/spec/1.1/#b-break."""
    return re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)


def _nearby(lines: list[str], line: int, first_line: int) -> list[int]:
    """The numbers of the lines that may have the slip, the likeliest first."""
    written = [number for number, text in enumerate(lines[: line - 1], 1) if text.strip()]
    numbers = dict.fromkeys((line, first_line, *written[-1:]))
    return [number for number in numbers if number <= len(lines) and len(lines[number - 1]) <= LONGEST_LINE]


LONGEST_LINE = 500
"""Longer lines get no advice, which would be as long."""


@dataclass(slots=True)
class _Layout:
    """The form of a text up to an error, in line numbers; 0 where there is none.

    ``open_quote``: a quoted text begins there and ends in the line of the error, or nowhere. ``open_bracket``: the
    innermost bracket that is not closed at the end of that line. ``flow_lines`` begin within brackets.
    """

    anchors: set[str] = field(default_factory=set)
    flow_lines: set[int] = field(default_factory=set)
    open_quote: int = 0
    open_bracket: int = 0


def _read_layout(text: str, last_line: int) -> _Layout:
    layout, brackets = _Layout(), list[int]()
    with suppress(yaml.YAMLError):
        _read_tokens(text, last_line, layout, brackets)
    layout.open_bracket = brackets[-1] if brackets else 0
    return layout


def _read_tokens(text: str, last_line: int, layout: _Layout, brackets: list[int]) -> None:
    line = 1
    try:
        for token in yaml.scan(text, Loader=Loader):
            begin, end = token.start_mark.line + 1, token.end_mark.line + 1
            if begin > last_line:
                return
            layout.flow_lines |= set(range(line + 1, begin + 1)) if brackets else set()
            line = begin
            match token:
                case yaml.AnchorToken():
                    layout.anchors.add(token.value)
                case yaml.FlowSequenceStartToken() | yaml.FlowMappingStartToken():
                    brackets.append(begin)
                case yaml.FlowSequenceEndToken() | yaml.FlowMappingEndToken() if brackets:
                    brackets.pop()
                case yaml.ScalarToken(style="'" | '"') if begin < end and end >= last_line:
                    layout.open_quote = begin
    except yaml.scanner.ScannerError as error:
        if error.context_mark and "quoted scalar" in str(error.context) and "end of stream" in str(error.problem):
            layout.open_quote = error.context_mark.line + 1
        layout.flow_lines |= set(range(line + 1, last_line + 1)) if brackets else set()
        raise
