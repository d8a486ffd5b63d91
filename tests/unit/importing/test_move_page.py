"""The page for people who come from another tool: its commands run, and all that it says to write can be loaded."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry_sync.cli.arguments import FAILED, OK
from registry_sync.cli.main import main
from registry_sync.routes.load import load_mirrors
from testkit.project import PROJECT

PAGE = (PROJECT / "docs" / "move.md").read_text(encoding="utf-8")

ROWS = [
    row
    for table in re.findall(r"^\| [^\n]* \| mirrors file \|\n\|[-|]+\n((?:\|[^\n]*\n)+)", PAGE, re.MULTILINE)
    for row in (re.split(r"(?<!\\)\|", line)[2] for line in table.splitlines())
]
WRITTEN = [code.replace("\\|", "|") for row in ROWS for code in re.findall("`([^`]+)`", row)]

SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))

TOOLS = [name for name, text in SECTIONS.items() if "$ registry-sync import" in text]


def mirror_of(written: dict[str, Any]) -> dict[str, Any]:
    """A mirror with an entry of ``repositories:``, or with other keys."""
    is_entry = bool({"repository", "namespace"} & written.keys())
    keys = {"repositories": [written]} if is_entry else {"repositories": ["team/app"], **written}
    return {"source": "quay", "destinations": ["acr"], **keys}


@pytest.mark.parametrize("code", [code for code in WRITTEN if re.match(r"\{|\w+: ", code)])
def test_what_the_page_says_to_write_can_be_loaded(code: str, tmp_path: Path) -> None:
    document = {
        "registries": {
            "quay": {"host": "quay.example", "kind": "quay"},
            "harbor": {"host": "harbor.example"},
            "acr": {"host": "acr.example"},
        },
        "mirrors": {"m": mirror_of(yaml.safe_load(code))},
    }
    path = tmp_path / "mirrors.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    assert load_mirrors(path).mirrors.keys() == {"m"}


def test_each_row_says_what_to_write() -> None:
    assert len(ROWS) > 60
    assert len(TOOLS) == 7
    assert [row for row in ROWS if "`" not in row] == [" always "]


@pytest.mark.parametrize("tool", TOOLS)
def test_the_commands_of_a_section_run_with_its_files(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r"```(?:yaml|sh)\n# (\S+)\n(.*?)```", SECTIONS[tool], re.DOTALL):
        Path(name).write_text(text)
    commands = re.findall(r"^\$ registry-sync (.*)$", SECTIONS[tool], re.MULTILINE)
    assert commands
    for command in commands:
        assert main(shlex.split(command)) in (OK, FAILED)
    assert main(["validate", "mirrors.yaml"]) == OK
    assert load_mirrors(Path("mirrors.yaml")).mirrors


def test_the_first_commands_run_with_the_file_of_regsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(r"# regsync.yml\n(.*?)```", PAGE, re.DOTALL)
    Path("regsync.yml").write_text(text)
    head = PAGE.partition("\n## ")[0]
    assert [main(shlex.split(command)) for command in re.findall(r"^\$ registry-sync (.*)$", head, re.MULTILINE)] == [
        OK,
        OK,
    ]
