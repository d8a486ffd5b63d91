"""Consistency of the files in deploy/, the documentation, Compose and Kubernetes."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf
from jsonschema import Draft202012Validator

from testkit.project import PROJECT

KUBERNETES = PROJECT / "deploy" / "kubernetes"
VALUES = sorted(KUBERNETES.glob("*.yaml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", VALUES, ids=lambda path: str(path.name))
def test_the_chart_knows_all_values(path: Path) -> None:
    """Keys are compared with a copy of the chart's table, because `helm` is not available everywhere."""
    schema = json.loads(Path(__file__).with_name("airflow_chart.json").read_text())
    errors = Draft202012Validator(schema).iter_errors(read(path))
    assert [f"{problem.json_path}: {problem.message}" for problem in errors] == []


@pytest.mark.parametrize("path", VALUES, ids=lambda path: str(path.name))
def test_airflow_knows_all_settings(path: Path) -> None:
    for section, settings in read(path).get("config", {}).items():
        for name in settings:
            assert is_setting(section, name), f"{section}.{name}"


def test_compose_sets_only_what_airflow_knows() -> None:
    names = re.findall(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+):", (PROJECT / "docker-compose.yaml").read_text())
    assert len(names) > 15
    for section, name in names:
        assert is_setting(section.lower(), name.lower()), f"{section}.{name}"


def is_setting(section: str, name: str) -> bool:
    """Return whether Airflow describes a setting. Sections of missing providers are accepted."""
    described = conf.configuration_description
    return section in {"celery", "kubernetes_executor"} or name in described[section]["options"]


def test_the_page_makes_every_secret_that_the_values_name() -> None:
    page = (PROJECT / "docs" / "deploy.md").read_text()
    made = set(re.findall(r"create secret generic (\S+)", page))
    named = {each for path in VALUES for each in re.findall(r"\bregistry-sync-[a-z-]+", path.read_text())}
    assert made == named


def test_compose_and_kubernetes_have_the_same_limits() -> None:
    compose = (PROJECT / "docker-compose.yaml").read_text()
    config = read(KUBERNETES / "values.yaml")["config"]
    assert f"MAX_MAP_LENGTH: ${{MAX_ROUTES:-{config['core']['max_map_length']}}}" in compose
    seconds = config["scheduler"]["task_instance_heartbeat_timeout"]
    assert f"TASK_INSTANCE_HEARTBEAT_TIMEOUT: ${{LOST_TASK_SECONDS:-{seconds}}}" in compose
    assert f'TASK_QUEUED_TIMEOUT: "{config["scheduler"]["task_queued_timeout"]}"' in compose
    assert f'MIN_HEARTBEAT_INTERVAL: "{config["workers"]["min_heartbeat_interval"]}"' in compose


def test_the_example_explains_every_setting_of_the_stack() -> None:
    """Defaults are those of the files. Secrets have none."""
    files = [PROJECT / "docker-compose.yaml", PROJECT / "deploy" / "docker-socket.yaml"]
    used = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)", "".join(file.read_text() for file in files)))
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", files[0].read_text()))
    lines = (PROJECT / ".env.example").read_text().splitlines()
    explained = {}
    for before, line in itertools.pairwise(lines):
        if found := re.fullmatch(r"#?([A-Z_]+)=(.*)", line):
            assert before.startswith("#"), line
            explained[found[1]] = found[2]
    assert set(used) - set(explained) == {"COMPOSE_PROFILES", "DOCKER_SOCKET", "DOCKER_GROUP"}
    assert set(explained) - set(used) == set()
    assert {name: value for name, value in defaults.items() if name in explained} == {
        name: value for name, value in explained.items() if name in defaults
    }


def test_constraints_pin_what_the_image_installs() -> None:
    pinned = {line.partition("==")[0].lower() for line in (PROJECT / "constraints.txt").read_text().splitlines()}
    for name in ("requirements.txt", "requirements-stack.txt"):
        for line in (PROJECT / name).read_text().splitlines():
            if found := re.match(r"[a-z][a-z0-9-]+", line):
                assert found[0] in pinned, line
    assert "apache-airflow-providers-cncf-kubernetes" in pinned


def test_only_what_the_dockerfile_copies_goes_to_the_builder() -> None:
    copied = re.findall(r"^COPY --chown=50000:0 (.*) \S+$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    paths = {part.rstrip("/") for line in copied for part in line.split()}
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == paths
    assert "*" in lines
