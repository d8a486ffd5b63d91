"""``enabled: false``: nothing is copied or deleted, the name at the destination stays taken, and ``until`` ends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry_sync.cli.arguments import OK
from registry_sync.cli.main import main
from registry_sync.state.names import DESTINATION_KEY
from testkit.small_registry import SmallRegistry
from tests.integration.test_namespaces import Mirror, first_line, push

AGO, AHEAD = "2020-01-31", "2999-01-31"


@pytest.fixture
def catalog() -> Iterator[SmallRegistry]:
    with SmallRegistry() as registry:
        yield registry


@pytest.fixture
def there() -> Iterator[SmallRegistry]:
    with SmallRegistry() as registry:
        yield registry


def of(*repositories: str, **keys: Any) -> list[dict[str, Any]]:
    return [{"repository": name, **keys} for name in repositories]


@pytest.mark.parametrize(
    ("rules", "copied"),
    [
        ([*of("team/one", enabled=False), *of("team/two")], ["team/two"]),
        ([*of("team/one", enabled=False, until=AHEAD), *of("team/two")], ["team/two"]),
        ([*of("team/one", enabled=False, until=AGO), *of("team/two")], ["team/one", "team/two"]),
        ([{"namespace": "team"}, *of("team/one", enabled=False)], ["team/two"]),
        ([{"namespace": "team", "include": ["o*"], "enabled": False}, {"namespace": "team"}], ["team/two"]),
        (of("team/one", "team/two", enabled=False), []),
    ],
)
def test_only_what_is_enabled_is_copied(
    rules: list[dict[str, Any]], copied: list[str], catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path
) -> None:
    push(catalog, "team/one", "team/two")
    assert Mirror(tmp_path, {"host": catalog.host}, there, *rules).run().state == "success"
    assert [name for name in ("team/one", "team/two") if there.tags(name)] == copied


def test_the_report_names_what_is_disabled(
    catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push(catalog, "team/one", "team/two")
    rules = [*of("team/one", enabled=False, until=AHEAD), *of("team/two")]
    assert Mirror(tmp_path, {"host": catalog.host}, there, *rules).run().state == "success"
    note = (
        "there: 1 repository is disabled, and nothing there is copied or deleted: team/one (disabled until 2999-01-31 "
        "00:00 UTC)"
    )
    assert note in capsys.readouterr().out


def test_a_disabled_mirror_sends_no_request(
    catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The registries may be down: that may be why it is disabled."""
    rules = [{"namespace": "team", "enabled": False}]
    assert Mirror(tmp_path, {"host": catalog.host}, there, *rules).run().state == "success"
    assert [*catalog.requests(), *there.requests()] == []
    assert "the mirror is disabled; nothing is copied or deleted" in capsys.readouterr().out


def test_a_disabled_namespace_that_cannot_be_listed_fails_nothing(
    catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path
) -> None:
    push(catalog, "team/one")
    rules = [*of("team/one"), {"namespace": "gone"}]
    result = Mirror(tmp_path, {"host": catalog.host}, there, *rules).run()
    assert first_line(result.error) == "team: 1 of 2 routes failed, 1 tags copied"
    rules = [*of("team/one"), {"namespace": "gone", "enabled": False}]
    mirror = Mirror(tmp_path, {"host": catalog.host}, there, *rules)
    assert mirror.run().state == "success"
    (state,) = [value for (_, key), value in mirror.stored.items() if key == DESTINATION_KEY]
    assert state["listed_at"] == state["complete_at"] == state["run_ended"]


def test_the_name_of_a_disabled_repository_stays_taken(
    catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path
) -> None:
    """Otherwise another rule would overwrite what it left, or prune it."""
    push(catalog, "team/app", "old/app")
    rules: list[dict[str, Any]] = [
        {"namespace": "old", "rename": "copies/{{ name }}", "enabled": False},
        {
            "namespace": "team",
            "rename": "copies/{{ name.split('/')[-1] }}",
            "prune": {"tags": "not_selected", "dry_run": False},
        },
    ]
    result = Mirror(tmp_path, {"host": catalog.host}, there, *rules).run()
    assert first_line(result.error) == "team: 1 of 1 routes failed, 0 tags copied"
    assert there.tags("copies/app") == {}


def test_the_command_line_leaves_it_out(
    catalog: SmallRegistry,
    there: SmallRegistry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    push(catalog, "team/one", "team/two")
    mirror = Mirror(tmp_path, {"host": catalog.host}, there, *of("team/one", enabled=False), *of("team/two"))
    for command in ("plan", "verify"):
        caplog.clear()
        main([command, "--mirror", "team", str(mirror.file)])
        assert "team/one" not in capsys.readouterr().out
        assert [record.getMessage() for record in caplog.records if "disabled" in record.getMessage()] == [
            "team → there: 1 repository is disabled, and nothing there is copied or deleted: team/one (disabled)"
        ]
    main(["explain", "--mirror", "team", "--repository", "team/one", str(mirror.file)])
    assert "enabled" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["plan", "--mirror", "team"], ["plan", "--all"], ["verify"]])
def test_the_command_line_sends_no_request_for_a_disabled_mirror(
    command: list[str],
    catalog: SmallRegistry,
    there: SmallRegistry,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mirror = Mirror(tmp_path, {"host": catalog.host}, there, {"namespace": "team", "enabled": False, "until": AHEAD})
    assert main([*command, str(mirror.file)]) == OK
    assert [*catalog.requests(), *there.requests()] == []
    assert [record.getMessage() for record in caplog.records if "disabled" in record.getMessage()] == [
        "team → there: the mirror is disabled until 2999-01-31 00:00 UTC"
    ]


def test_a_run_by_hand_of_a_disabled_mirror_marks_its_routes(
    catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path
) -> None:
    """Otherwise what it lacks would be told after that run."""
    push(catalog, "team/one")
    mirror = Mirror(tmp_path, {"host": catalog.host}, there, *of("team/one"))
    mirror.run()
    mirror.write(*of("team/one", enabled=False, until=AHEAD))
    mirror.run()
    (index,) = [value for (_, key), value in mirror.stored.items() if key == "routes 0"]
    (row,) = index["routes"].values()
    assert (row["is_disabled"], row["disabled_until"]) == (True, "2999-01-31T00:00:00Z")
