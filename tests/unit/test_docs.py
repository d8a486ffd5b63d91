"""Pages, headings and tests that the documentation names exist, and each page is in the index."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from registry_sync.routes.load import load_mirrors
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


AT_THE_TOP = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md"]
ALL_PAGES = [*AT_THE_TOP, *sorted((PROJECT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def text_of(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """Anchors of headings as GitHub makes them: lower case, hyphens for spaces, without punctuation."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    for file, anchor in LINK.findall(text_of(page)):
        target = page.parent / file if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors_of(target), f"{file}#{anchor}"


OUTSIDE = ["plugins", "dags", "include", "deploy", "secrets", "scripts", "demo", "bench", "testkit", "tests"]
AT_TOP = ["Makefile", "Dockerfile", "docker-compose.yaml", "pyproject.toml"]
NAMED_PAGE = re.compile(r"(?<![\w/])docs/([\w-]+\.md)(?:#([\w-]+))?")


def named_pages() -> set[tuple[str, str]]:
    """Pages and anchors that messages, comments and configuration files name, without those of other projects."""
    folders = (PROJECT / folder for folder in OUTSIDE)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    texts = (
        path.read_text(encoding="utf-8", errors="ignore") for path in [*files, *(PROJECT / name for name in AT_TOP)]
    )
    return {(found[1], found[2] or "") for text in texts for found in NAMED_PAGE.finditer(text)}


def test_each_page_that_a_message_or_a_file_names_exists() -> None:
    named = named_pages()
    assert {("connections.md", ""), ("transfer.md", "windows-images")} <= named
    assert [file for file, _ in named if not (PROJECT / "docs" / file).exists()] == []
    anchors = {file: anchors_of(PROJECT / "docs" / file) for file, _ in named}
    assert [(file, anchor) for file, anchor in named if anchor and anchor not in anchors[file]] == []


def test_the_index_has_each_page_once() -> None:
    index = (PROJECT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[[^]]+\]\((\S+\.md)\) \|", index, re.MULTILINE)
    assert sorted(listed) == sorted({page.name for page in (PROJECT / "docs").glob("*.md")} - {"README.md"})


@pytest.mark.parametrize("page", ["README.md", "docs/first-mirror.md", "docs/notifications.md"])
def test_each_whole_file_of_a_page_can_be_loaded(page: str, tmp_path: Path) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    whole = [
        block
        for block in blocks
        if re.match(r" *registries:\n", block) and re.search(r"^ *mirrors:\n", block, re.MULTILINE)
    ]
    assert whole[:1] == blocks[:1]
    path = tmp_path / "mirrors.yaml"
    for block in whole:
        path.write_text(block)
        assert load_mirrors(path).mirrors
