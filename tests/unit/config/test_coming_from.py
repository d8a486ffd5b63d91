"""The page for people who come from another tool: all that it says to write can be loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry_sync.routes.load import load_mirrors
from testkit.project import PROJECT

PAGE = (PROJECT / "docs" / "coming-from.md").read_text(encoding="utf-8")
ROWS = [
    re.split(r"(?<!\\)\|", line)[2]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.endswith("mirrors file |")
]
WRITTEN = [code.replace("\\|", "|") for row in ROWS for code in re.findall("`([^`]+)`", row)]


def mirror_of(written: dict[str, Any]) -> dict[str, Any]:
    """A mirror with an entry of ``repositories:``, or with other keys."""
    is_entry = bool({"repository", "namespace"} & written.keys())
    keys = {"repositories": [written]} if is_entry else {"repositories": ["team/app"], **written}
    return {"source": "quay", "destinations": ["acr"], **keys}


@pytest.mark.parametrize("code", WRITTEN)
def test_what_the_page_says_to_write_can_be_loaded(code: str, tmp_path: Path) -> None:
    document = {
        "registries": {"quay": {"host": "quay.example"}, "acr": {"host": "acr.example"}},
        "mirrors": {"m": mirror_of(yaml.safe_load(code))},
    }
    path = tmp_path / "mirrors.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    assert load_mirrors(path).mirrors.keys() == {"m"}


def test_each_row_says_what_to_write() -> None:
    assert len(ROWS) > 30
    assert [row for row in ROWS if "`" not in row] == [" always "]
