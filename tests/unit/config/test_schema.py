"""The JSON Schema for editors: it is current, accepts valid files, and refuses invalid ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from registry_sync.cli.main import main
from registry_sync.config.reading.yaml_source import read_yaml
from registry_sync.routes.load import json_schema, load_mirrors
from testkit.project import PROJECT

SCHEMA_FILE = PROJECT / "include" / "mirrors.schema.json"
FILES = sorted([PROJECT / "include" / "mirrors.yaml", *(PROJECT / "include" / "examples").glob("*.yaml")])
NAMES = ("mirrors-file", "names", "platforms", "changed-tags", "transfer", "tags")
PAGES = [PROJECT / "docs" / f"{name}.md" for name in NAMES]
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", "".join(map(Path.read_text, PAGES)), re.MULTILINE | re.DOTALL)

GOOD: dict[str, Any] = {
    "registries": {"quay": {"host": "quay.io"}, "acr": {"host": "acr.example"}},
    "mirrors": {"m": {"source": "quay", "destinations": ["acr"], "repositories": ["a/b"]}},
}


def faults(document: Any) -> list[str]:
    return sorted(problem.json_path for problem in Draft202012Validator(json_schema()).iter_errors(document))


def with_registry(**entry: Any) -> dict[str, Any]:
    return {**GOOD, "registries": {"quay": {"host": "quay.io", **entry}}}


def with_mirror(**entry: Any) -> dict[str, Any]:
    return {**GOOD, "mirrors": {"m": {**GOOD["mirrors"]["m"], **entry}}}


def test_the_schema_file_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    main(["schema"])
    refresh = "PYTHONPATH=plugins python -m registry_sync schema > include/mirrors.schema.json"
    assert SCHEMA_FILE.read_text() == capsys.readouterr().out, (
        f"it is not what the models say; make schema, or: {refresh}"
    )


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", FILES, ids=[each.name for each in FILES])
def test_our_own_files_are_good_to_editors_and_to_us(path: Path) -> None:
    assert faults(yaml.safe_load(path.read_text())) == []
    assert load_mirrors(path).mirrors


@pytest.mark.parametrize("path", FILES, ids=[each.name for each in FILES])
def test_the_first_line_of_our_files_names_the_schema(path: Path) -> None:
    mark, _, written = path.read_text().partition("\n")[0].partition("$schema=")
    assert mark == "# yaml-language-server: "
    assert (path.parent / written).resolve() == SCHEMA_FILE


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_is_good_yaml(example: str) -> None:
    document = read_yaml(example, "mirrors-file.md")
    assert (document.value.keys(), document.problems) == (yaml.safe_load(example).keys(), [])


def test_the_examples_of_the_page_together_are_a_good_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HOST", "stage.example")
    file: dict[str, Any] = {}
    for each in map(yaml.safe_load, EXAMPLES):
        for section, entries in each.items():
            file[section] = {**file.get(section, {}), **entries} if isinstance(entries, dict) else entries
    file["registries"].setdefault("dockerhub", {"host": "docker.io"})
    assert faults(file) == []
    path = tmp_path / "mirrors.yaml"
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    assert load_mirrors(path).mirrors.keys() == file["mirrors"].keys()


@pytest.mark.parametrize(
    "document",
    [
        GOOD,
        {**GOOD, "defaults": {"tags": {"include": ["v*"]}, "on_moved_tag": "keep"}},
        with_registry(tls=False, pool="x"),
        with_mirror(start_date="2026-01-31", schedule="@daily", catchup=True),
        with_mirror(repositories=[{"repository": "a/b", "rename": "c/d"}, {"namespace": "a", "include": ["*"]}]),
    ],
)
def test_valid_files_match_the_schema(document: Any) -> None:
    assert faults(document) == []


@pytest.mark.parametrize(
    ("document", "places"),
    [
        ([], ["$"]),
        ({}, ["$", "$"]),
        ({**GOOD, "nods": {}}, ["$"]),
        ({**GOOD, "defaults": {"parallel_copies": 0}}, ["$.defaults.parallel_copies"]),
        (with_registry(host=5000), ["$.registries.quay.host"]),
        (with_registry(tls="no"), ["$.registries.quay.tls"]),
        (with_registry(max_connections=65), ["$.registries.quay.max_connections"]),
        (with_registry(hosts="x"), ["$.registries.quay"]),
        (with_registry(kind="nowhere"), ["$.registries.quay.kind"]),
        (with_mirror(destinations=[]), ["$.mirrors.m.destinations"]),
        (with_mirror(destinations="acr"), ["$.mirrors.m.destinations"]),
        (with_mirror(repositories=[{"repository": "a/b", "namespace": "a"}]), ["$.mirrors.m.repositories[0]"]),
        (with_mirror(repositories=[1.1]), ["$.mirrors.m.repositories[0]"]),
        (with_mirror(tags={"include": [1.1]}), ["$.mirrors.m.tags"]),
        (with_mirror(on_moved_tag="folow"), ["$.mirrors.m.on_moved_tag"]),
        (with_mirror(start_date=2026), ["$.mirrors.m.start_date"]),
        ({**GOOD, "mirrors": {"with space": GOOD["mirrors"]["m"]}}, ["$.mirrors"]),
    ],
)
def test_invalid_files_fail_where_they_are_wrong(document: Any, places: list[str]) -> None:
    assert faults(document) == places
