"""Tests named in documentation exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from testkit.project import PROJECT

NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
PAGES = [page for page in (PROJECT / "docs").glob("*.md") if NAMED.search(page.read_text(encoding="utf-8"))]


def names_of_tests(path: Path) -> set[str]:
    """Tests of a module, as ``function`` or ``Class::function``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    for owner in (each for each in tree.body if isinstance(each, ast.ClassDef)):
        found |= {f"{owner.name}::{each.name}" for each in owner.body if isinstance(each, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    missing = [f"{file}::{name}" for file, name in named if name not in names_of_tests(PROJECT / file)]
    assert missing == []


def test_every_threat_names_a_test() -> None:
    text = (PROJECT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line for line in text.partition("## Threats")[2].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 30
    assert [row for row in rows if not NAMED.search(row)] == []


def test_the_page_of_the_operator_shows_the_example_that_is_tested() -> None:
    page = (PROJECT / "docs" / "operators.md").read_text(encoding="utf-8")
    example = (PROJECT / "include" / "examples" / "own_dag.py").read_text(encoding="utf-8")
    code = example[example.index("from __future__") :]
    assert f"```python\n{code}```\n" in page
