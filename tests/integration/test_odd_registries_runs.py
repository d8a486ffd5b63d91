"""Odd registries in whole DAG runs: a destination that folds case, odd names in a namespace, an emptied source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testkit import images
from testkit.airflow import LocalAirflow
from testkit.small_registry import SmallRegistry
from testkit.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

_MIRRORS = """\
registries:
  here: {{host: "{here}", tls: false}}
  there: {{host: "{there}", tls: false}}
mirrors:
  folded:
    schedule: "@daily"
    start_date: "{start}"
    catchup: true
    source: here
    destinations: [there]
    prune: {{tags: gone_at_source, max_percent: 100, dry_run: false}}
    repositories: [case/app]
  odd:
    source: here
    destinations: [there]
    retries: 0
    repositories: [{{namespace: team}}]
"""


@dataclass(frozen=True, kw_only=True)
class Stack:
    here: SmallRegistry
    there: SmallRegistry
    airflow: LocalAirflow

    def report(self, run: dict[str, Any]) -> str:
        return self.airflow.api.log(run["dag_id"], run["dag_run_id"], "report")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("odd")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with ExitStack() as opened:
        here = opened.enter_context(SmallRegistry())
        there = opened.enter_context(SmallRegistry(folds_case=True))
        text = _MIRRORS.format(here=here.host, there=there.host, start=f"{today - timedelta(days=4):%Y-%m-%d}")
        (folder / "mirrors.yaml").write_text(text)
        airflow = LocalAirflow(folder / "home", mirrors_file=folder / "mirrors.yaml", paused=True)
        opened.enter_context(airflow)
        yield Stack(here=here, there=there, airflow=airflow)


def push(registry: SmallRegistry, *references: str) -> None:
    for reference in references:
        name, _, tag = reference.partition(":")
        images.push(registry.url, name, tag or "v1", images.image([], labels={"reference": reference}))


def test_a_destination_that_folds_case_keeps_the_mirrored_tag_over_four_scheduled_runs(stack: Stack) -> None:
    """The third run deleted it, and the fourth copied it again."""
    push(stack.here, "case/app:RC2", "case/app:v3", "case/app:v4")
    push(stack.there, "case/app:v0")
    api = stack.airflow.api
    api.wait_for_dag("mirror_folded")
    api.unpause("mirror_folded")
    wait_until(lambda: len(api.dag_runs("mirror_folded")) >= 4, "four scheduled runs")
    runs = sorted(api.dag_runs("mirror_folded"), key=lambda run: str(run["logical_date"]))[:4]
    ended = [api.wait_for_run("mirror_folded", run["dag_run_id"]) for run in runs]
    assert [run["state"] for run in ended] == ["success"] * 4
    summaries = ["3 tags copied, 0 unchanged, 1 to be deleted", *["everything is in sync, nothing was copied"] * 3]
    for run, summary in zip(ended, summaries, strict=True):
        assert f"folded: {summary}" in stack.report(run)
    assert set(stack.there.tags("case/app")) == {"rc2", "v3", "v4"}
    deleted = [request.path for request in stack.there.requests() if request.method == "DELETE"]
    assert deleted == ["/v2/case/app/manifests/v0"]
    assert "1 tags are not deleted: they differ from a tag of the source in case only" in stack.report(ended[3])


def test_an_odd_repository_and_an_emptied_one_fail_alone(stack: Stack) -> None:
    push(stack.here, "team/one", "team/two", "team/a___b")
    api = stack.airflow.api
    api.unpause("mirror_odd")
    first = api.wait_for_run("mirror_odd", api.trigger("mirror_odd"))
    assert first["state"] == "failed"
    report = stack.report(first)
    assert "odd: 1 of 3 routes failed, 2 tags copied" in report
    assert f"{stack.here.host}/team/a___b → {stack.there.host}: 'team/a___b' is not a repository name" in report
    assert set(stack.there.tags("team/one")) == set(stack.there.tags("team/two")) == {"v1"}
    del stack.here.stored["team/a___b"]
    stack.here.stored["team/one"].tags.clear()
    second = api.wait_for_run("mirror_odd", api.trigger("mirror_odd"))
    assert second["state"] == "failed"
    report = stack.report(second)
    assert "odd: 1 of 2 routes failed, 0 tags copied" in report
    assert f"team/one lists no tags, while {stack.there.host}/team/one has 1 tags that its rules select" in report
