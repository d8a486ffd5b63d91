"""Tables and numbers of bytes for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.text_table import human_bytes, table, table_with_texts


def lines(text: str) -> list[str]:
    return text.split("\n")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.4, "999 B"),
        (999.5, "1.0 kB"),
        (1000, "1.0 kB"),
        (1049, "1.0 kB"),
        (999_940, "999.9 kB"),
        (999_950, "1.0 MB"),
        (999_960, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (999_949_999, "999.9 MB"),
        (999_950_000, "1.0 GB"),
        (999_960_000_000, "1.0 TB"),
        (1_234_567_000_000_000, "1234.6 TB"),
    ],
)
def test_bytes_as_people_read_them(count: float, text: str) -> None:
    assert human_bytes(count) == text


@given(st.floats(0, 999_949_999_999))
def test_no_number_of_bytes_has_four_digits_before_its_point(count: float) -> None:
    assert len(human_bytes(count).split(" ", maxsplit=1)[0].partition(".")[0]) <= 3


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert lines(table(("a", "number"), [("first", "1"), ("b", "1000000")], right=frozenset({1}))) == [
        "a       number",
        "─────  ───────",
        "first        1",
        "b      1000000",
    ]


def test_a_table_without_rows_is_its_headings() -> None:
    assert lines(table(("tag", "reason"), [])) == ["tag  reason", "───  ──────"]
    assert lines(table_with_texts(("tag", "reason"), [])) == ["tag  reason", "───  ──────"]


def test_texts_that_do_not_fit_stand_below_in_the_order_of_their_rows() -> None:
    fits, long, longer = 115 * "f", 116 * "l", 300 * "m"
    rows = [("a", longer), ("b", fits), ("c", long), ("d", longer)]
    assert lines(table_with_texts(("tag", "why"), rows)) == [
        "tag  why",
        f"───  {115 * '─'}",
        "a    [1]",
        f"b    {fits}",
        "c    [2]",
        "d    [1]",
        "",
        f"[1] {longer}",
        "",
        f"[2] {long}",
    ]


def test_short_texts_stay_in_a_table_whose_other_columns_are_wide() -> None:
    assert lines(table_with_texts(("tag", "why"), [(130 * "t", 72 * "x"), ("u", 73 * "x")]))[2:] == [
        f"{130 * 't'}  {72 * 'x'}",
        f"u{129 * ' '}  [1]",
        "",
        f"[1] {73 * 'x'}",
    ]
