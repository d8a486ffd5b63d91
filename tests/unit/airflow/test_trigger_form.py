"""The trigger form: its fields, and a form whose fields are all emptied."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.airflow.dags.readiness import parameters as readiness_parameters
from registry_sync.airflow.dags.trigger_form import parameters
from registry_sync.airflow.runs.context import read_parameters
from registry_sync.config.mirror import Mirror
from registry_sync.errors import ConfigurationError
from registry_sync.routes.load import load_mirrors
from registry_sync.tags.accepted import parse_accepted
from registry_sync.text import quoted

FILE = """
registries: {quay: {host: quay.io}, acr: {host: acme.azurecr.io}, backup: {host: backup.example}}
mirrors:
  m: {source: quay, destinations: [acr, backup], repositories: [team/app], schedule: "@daily",
      deep_check: {schedule: "@daily", read: 2 GB}}
"""

DEFAULTS = {
    "dry_run": False,
    "repositories": None,
    "tags": None,
    "destinations": None,
    "window": "auto",
    "window_from": None,
    "window_to": None,
    "accept": None,
    "deep_check": False,
    "read_megabytes": 2000.0,
}


def a_mirror(folder: Path) -> Mirror:
    path = folder / "mirrors.yaml"
    path.write_text(FILE)
    return load_mirrors(path).mirrors["m"]


def test_the_dry_run_is_first_and_rare_fields_are_in_sections(tmp_path: Path) -> None:
    fields = parameters(a_mirror(tmp_path))
    assert list(fields) == list(DEFAULTS)
    assert {name: field.schema["section"] for name, field in fields.items() if "section" in field.schema} == {
        "window_from": "Window from … to",
        "window_to": "Window from … to",
        "accept": "Accept moved tags",
        "deep_check": "Deep check",
        "read_megabytes": "Deep check",
    }


def test_no_field_has_the_red_star_of_a_required_one(tmp_path: Path) -> None:
    """The UI shows it for each type without null."""
    fields = {**parameters(a_mirror(tmp_path)), **readiness_parameters()}
    assert [name for name, field in fields.items() if "null" not in field.schema["type"]] == []
    assert [name for name, field in fields.items() if "enum" in field.schema and None not in field.schema["enum"]] == []


DIGEST = f"sha256:{64 * 'a'}"


@pytest.mark.parametrize(
    "entry", ["", " ", f"v1@{DIGEST}", f" team/app:v1@{DIGEST} ", f"quay.io:443/team/app:v1@sha512:{128 * '0'}"]
)
def test_an_accepted_tag_is_checked_when_the_run_is_triggered(tmp_path: Path, entry: str) -> None:
    field = parameters(a_mirror(tmp_path))["accept"]
    assert field.resolve([entry]) == [entry]


@pytest.mark.parametrize(
    "entry",
    [
        "v1",
        f"@{DIGEST}",
        DIGEST,
        "v1@sha256:abc",
        f"v1@{DIGEST}a",
        f"v1@{DIGEST.upper()}",
        f"v1 @{DIGEST}",
        f"*@{DIGEST}",
    ],
)
def test_an_accepted_tag_without_a_whole_digest_is_refused_there(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ParamValidationError):
        parameters(a_mirror(tmp_path))["accept"].resolve([entry])
    with pytest.raises(ConfigurationError) as caught:
        parse_accepted(entry)
    assert str(caught.value) == (
        f"accept: {quoted(entry)} is not a tag with its digest; write TAG@sha256: and 64 digits of 0-9 and a-f, or "
        "REPOSITORY:TAG@sha256:…"
    )


def test_every_choice_of_the_window_has_a_label(tmp_path: Path) -> None:
    schema = parameters(a_mirror(tmp_path))["window"].schema
    assert list(schema["values_display"]) == [choice or "null" for choice in schema["enum"]]


def test_emptied_fields_have_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text(FILE)
    file = load_mirrors(path)
    dag = build_dag(file.mirrors["m"], file)
    emptied = ParamsDict(dict(parameters(file.mirrors["m"])))
    emptied.update(dict.fromkeys(DEFAULTS))
    context: Any = {"params": emptied.validate(), "dag": SimpleNamespace(params=dag.params)}
    assert context["params"] == dict.fromkeys(DEFAULTS)
    assert read_parameters(context) == DEFAULTS
