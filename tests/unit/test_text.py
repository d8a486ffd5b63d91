"""Text from outside, made fit for logs and terminals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import RefusedError, TemporaryError
from registry_sync.text import LONGEST_LINE, LONGEST_TEXT, harmless, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("v1.2.3", "v1.2.3"),
        ("grün → 蓝", "grün → 蓝"),
        ("a\nb\r\nc\td", "a b c d"),
        ("a\u2028b\x85c", "a b c"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("gpj.exe\u202egnp", "gpj.exe\\u202egnp"),
        ("a\u2066b\u200bc\ufeff", "a\\u2066b\\u200bc\\ufeff"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("\ud800", "\\ud800"),
        ("<script>alert(1)</script>|`$(id)`", "<script>alert(1)</script>|`$(id)`"),
    ],
)
def test_one_line_escapes_control_characters(text: str, shown: str) -> None:
    """Characters that are dangerous in HTML, Markdown or a shell are harmless in a log, and escaped elsewhere."""
    assert one_line(text) == shown


def test_a_long_line_is_cut() -> None:
    assert one_line("a" * 10_000_000, 20) == "a" * 19 + "…"
    assert one_line(" " * 10_000_000 + "a", 20) == "…"
    assert len(one_line("\x1b" * 100, 20)) == 20


@given(st.text())
def test_one_line_is_printable_and_changes_no_more(text: str) -> None:
    shown = one_line(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50
    assert one_line(shown, 50) == shown


@given(st.text())
def test_a_message_keeps_its_lines(text: str) -> None:
    shown = harmless(text)
    assert all(part.isprintable() for part in shown.split("\n"))
    assert shown.count("\n") == text.count("\n")
    assert harmless(shown) == shown


def test_a_long_message_is_cut() -> None:
    assert harmless("a" * (LONGEST_LINE + 1)) == "a" * LONGEST_LINE + "…"
    kept = "a\n" * (LONGEST_TEXT // 2)
    assert harmless("a\n" * LONGEST_TEXT) == f"{kept}\n… and {LONGEST_TEXT} characters more"


@pytest.mark.parametrize("error", [RefusedError, TemporaryError])
def test_every_error_is_made_harmless(error: type[RefusedError]) -> None:
    assert str(error("tag \x1b[31mred")) == "tag \\x1b[31mred"
    assert len(str(error("x" * 10_000_000))) < LONGEST_TEXT
