"""Render the tables in ``docs/tried-registries.md``, from the results of a whole run or from the specification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from testkit.page_block import PageBlock
from testkit.servers import PROGRAMS
from tests.servers.modelled import MODELS
from tests.servers.place import Role
from tests.servers.specification import SPECIFICATION, rows_of

BLOCK = PageBlock(page="tried-registries.md", command="make registries")

Words = Mapping[tuple[str, str], str]
"""Row and name of a server → text of the cell."""


def specified() -> Words:
    """The specified text of every cell."""
    return {(str(row), program.name): row.cell(program).words for row in SPECIFICATION for program in PROGRAMS}


def render(words: Words) -> str:
    """Render a table for each role, with a row per case and a column per server, and one of registries not started."""
    return "\n\n".join([*(_table(role, words) for role in get_args(Role)), _models()])


def _table(role: Role, words: Words) -> str:
    names = [program.name for program in PROGRAMS]
    rows = [(row.words, *(words[str(row), name] for name in names)) for row in rows_of(role)]
    return _markdown((f"as a {role}", *names), rows)


def _models() -> str:
    rows = [(model.registries, model.behaviour, f"`{model.test}`") for model in MODELS]
    return _markdown(("modelled from reports", "behaviour", "test"), rows)


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(map(_line, [head, ("---",) * len(head), *rows]))


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
