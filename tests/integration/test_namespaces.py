"""Namespaces in a run: repositories that cannot be mirrored, and those that are not listed any more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.execution_time.supervisor import TaskRunResult

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.cli.main import main
from registry_sync.routes.load import load_mirrors
from testkit import images
from testkit.small_registry import SmallRegistry
from testkit.task_runner import FakeApi, run

ROUTES, COPY, REPORT = "routes_to_there", "to_there", "report"


@pytest.fixture
def catalog() -> Iterator[SmallRegistry]:
    """A source whose catalog lists any name that was pushed."""
    with SmallRegistry() as registry:
        yield registry


@pytest.fixture
def there() -> Iterator[SmallRegistry]:
    with SmallRegistry() as registry:
        yield registry


def first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]


class Mirror:
    """A mirror and the XComs of its runs."""

    def __init__(self, folder: Path, source: dict[str, Any], there: SmallRegistry, *rules: dict[str, Any]) -> None:
        self.file = folder / "mirrors.yaml"
        self._registries = {"here": {"tls": False, **source}, "there": {"host": there.host, "tls": False}}
        self._state: dict[tuple[str, int, str], Any] = {}
        self.stored: dict[tuple[str, str], Any] = {}
        self.write(*rules)

    def write(self, *rules: dict[str, Any]) -> None:
        mirror = {"source": "here", "destinations": ["there"], "repositories": rules, "retries": 0}
        self.file.write_text(json.dumps({"registries": self._registries, "mirrors": {"team": mirror}}))

    def use_source(self, source: dict[str, Any], *rules: dict[str, Any]) -> None:
        self._registries["here"] = {"tls": False, **source}
        self.write(*rules)

    def run(self, **conf: Any) -> TaskRunResult:
        """Run all tasks of a run by hand, and return the result of the last one."""
        file = load_mirrors(self.file)
        dag = build_dag(file.mirrors["team"], file)
        api = FakeApi(dag_id=dag.dag_id, conf=conf, logical_date="2026-01-01T00:00:00Z", xcoms=dict(self._state))
        api.stored = self.stored
        assert run(dag, ROUTES, api).state == "success"
        rows = api.xcoms[ROUTES, -1, "return_value"]
        states = {ROUTES: "success"}
        for index in range(len(rows)):
            is_copied = run(dag, COPY, api, map_index=index).state == "success"
            states[f"{COPY}_{index}"] = "success" if is_copied else "failed"
        api.states = states
        result = run(dag, REPORT, api)
        self._state = {key: value for key, value in api.xcoms.items() if key[2].startswith("last_look")}
        return result


def push(registry: SmallRegistry, *names: str) -> None:
    for name in names:
        images.push(registry.url, name, "v1", images.image([], labels={"name": name}))


class TestOddNames:
    @pytest.mark.parametrize("odd", ["team/a___b", "team/UPPER", "team/a..b", "team/test-"])
    def test_a_repository_with_an_odd_name_fails_alone(
        self,
        catalog: SmallRegistry,
        there: SmallRegistry,
        tmp_path: Path,
        odd: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        push(catalog, "team/one", "team/two", odd)
        result = Mirror(tmp_path, {"host": catalog.host}, there, {"namespace": "team"}).run()
        assert first_line(result.error) == "team: 1 of 3 routes failed, 2 tags copied"
        assert set(there.tags("team/one")) == set(there.tags("team/two")) == {"v1"}
        printed = capsys.readouterr().out
        assert f"{catalog.host}/{odd} → {there.host}: {odd!r} is not a repository name: " in printed
        assert "; exclude it from namespace 'team', or rename it" in printed

    def test_a_new_repository_cannot_take_over_a_name(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path
    ) -> None:
        mirror = Mirror(tmp_path, {"host": catalog.host}, there, {"namespace": "team", "rename": "copies/{{ name }}"})
        push(catalog, "team/app", "team/other")
        assert mirror.run().state == "success"
        before = there.tags("copies/app")
        push(catalog, "team/evil/app")
        assert first_line(mirror.run().error) == "team: 2 of 3 routes failed, 0 tags copied"
        assert there.tags("copies/app") == before

    def test_pruning_spares_no_repository_that_another_one_fills(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Rules with other names may share a repository. Pruning by one would delete the tags of the other."""
        push(catalog, "team/app", "old/app")
        rules = [
            {
                "repository": "team/app",
                "rename": "copies/app",
                "tags": {"names": ["v1"]},
                "prune": {"tags": "not_selected"},
            },
            {"namespace": "old", "rename": "copies/{{ name.split('/')[-1] }}", "tags": {"names": ["v0"]}},
        ]
        result = Mirror(tmp_path, {"host": catalog.host}, there, *rules).run()
        assert first_line(result.error) == "team: 1 of 2 routes failed, 1 tags copied"
        assert (
            f"{catalog.host}/old/app and {catalog.host}/team/app would both be mirrored to {there.host}/copies/app, so "
            "only the second, which is written by name, is; exclude or rename the first"
        ) in capsys.readouterr().out

    def test_the_command_line_shows_them(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        push(catalog, "team/one", "team/a___b")
        mirror = Mirror(tmp_path, {"host": catalog.host}, there, {"namespace": "team"})
        assert main(["plan", str(mirror.file), "--mirror", "team"]) == 1
        shown = capsys.readouterr()
        assert f"{catalog.host}/team/one → {there.host}/team/one\n" in shown.out
        assert f"{catalog.host}/team/a___b → {there.host}\n  FAILED: 'team/a___b' is not a repository name" in shown.out
        assert shown.out.endswith("\n1 of 2 routes would fail\n")


class TestGone:
    def test_a_repository_that_is_not_listed_any_more_is_a_note_once(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        push(catalog, "team/one", "team/two")
        mirror = Mirror(tmp_path, {"host": catalog.host}, there, {"namespace": "team"})
        assert mirror.run().state == "success"
        del catalog.stored["team/two"]
        capsys.readouterr()
        note = "there: 1 repositories that an earlier run found are not listed by their namespace any more: team/two"
        assert mirror.run().state == "success"
        assert note in capsys.readouterr().out
        assert mirror.run().state == "success"
        assert note not in capsys.readouterr().out

    def test_a_private_one_fails_each_run_until_it_is_back_or_excluded(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A token that lost its rights lists public repositories only."""
        rule = {"namespace": "team", "include_private": True}
        push(catalog, "team/public", "team/secret")
        mirror = Mirror(tmp_path, {"host": catalog.host}, there, rule)
        assert mirror.run().state == "success"
        del catalog.stored["team/secret"]
        for _ in range(2):
            assert first_line(mirror.run().error) == "team: 1 of 2 routes failed, 0 tags copied"
        assert (
            "an earlier run found it, and namespace 'team' does not list it any more: it was deleted or renamed, or "
            "the credentials lost their right to see it. Restore that right; if it is gone for good, exclude 'secret'"
        ) in capsys.readouterr().out
        assert mirror.run(repositories=["team/public"]).state == "success"
        assert mirror.run(dry_run=True).state == "failed"
        push(catalog, "team/secret")
        assert mirror.run().state == "success"
        del catalog.stored["team/secret"]
        mirror.write({**rule, "exclude": ["secret"]})
        assert mirror.run().state == "success"
        mirror.write(rule)
        assert mirror.run().state == "success"

    def test_another_source_has_other_repositories(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path
    ) -> None:
        """After a move to another registry, nothing is gone, and an empty repository was always empty."""
        rule = {"namespace": "team", "include_private": True}
        push(catalog, "team/old", "team/app")
        mirror = Mirror(tmp_path, {"host": catalog.host}, there, rule)
        assert mirror.run().state == "success"
        there.stored.clear()
        with SmallRegistry() as other:
            push(other, "team/app", "team/new")
            other.stored["team/app"].tags.clear()
            mirror.use_source({"host": other.host}, rule)
            assert mirror.run().state == "success"
            del other.stored["team/new"]
            assert first_line(mirror.run().error) == "team: 1 of 2 routes failed, 0 tags copied"

    def test_a_misspelt_name_of_the_file_is_not_gone_when_it_is_corrected(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path
    ) -> None:
        rule = {"namespace": "team", "include_private": True}
        push(catalog, "team/app", "team/other")
        mirror = Mirror(tmp_path, {"host": catalog.host}, there, rule, {"repository": "team/appp"})
        assert first_line(mirror.run().error) == "team: 1 of 3 routes failed, 2 tags copied"
        mirror.write(rule)
        assert mirror.run().state == "success"

    def test_a_repository_that_failed_meanwhile_is_remembered(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path
    ) -> None:
        rule = {"namespace": "team", "include_private": True, "rename": "copies/{{ name }}"}
        push(catalog, "team/app", "team/other")
        mirror = Mirror(tmp_path, {"host": catalog.host}, there, rule)
        assert mirror.run().state == "success"
        push(catalog, "team/evil/app")
        assert first_line(mirror.run().error) == "team: 2 of 3 routes failed, 0 tags copied"
        del catalog.stored["team/evil/app"], catalog.stored["team/app"]
        for _ in range(2):
            assert first_line(mirror.run().error) == "team: 1 of 2 routes failed, 0 tags copied"

    def test_a_dry_run_leaves_nothing_also_when_it_has_no_route(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        push(catalog, "team/one", "team/UPPER")
        mirror = Mirror(tmp_path, {"host": catalog.host}, there, {"namespace": "team"})
        assert mirror.run().state == "failed"
        del catalog.stored["team/one"]
        note = "1 repositories that an earlier run found are not listed by their namespace any more: team/one"
        for conf in ({"dry_run": True}, {}):
            capsys.readouterr()
            assert first_line(mirror.run(**conf).error) == "team: 1 of 1 routes failed, 0 tags copied"
            assert note in capsys.readouterr().out

    def test_a_source_that_lost_its_tags_fails_by_what_the_last_look_saw(
        self, catalog: SmallRegistry, there: SmallRegistry, tmp_path: Path
    ) -> None:
        """Source and destination lost them, as after a restore of both."""
        push(catalog, "team/app", "team/other")
        mirror = Mirror(tmp_path, {"host": catalog.host}, there, {"namespace": "team"})
        assert mirror.run().state == "success"
        for registry in (catalog, there):
            registry.stored["team/app"].tags.clear()
        for _ in range(2):
            assert first_line(mirror.run().error) == "team: 1 of 2 routes failed, 0 tags copied"
