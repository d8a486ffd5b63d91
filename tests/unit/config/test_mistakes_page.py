"""Each answer that ``docs/mistakes.md`` documents is what ``validate`` prints for what is written beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from registry_sync.cli.main import main
from testkit.project import PROJECT

PAGE = (PROJECT / "docs" / "mistakes.md").read_text(encoding="utf-8").partition("## Answers\n")[2]
ROWS = re.findall(r"^\| (`.+?) \| (.+) \|$", PAGE, re.MULTILINE)

DIGEST = f"sha256:{'0' * 64}"
OF_TAGS = re.compile(
    r"(include|exclude|semver|version|prereleases|newest|newest_by|older_than|younger_than|names|min_tags):"
)
FILE = """\
registries:
  quay: {{host: quay.io{registry}}}
  dist: {{host: registry.example}}
  acr: {{host: acr.example}}
mirrors:
  m:
    source: dist
    destinations: [acr]
    repositories:
      - {entry}
"""


def file_with(written: str) -> str:
    """A mirrors file with the keys that a row has in backticks, at the place where they belong."""
    keys = re.findall(r"`([^`]+)`", written)
    if keys[0].startswith("create_repository:"):
        return FILE.format(registry=f", {keys[0]}", entry="a/b")
    entry = "namespace: giantswarm" if "namespace" in written else "repository: a/b"
    if OF_TAGS.match(keys[0]) and "namespace" not in written:
        keys = ["tags:", *(f"  {key}" for key in keys if OF_TAGS.match(key))]
    return FILE.format(registry="", entry="\n        ".join([entry, *keys]))


def test_the_page_has_rows() -> None:
    assert len(ROWS) == len([line for line in PAGE.splitlines() if line.startswith("| ")]) - PAGE.count("| written |")


@pytest.mark.parametrize(("written", "answer"), ROWS)
def test_a_documented_mistake_gets_the_documented_answer(
    written: str, answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text(file_with(written.replace("@sha256:…", f"@{DIGEST}")))
    assert main(["validate", str(path)]) == 2
    printed = capsys.readouterr()
    for part in filter(None, re.split(r" …$", answer)):
        assert part in f"{printed.out}{printed.err}".replace(DIGEST, "sha256:…")
