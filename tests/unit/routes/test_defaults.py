"""``defaults:`` of mirrors: what a mirror inherits, what its own value replaces, and what does not fit together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.config.deep_check import DeepCheckRules
from registry_sync.config.entries.mirror import MIRROR_OPTIONS
from registry_sync.config.mirror import Mirror
from registry_sync.config.notify import Notifier
from registry_sync.routes.load import load_healthy_mirrors, load_mirrors
from tests.unit.routes.files import Write, flow, problems

DEFAULTS: dict[str, Any] = {
    "source": "quay",
    "destinations": ["acr", "hub"],
    "schedule": "@hourly",
    "full_check": "@weekly",
    "deep_check": "@daily",
    "notify": [{"class": "a.B"}],
    "owner": "team-a",
    "access_control": {"team-a": ["can_read"]},
    "dag_tags": ["prod"],
    "start_date": "2026-01-31",
    "catchup": True,
    "retries": 5,
    "task_timeout_minutes": 30,
    "parallel_copies": 2,
}


def text(defaults: dict[str, Any], **mirrors: dict[str, Any]) -> str:
    """A file with the defaults in line 2, and mirrors in lines 8, 9 …."""
    head = "# a file\ndefaults: {defaults}\nregistries:\n  quay: {{host: quay.io}}\n"
    head += "  acr: {{host: acr.example}}\n  hub: {{host: docker.io}}\nmirrors:\n"
    entries = {name: {"prefix": f"{name}-", "repositories": ["team/app"], **mirror} for name, mirror in mirrors.items()}
    return head.format(defaults=flow(defaults)) + "".join(f"  {name}: {flow(m)}\n" for name, m in entries.items())


def options(mirror: Mirror) -> dict[str, Any]:
    return {name: getattr(mirror, name) for name in MIRROR_OPTIONS}


def test_mirror_inherits_every_option(write: Write) -> None:
    mirror = load_mirrors(write(text(DEFAULTS, m={}))).mirrors["m"]
    assert options(mirror) == {
        "source": "quay",
        "destinations": ("acr", "hub"),
        "schedule": "@hourly",
        "full_check": "@weekly",
        "deep_check": DeepCheckRules(schedule="@daily"),
        "notify": (Notifier(class_path="a.B"),),
        "owner": "team-a",
        "access_control": (("team-a", (("DAGs", ("can_read",)),)),),
        "dag_tags": ("prod",),
        "start_date": datetime(2026, 1, 31, tzinfo=UTC),
        "catchup": True,
        "retries": 5,
        "task_timeout_minutes": 30,
    }
    assert mirror.rules[0].settings.parallel_copies == 2


OWN: dict[str, Any] = {
    "source": "hub",
    "destinations": ["acr"],
    "schedule": None,
    "full_check": None,
    "deep_check": None,
    "notify": None,
    "owner": None,
    "access_control": None,
    "dag_tags": None,
    "start_date": None,
    "catchup": False,
    "retries": 0,
    "task_timeout_minutes": 1,
}


def test_own_values_of_a_mirror_win_also_null(write: Write) -> None:
    assert OWN.keys() == set(MIRROR_OPTIONS)
    mirror = load_mirrors(write(text(DEFAULTS, m={**OWN}))).mirrors["m"]
    assert options(mirror) == {**OWN, "destinations": ("acr",), "deep_check": DeepCheckRules(), "notify": ()}


@pytest.mark.filterwarnings("ignore:The airflow.security.permissions module")  # Airflow's own, for access_control
def test_dag_has_the_inherited_values(write: Write) -> None:
    file = load_mirrors(write(text(DEFAULTS, m={"destinations": ["acr"]})))
    dag = build_dag(file.mirrors["m"], file)
    assert {"to_acr", "routes_to_acr", "changes", "report"} == set(dag.task_dict)
    assert dag.task_dict["routes_to_acr"].retries == 5
    assert "on the schedule `@hourly` (UTC), and for every interval since 2026-01-31" in str(dag.doc_md)


def test_rules_have_no_options_of_mirrors(write: Write) -> None:
    rule = {"repository": "team/app", "schedule": "@daily"}
    (problem,) = problems(write(text(DEFAULTS, m={"repositories": [rule]})))
    assert problem.startswith(
        "mirrors.yaml:8: mirrors.m.repositories[0].schedule: unknown key 'schedule' of a repository; a mirror is "
    )


def test_default_destination_that_is_the_source_is_refused(write: Write) -> None:
    path = write(text({"destinations": ["acr", "hub"]}, good={"source": "quay"}, bad={"source": "hub"}))
    file, found = load_healthy_mirrors(path)
    problem = "'hub': the source is also a destination in defaults: (line 2); write destinations: here"
    assert (list(file.mirrors), found) == (["good"], (f"mirrors.yaml:9: mirrors.bad: {problem}",))


def test_same_host_as_a_default_destination_is_refused(write: Write) -> None:
    path = write(
        text({"destinations": ["hub"]}, bad={"source": "hub2"}).replace("  hub:", "  hub2: {host: docker.io}\n  hub:")
    )
    problem = "'hub2': the source is also a destination in defaults: (line 2); write destinations: here"
    assert problems(path) == [f"mirrors.yaml:9: mirrors.bad: {problem}"]


def test_a_problem_of_the_defaults_concerns_those_who_inherit_it(write: Write) -> None:
    path = write(
        text({"destinations": ["acr", "acr"]}, heir={"source": "quay"}, own={"source": "quay", "destinations": ["hub"]})
    )
    file, found = load_healthy_mirrors(path)
    assert (list(file.mirrors), found) == (
        ["own"],
        ("mirrors.yaml:2: defaults.destinations[1]: 'acr' is listed twice; keep one",),
    )


def test_unknown_registry_in_the_defaults_is_reported_once(write: Write) -> None:
    path = write(text({"source": "quai", "destinations": ["acr"]}, a={}, b={}, own={"source": "quay"}))
    file, found = load_healthy_mirrors(path)
    assert list(file.mirrors) == ["own"]
    assert found == ("mirrors.yaml:2: defaults.source: no registry named 'quai'; did you mean 'quay'?",)


@pytest.mark.parametrize(
    ("defaults", "advice"),
    [({}, ""), ({"catchup": True, "start_date": "2026-01-31"}, "; write catchup: false here")],
)
def test_catchup_needs_a_schedule_wherever_it_is_written(write: Write, defaults: dict[str, Any], advice: str) -> None:
    mirror = {"source": "quay", "destinations": ["acr"], **({} if defaults else {"catchup": True})}
    problem = f"catchup needs a schedule and a start_date, from which to catch up{advice}"
    assert problems(write(text(defaults, m=mirror))) == [f"mirrors.yaml:8: mirrors.m: {problem}"]


def test_wrong_default_refuses_the_file(write: Write) -> None:
    (problem,) = problems(write(text({"retries": -1}, m={"source": "quay", "destinations": ["acr"]})))
    assert problem == "mirrors.yaml:2: defaults.retries: expected 0 or more, got the number -1"
