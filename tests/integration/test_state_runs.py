"""States and events of whole DAG runs: a real Airflow with its database, real registries, the real skopeo."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.state.destination import DestinationState, RouteIndex
from registry_sync.state.document import read_document
from registry_sync.state.names import DESTINATION_KEY
from registry_sync.state.route import RouteState, TagTable
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.interceptor import Interceptor
from testkit.project import PROJECT
from testkit.registry import RegistryProcess
from testkit.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

MIRRORS = """
registries:
  source: {{host: "{source}", tls: false}}
  backup: {{host: "{backup}", tls: false}}
mirrors:
  team: {{source: source, destinations: [backup], repositories: [team/app, team/web], retries: 0, fresh_within: 2h}}
"""

ASSET = "registry_sync/team/backup"
APP, WEB = images.image([], labels={"name": "app"}), images.image([], labels={"name": "web"})


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A source, a destination behind an interceptor, and an Airflow with the DAG of the documentation."""

    source: RegistryProcess
    destination: RegistryProcess
    wire: Interceptor
    airflow: LocalAirflow

    def run(self, **conf: Any) -> dict[str, Any]:
        api = self.airflow.api
        return api.wait_for_run("mirror_team", api.trigger("mirror_team", conf))

    def stored(self) -> dict[str, Any]:
        """The values in the state store of the asset, by key."""
        api = self.airflow.api
        assets = api.call("GET", "assets", name_pattern=ASSET)["assets"]
        (asset,) = (each for each in assets if each["name"] == ASSET)
        values = api.call("GET", f"assets/{asset['id']}/state-store")
        return {each["key"]: each["value"] for each in values["asset_state_store"]}


def documented_dag() -> str:
    page = (PROJECT / "docs" / "state.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return str(code)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(PROJECT / "dags" / "mirrors.py", dags)
    (dags / "after_team.py").write_text(documented_dag())
    with ExitStack() as opened:
        source, destination = opened.enter_context(RegistryProcess()), opened.enter_context(RegistryProcess())
        wire = opened.enter_context(Interceptor(destination.url))
        images.push(source.url, "team/app", "v1", APP)
        images.push(source.url, "team/web", "v1", WEB)
        (folder / "mirrors.yaml").write_text(MIRRORS.format(source=source.host, backup=wire.host))
        airflow = LocalAirflow(folder / "home", dags=dags, mirrors_file=folder / "mirrors.yaml")
        opened.enter_context(airflow)
        airflow.api.wait_for_dag("mirror_team")
        airflow.api.wait_for_dag("after_team")
        yield Stack(source=source, destination=destination, wire=wire, airflow=airflow)


def test_runs_leave_their_states_and_events(stack: Stack) -> None:
    """A run that fails in part, and one after it that repairs that; Airflow's own clean-up forgets neither."""
    api = stack.airflow.api
    stack.wire.answer("PUT", "/team/web/manifests/v1$", 403, b"{}")
    failed = stack.run()
    assert failed["state"] == "failed"
    assert arrived(stack, 1) == [f"{stack.wire.host}/team/app:v1 {APP.digest}"]
    stored = stack.stored()
    assert set(stored) == {DESTINATION_KEY, "routes 0", "team/app", "team/app tags", "team/web", "team/web tags"}
    backup = read_document(DestinationState, stored[DESTINATION_KEY])
    assert (backup.host, backup.source_host) == (stack.wire.host, stack.source.host)
    assert (backup.is_failed, backup.fresh_within, backup.unreported) == (True, 7200, ())
    assert (backup.run_id, backup.complete_run_id) == (failed["dag_run_id"], failed["dag_run_id"])
    assert backup.summary == "team: 1 of 2 routes failed, 1 tags copied"
    rows = read_document(RouteIndex, stored["routes 0"]).routes
    assert {name: (row.selected, row.in_sync, row.failing) for name, row in rows.items()} == {
        "team/app": (1, 1, 0),
        "team/web": (1, 0, 1),
    }
    web = read_document(RouteState, stored["team/web"])
    assert [(problem.tag, problem.error_class, problem.tries) for problem in web.problems] == [("v1", "denied", 1)]

    stack.wire.clear_rules()
    repaired = stack.run()
    assert repaired["state"] == "success"
    assert arrived(stack, 2) == [f"{stack.wire.host}/team/web:v1 {WEB.digest}"]
    stored = stack.stored()
    web = read_document(RouteState, stored["team/web"])
    assert (web.in_sync, web.failing, web.problems, web.run_id) == (1, 0, (), repaired["dag_run_id"])
    (tag,) = read_document(TagTable, stored["team/web tags"]).tags
    assert (tag.tag, tag.status, tag.digest, tag.failing_since) == ("v1", "in_sync", str(WEB.digest), None)

    assert stack.run()["state"] == "success"
    assert len(api.dag_runs("after_team")) == 2  # a run without changes emits no event
    stored = stack.stored()
    before = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    api.unpause("mirror_team", paused=True)
    cleaned = stack.airflow.run("db", "clean", "--clean-before-timestamp", before, "--yes", "--skip-archive")
    assert cleaned.returncode == 0, cleaned.stderr
    assert api.call("GET", "assets/events")["asset_events"] == []
    assert stack.stored() == stored


def arrived(stack: Stack, run: int) -> list[str]:
    """The arrivals that a run of the documented DAG printed; the runs are counted from 1."""
    api = stack.airflow.api
    wait_until(lambda: len(api.dag_runs("after_team")) >= run, "the DAG of the documentation runs")
    after = api.dag_runs("after_team")[run - 1]
    api.wait_for_run("after_team", after["dag_run_id"])
    lines = api.log("after_team", after["dag_run_id"], "show").splitlines()
    return [line.removeprefix("arrived ") for line in lines if line.startswith("arrived ")]
