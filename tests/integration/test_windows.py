"""Windows in whole DAG runs: Quay's API in front of a real registry, the real skopeo, and a whole Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testkit import images
from testkit.airflow import LocalAirflow
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess
from testkit.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
LAST_HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A Quay, a destination, and an Airflow between them."""

    quay: QuayApi
    behind: RegistryProcess
    destination: RegistryProcess
    airflow: LocalAirflow

    def push(self, repository: str, tag: str, at: datetime) -> None:
        """Push a small image at the source. Only Quay's API shows its push time."""
        images.push(self.behind.url, repository, tag, images.multi_arch(f"{repository}:{tag}"))
        self.quay.push(repository, tag, at)

    def has(self, repository: str, tag: str) -> bool:
        return images.resolve(self.destination.url, repository, tag) is not None

    def log(self, run: dict[str, Any], task_id: str) -> str:
        return self.airflow.api.log(run["dag_id"], run["dag_run_id"], task_id)

    def labels(self, run: dict[str, Any]) -> list[str]:
        found = self.airflow.api.task_instances(run["dag_id"], run["dag_run_id"], "to_there")
        return sorted(str(each["rendered_map_index"]) for each in found if each["map_index"] >= 0)

    def read_repositories(self) -> set[str]:
        """Repositories whose tags were read from Quay's API since the requests were cleared."""
        paths = [request.path for request in self.quay.requests() if request.path.endswith("/tag/")]
        return {path.removeprefix("/api/v1/repository/").removesuffix("/tag/") for path in paths}


_MIRRORS = """\
registries:
  quay: {{host: "{source}", kind: quay, tls: false}}
  there: {{host: "{destination}", tls: false}}
mirrors:
  daily:
    schedule: "@daily"
    start_date: "{start}"
    full_check: null
    source: quay
    destinations: [there]
    repositories: [{{namespace: day}}]
  checked:
    schedule: "@daily"
    start_date: "{yesterday}"
    catchup: true
    source: quay
    destinations: [there]
    repositories: [day/app]
  steps:
    schedule: "@daily"
    start_date: "{steps}"
    catchup: true
    full_check: null
    source: quay
    destinations: [there]
    repositories: [{{namespace: steps}}]
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("windows")
    with ExitStack() as opened:
        behind = opened.enter_context(RegistryProcess())
        quay = opened.enter_context(QuayApi(behind.url))
        destination = opened.enter_context(RegistryProcess())
        start = TODAY - timedelta(days=10)
        text = _MIRRORS.format(
            source=quay.host,
            destination=destination.host,
            start=f"{start:%Y-%m-%d}",
            yesterday=f"{TODAY - timedelta(days=1):%Y-%m-%d}",
            steps=f"{TODAY - timedelta(days=3):%Y-%m-%d}",
        )
        (folder / "mirrors.yaml").write_text(text)
        airflow = LocalAirflow(folder / "home", mirrors_file=folder / "mirrors.yaml", paused=True)
        opened.enter_context(airflow)
        yield Stack(quay=quay, behind=behind, destination=destination, airflow=airflow)


def test_each_day_of_a_backfill_copies_exactly_its_tags(stack: Stack) -> None:
    """The runs are for 3, 2 and 1 days ago. Tags of the days around them are not copied."""
    for ago in range(5):
        noon = TODAY - timedelta(days=ago) + timedelta(hours=12 if ago else 0)
        stack.push("day/app", f"of-{ago}-days-ago", noon)
    stack.push("day/old", "v1", TODAY - timedelta(days=9))
    api, (first, last) = stack.airflow.api, (TODAY - timedelta(days=3), TODAY - timedelta(days=1))
    api.wait_for_dag("mirror_daily")
    stack.quay.clear_requests()
    api.backfill("mirror_daily", first, last, max_active_runs=1)
    api.unpause("mirror_daily")
    wait_until(lambda: len(api.dag_runs("mirror_daily")) == 3, "the backfill has its runs")
    runs = [api.wait_for_run("mirror_daily", dag_run["dag_run_id"]) for dag_run in api.dag_runs("mirror_daily")]
    api.unpause("mirror_daily", paused=True)
    assert [each["state"] for each in runs] == ["success"] * 3
    for run, ago in zip(sorted(runs, key=lambda each: str(each["logical_date"])), (3, 2, 1), strict=True):
        day = f"{TODAY - timedelta(days=ago):%Y-%m-%d}"
        assert f"Window of this run: tags pushed {day} 00:00–" in stack.log(run, "routes_to_there")
        assert "(backfill)" in stack.log(run, "routes_to_there")
        assert stack.labels(run) == ["day/app → there"]
        report = stack.log(run, "report")
        assert "daily: 1 tags copied, 0 unchanged" in report
        assert f"day/app:of-{ago}-days-ago" in report
    assert [stack.has("day/app", f"of-{ago}-days-ago") for ago in range(5)] == [False, True, True, True, False]
    assert not stack.has("day/old", "v1")
    assert stack.read_repositories() == {"day/app"}


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The scheduled runs of the mirror that catches up, which come one after the other by themselves.

    Quay takes seconds to list its repositories. In that time, before a run looks up what is in sync, that can change.
    """

    stack: Stack

    def begun(self, nth: int) -> dict[str, Any]:
        wait_until(lambda: len(self._runs()) > nth, "the scheduler made a run")
        return self._runs()[nth]

    def ended(self, nth: int) -> dict[str, Any]:
        return self.stack.airflow.api.wait_for_run("mirror_steps", self.begun(nth)["dag_run_id"])

    def watermark(self, nth: int) -> dict[str, Any]:
        run = self._runs()[nth]
        state: dict[str, Any] = self.stack.airflow.api.xcom(
            "mirror_steps", run["dag_run_id"], "report", "watermark_there"
        )
        assert datetime.fromisoformat(state["until"]) == datetime.fromisoformat(run["data_interval_end"])
        return state

    def change(self, nth: int, **values: Any) -> None:
        run, value = self._runs()[nth], {**self.watermark(nth), **values}
        path = f"dags/mirror_steps/dagRuns/{run['dag_run_id']}/taskInstances/report/xcomEntries/watermark_there"
        self.stack.airflow.api.call("PATCH", path, json={"value": value, "map_index": -1})

    def _runs(self) -> list[dict[str, Any]]:
        runs = self.stack.airflow.api.dag_runs("mirror_steps")
        return [run for run in runs if run["run_type"] == "scheduled"]


def test_scheduled_runs_build_on_each_other(stack: Stack) -> None:
    """The first run is a full one, the second catches up with missed days, and the third follows a failed one."""
    api, steps = stack.airflow.api, Steps(stack=stack)
    stack.push("steps/app", "old", TODAY - timedelta(days=30))
    stack.push("steps/quiet", "old", TODAY - timedelta(days=30))
    stack.quay.delay("GET", "/api/v1/repository$", 8)
    api.wait_for_dag("mirror_steps")
    api.unpause("mirror_steps")

    run = steps.ended(0)
    steps.begun(1)
    stack.quay.clear_requests()
    missed_since = datetime.fromisoformat(run["data_interval_end"]) - timedelta(days=5)
    stack.push("steps/app", "missed", missed_since + timedelta(hours=1))
    stack.push("steps/app", "before", missed_since - timedelta(days=1))
    assert len(steps.watermark(0)["routes"]) == 2
    steps.change(0, until=missed_since.isoformat())
    assert run["state"] == "success"
    assert stack.has("steps/app", "old")
    assert stack.has("steps/quiet", "old")
    everything = "everything (first run of this route, or its last run did not finish)"
    log = stack.log(run, "routes_to_there")
    assert f"steps/app → there: {everything}" in log
    assert f"steps/quiet → there: {everything}" in log

    run = steps.ended(1)
    steps.begun(2)
    assert len(steps.watermark(1)["routes"]) == 2
    steps.change(1, routes=[])
    assert run["state"] == "success"
    log = stack.log(run, "routes_to_there")
    assert f"steps/app → there: tags pushed {missed_since:%Y-%m-%d %H:%M}–" in log
    assert "(scheduled, with missed runs)" in log
    assert "1 repositories skipped: no push in the window" in log
    assert stack.labels(run) == ["steps/app → there"]
    assert stack.has("steps/app", "missed")
    assert not stack.has("steps/app", "before")
    assert stack.read_repositories() == {"steps/app"}

    run = steps.ended(2)
    stack.quay.clear_rules()
    api.unpause("mirror_steps", paused=True)
    assert stack.labels(run) == ["steps/app → there", "steps/quiet → there"]
    assert stack.has("steps/app", "before")


def test_the_run_with_the_tick_of_its_full_check_compares_everything(stack: Stack) -> None:
    stack.push("day/app", "ancient", TODAY - timedelta(days=200))
    api = stack.airflow.api
    api.wait_for_dag("mirror_checked")
    api.unpause("mirror_checked")
    wait_until(lambda: bool(api.dag_runs("mirror_checked")), "the scheduler made a run")
    run = api.wait_for_run("mirror_checked", api.dag_runs("mirror_checked")[0]["dag_run_id"])
    api.unpause("mirror_checked", paused=True)
    assert (run["run_type"], run["state"]) == ("scheduled", "success")
    assert "Window of this run: everything (full check, @daily)" in stack.log(run, "routes_to_there")
    assert "Looked at everything (full check, @daily)" in stack.log(run, "report")
    assert stack.has("day/app", "ancient")


def test_a_manual_run_compares_everything_by_default(stack: Stack) -> None:
    api = stack.airflow.api
    asked = {
        "window": "from_to",
        "window_from": (LAST_HOUR - timedelta(days=4)).isoformat(),
        "window_to": (LAST_HOUR - timedelta(days=2)).isoformat(),
    }
    stack.push("steps/app", "asked-for", LAST_HOUR - timedelta(days=3))
    api.unpause("mirror_steps")
    run = api.wait_for_run("mirror_steps", api.trigger("mirror_steps", asked))
    assert "(requested)" in stack.log(run, "routes_to_there")
    assert stack.has("steps/app", "asked-for")
    stack.push("steps/app", "even-older", TODAY - timedelta(days=60))
    run = api.wait_for_run("mirror_steps", api.trigger("mirror_steps"))
    assert "Window of this run: everything (manual run)" in stack.log(run, "routes_to_there")
    assert stack.has("steps/app", "even-older")
    run = api.wait_for_run("mirror_steps", api.trigger("mirror_steps", {"window_from": asked["window_from"]}))
    api.unpause("mirror_steps", paused=True)
    assert run["state"] == "failed"
    problem = "window_from and window_to go with window: from_to, not with 'auto'"
    assert problem in stack.log(run, "routes_to_there")
