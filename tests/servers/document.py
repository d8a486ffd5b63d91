"""Render the tables in ``docs/registries.md``, from the results of a whole run or from the specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from testkit.page_block import PageBlock
from testkit.servers import PROGRAMS
from tests.servers.place import Role
from tests.servers.specification import SPECIFICATION, rows_of

BLOCK = PageBlock(page="registries.md", command="make registries")

Words = Mapping[tuple[str, str], str]
"""Row and name of a server → text of the cell."""


def specified() -> Words:
    """The specified text of every cell."""
    return {(str(row), program.name): row.cell(program).words for row in SPECIFICATION for program in PROGRAMS}


def render(words: Words) -> str:
    """Render a Markdown table for each role: a row per case, and a column per server."""
    return "\n\n".join(_table(role, words) for role in get_args(Role))


def _table(role: Role, words: Words) -> str:
    names = [program.name for program in PROGRAMS]
    rows = [(row.words, *(words[str(row), name] for name in names)) for row in rows_of(role)]
    return "\n".join(map(_line, [(f"as a {role}", *names), ("---",) * (len(names) + 1), *rows]))


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
