"""Owner, access, tags and ``enabled: false``: what is read, what is refused, and the DAG that comes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.cli.main import main
from registry_sync.routes.load import load_mirrors
from registry_sync.routes.route import Route, route_of
from tests.unit.routes.files import Write, flow, label, problems

HEAD = """\
registries: {quay: {host: quay.io}, acr: {host: acr.example}}
mirrors:
  m:
    source: quay
    destinations: [acr]
    schedule: "@hourly"
"""

AGO, AHEAD = "2020-01-31", "2999-01-31"


def text(options: dict[str, Any], *rules: Any) -> str:
    """A file whose mirror has options in line 7 and following, and rules in the last line."""
    lines = [f"    {key}: {flow(value)}\n" for key, value in options.items()]
    return HEAD + "".join(lines) + f"    repositories: {flow(list(rules or ('team/app',)))}\n"


@pytest.mark.filterwarnings("ignore:The airflow.security.permissions module")  # Airflow's own
def test_a_dag_has_owner_access_and_tags(write: Write) -> None:
    access = {"team-a": ["can_read", "can_edit"], "ops": {"DAGs": ["can_read"], "DAG Runs": ["can_create"]}}
    file = load_mirrors(write(text({"owner": "team-a", "access_control": access, "dag_tags": ["prod", "nodes"]})))
    dag = build_dag(file.mirrors["m"], file)
    assert {task.owner for task in dag.tasks} == {"team-a"}
    assert dag.access_control == {
        "team-a": {"DAGs": {"can_read", "can_edit"}},
        "ops": {"DAGs": {"can_read"}, "DAG Runs": {"can_create"}},
    }
    assert dag.tags == {"registry_sync", "prod", "nodes"}


def test_a_dag_without_these_keys_is_as_before(write: Write) -> None:
    file = load_mirrors(write(text({})))
    dag = build_dag(file.mirrors["m"], file)
    assert ({task.owner for task in dag.tasks}, dag.access_control, dag.tags) == ({"airflow"}, None, {"registry_sync"})


ONE_DAG = "a mirror is one DAG; write it at the mirror, or give this entry a mirror of its own"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"access_control": {"a": ["read"]}},
            (
                "access_control: role 'a' has 'read', which is not an action on DAGs; "
                "there are can_read, can_edit, can_delete"
            ),
        ),
        (
            {"access_control": {"a": []}},
            "access_control: role 'a' has no list of actions on DAGs; there are can_read, can_edit, can_delete",
        ),
        (
            {"access_control": {"a": "can_read"}},
            "access_control: role 'a' has no list of actions on DAGs; there are can_read, can_edit, can_delete",
        ),
        (
            {"access_control": {"a": {"Pools": ["can_read"]}}},
            "access_control: 'Pools' of role 'a' is not a resource of DAGs; there are DAGs, DAG Runs",
        ),
        ({"access_control": ["a"]}, "access_control: expected a mapping of roles, such as {Viewer: [can_read]}"),
        ({"access_control": {}}, "access_control: expected a mapping of roles, such as {Viewer: [can_read]}"),
        ({"owner": " "}, "owner: expected a name in one line, such as the name of a team"),
        ({"owner": 5}, 'owner: expected a string, got the number 5 (quote it: "5")'),
        ({"dag_tags": []}, "dag_tags: it is empty; write a value, or remove it"),
        ({"dag_tags": [101 * "t"]}, "dag_tags[0]: it has 101 characters, at most 100 are allowed"),
        ({"until": AHEAD}, "until needs enabled: false beside it; write it, or remove until"),
        ({"enabled": True, "until": AHEAD}, "until needs enabled: false beside it; write it, or remove until"),
        ({"enabled": "no"}, "enabled: expected true or false, got 'no'; write false"),
        (
            {"enabled": False, "until": "soon"},
            "until: expected a date such as 2026-01-31 or 2026-01-31T12:00Z, got 'soon'",
        ),
    ],
    ids=label,
)
def test_what_is_refused(options: dict[str, Any], problem: str, write: Write) -> None:
    (found,) = problems(write(text(options)))
    assert found.partition(": mirrors.m")[2].lstrip(".").removeprefix(": ") == problem


@pytest.mark.parametrize("key", ["owner", "access_control", "dag_tags", "schedule"])
def test_keys_of_a_dag_are_refused_at_a_rule(key: str, write: Write) -> None:
    assert problems(write(text({}, {"repository": "team/app", key: "x"}))) == [
        f"mirrors.yaml:7: mirrors.m.repositories[0].{key}: unknown key '{key}' of a repository; {ONE_DAG}"
    ]


NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("mirror", "rule", "is_disabled"),
    [
        ({}, {}, False),
        ({"enabled": False}, {}, True),
        ({"enabled": False, "until": AHEAD}, {}, True),
        ({"enabled": False, "until": AGO}, {}, False),
        ({"enabled": False, "until": "2026-01-31T12:00Z"}, {}, False),
        ({"enabled": False, "until": "2026-01-31T12:01Z"}, {}, True),
        ({}, {"enabled": False}, True),
        ({"enabled": False, "until": AGO}, {"enabled": False}, True),
        ({"enabled": False}, {"enabled": True}, False),
        ({"enabled": False}, {"enabled": None}, False),
        ({"enabled": False}, {"enabled": False, "until": AGO}, False),
    ],
    ids=label,
)
def test_the_innermost_level_that_writes_enabled_counts_with_its_until(
    mirror: dict[str, Any], rule: dict[str, Any], is_disabled: bool, write: Write
) -> None:
    file = load_mirrors(write(text(mirror, {"repository": "team/app", **rule})))
    (parsed,) = file.mirrors["m"].rules
    assert parsed.settings.is_disabled(NOW) is is_disabled
    route = route_of(file.mirrors["m"], parsed, file.registries["quay"], file.registries["acr"], "team/app")
    assert Route.from_json(route.to_json()) == route


@pytest.mark.parametrize(
    ("options", "rules", "has_schedule"),
    [
        ({"enabled": False}, (), False),
        ({"enabled": False, "until": AHEAD}, (), False),
        ({"enabled": False, "until": AGO}, (), True),
        ({}, ({"repository": "a/b", "enabled": False}, "c/d"), True),
        ({"enabled": False}, ({"repository": "a/b", "enabled": True}, "c/d"), True),
    ],
    ids=label,
)
def test_a_disabled_mirror_has_no_schedule(
    options: dict[str, Any], rules: tuple[Any, ...], has_schedule: bool, write: Write
) -> None:
    file = load_mirrors(write(text(options, *rules)))
    assert build_dag(file.mirrors["m"], file).timetable.can_be_scheduled is has_schedule


def test_validate_tells_what_is_disabled_and_what_can_be_removed(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        text(
            {},
            {"repository": "a/b", "enabled": False},
            {"repository": "c/d", "enabled": False, "until": AHEAD},
            {"repository": "e/f", "enabled": False, "until": AGO},
            "g/h",
        )
    )
    assert main(["validate", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[4:] == [
        "mirrors.m.repositories[0] (`a/b`): disabled",
        "mirrors.m.repositories[1] (`c/d`): disabled until 2999-01-31 00:00 UTC",
        (
            "mirrors.m.repositories[2] (`e/f`): until has passed, at 2020-01-31 00:00 UTC, so it is "
            "enabled again; remove "
            "enabled: and until:"
        ),
    ]
    assert main(["validate", str(write(text({"enabled": False, "until": AHEAD})))]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(" 1  disabled until 2999-01-31 00:00 UTC")
