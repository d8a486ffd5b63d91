"""States and events of whole DAG runs: a real Airflow with its database, real registries, the real skopeo."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from registry_sync.state.document import read_document
from registry_sync.state.route import RouteState
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
    shutil.copy(PROJECT / "dags" / "registry_mirrors.py", dags)
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


def test_a_failed_run_leaves_its_state_and_one_event(stack: Stack) -> None:
    stack.wire.answer("PUT", "/team/web/manifests/v1$", 403, b"{}")
    run = stack.run()
    assert run["state"] == "failed"
    stored = stack.stored()
    app = read_document(RouteState, stored["team/app"])
    assert (app.in_sync, app.failing, app.fresh_within) == (1, 0, 7200)
    web = read_document(RouteState, stored["team/web"])
    assert (web.in_sync, web.failing, web.problems[0].tag) == (0, 1, "v1")
    api = stack.airflow.api
    wait_until(lambda: bool(api.dag_runs("after_team")), "the DAG of the documentation ran")
    (after,) = api.dag_runs("after_team")
    api.wait_for_run("after_team", after["dag_run_id"])
    log = api.log("after_team", after["dag_run_id"], "show")
    assert f"arrived {stack.wire.host}/team/app:v1 {APP.digest}" in log
    assert f"{stack.wire.host}/team/web" not in log
