"""Metrics of real task processes, as StatsD servers and an OpenTelemetry collector receive them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from registry_sync.airflow.dags.watch import WATCH_TASK
from registry_sync.airflow.ids import READINESS_DAG as READINESS
from registry_sync.airflow.ids import REPORT_TASK, copy_task, routes_task
from registry_sync.airflow.ids import WATCH_DAG as WATCH
from registry_sync.config.reading.file_text import PATH_VARIABLE
from registry_sync.registry.traffic import Traffic
from registry_sync.routes.load import load_mirrors
from registry_sync.routes.route import Route, route_of
from registry_sync.state.document import as_document
from registry_sync.state.metrics import METRICS
from registry_sync.state.names import READINESS_ASSET, READINESS_KEY, asset_name
from registry_sync.state.readiness import PoolStart, ReadinessState
from registry_sync.sync.report import RouteReport
from registry_sync.sync.scope import RouteScope, RouteTask
from testkit.loopback import LOOPBACK
from testkit.metrics_receivers import OUR_PREFIX, OtelReceiver, StatsdListener
from testkit.states import synthetic_destination
from testkit.task_runner import FakeApi, supervise

ROUTES, COPY = routes_task("backup"), copy_task("backup")

MIRRORS: Mapping[str, Mapping[str, Any]] = {
    "registries": {
        "origin": {"host": f"{LOOPBACK}:1", "tls": False},
        "backup": {"host": f"{LOOPBACK}:2", "tls": False, "private": True},
    },
    "mirrors": {
        "team": {"source": "origin", "destinations": ["backup"], "repositories": ["team/app"], "fresh_within": "2h"}
    },
    "nodes": {"outside": {"registry": "origin", "mirrors": ["backup"], "bootstrap_images": ["team/app"]}},
}

DONE: dict[str, Any] = {
    "counts": {"copied": 2, "unchanged": 1},
    "sent_bytes": 1234,
    "traffic": Traffic(requests=9, pulls=3, waits=1, wait_seconds=2.4),
}
"""A route of which two tags were copied, in nine requests."""

COUNTERS = {
    "copied_tags": 2,
    "copied_bytes": 1234,
    "deleted_tags": 0,
    "requests": 9,
    "pulls": 3,
    "rate_limit_waits": 1,
    "rate_limit_wait_seconds": 2,
}


class Reporter:
    """Runs the last task of a DAG in a process of its own, with settings for metrics."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        self._file = folder / "mirrors.yaml"
        self._file.write_text(json.dumps(MIRRORS))
        monkeypatch.setenv(PATH_VARIABLE, str(self._file))

    def report_run(self, settings: Mapping[str, str]) -> str:
        """Report a run whose only route is :data:`DONE`, and return the log. An earlier run stored a state."""
        route = self._route()
        conf = {"repositories": ["team/app"]}  # so that the run keeps what is stored about other repositories
        api = FakeApi(dag_id="mirror_team", conf=conf, states={ROUTES: "success", f"{COPY}_0": "success"})
        api.stored = {(asset_name("team", "backup"), key): value for key, value in _stored(datetime.now(UTC)).items()}
        api.xcoms[ROUTES, -1, "return_value"] = [0]
        work = RouteTask(route=route, scope=RouteScope(), name="team/app")
        api.xcoms[ROUTES, -1, "routes_0"] = [json.dumps(work.to_json())]
        api.xcoms[COPY, 0, "report"] = RouteReport.of_route(route, **DONE).to_json()
        return self._run(api, settings, "success")

    def report_readiness(self, settings: Mapping[str, str]) -> str:
        """Report checks that never took place, and return the log."""
        return self._run(FakeApi(dag_id=READINESS), settings, "failed")

    def watch(self, stored: Mapping[str, Mapping[str, Any]], settings: Mapping[str, str]) -> str:
        """Look at what is stored, by asset, and return the log."""
        api = FakeApi(dag_id=WATCH)
        api.stored = {(asset, key): value for asset, documents in stored.items() for key, value in documents.items()}
        return self._run(api, settings, "success", task=WATCH_TASK)

    def _run(self, api: FakeApi, settings: Mapping[str, str], state: str, *, task: str = REPORT_TASK) -> str:
        for name, value in settings.items():
            self._monkeypatch.setenv(name, value)
        log = supervise(task, api, self._folder / "report.log")
        assert api.messages[-1]["state"] == state, log
        return log

    def _route(self) -> Route:
        file = load_mirrors(self._file)
        mirror = file.mirrors["team"]
        return route_of(mirror, mirror.rules[0], file.registries["origin"], file.registries["backup"], "team/app")


GAUGES = {
    name for name, metric in METRICS.items() if metric.kind == "gauge" and metric.labels == ("mirror", "destination")
}


def _stored(ended: datetime) -> Mapping[str, Any]:
    """State of two routes in sync, left by a run that ended five minutes before ``ended``."""
    hosts = (MIRRORS["registries"][name]["host"] for name in ("origin", "backup"))
    source, destination = map(str, hosts)
    return synthetic_destination("team", source, "backup", destination, now=ended, routes=2, tags=3).documents


@pytest.fixture
def reporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reporter:
    return Reporter(tmp_path, monkeypatch)


def test_plain_statsd_has_the_labels_in_the_names(reporter: Reporter) -> None:
    with StatsdListener() as listener:
        reporter.report_run(listener.settings)
        lines = listener.stop()
    counters = [line for line in lines if line.endswith("|c")]
    assert counters == [f"{OUR_PREFIX}{name}.team.backup:{value}|c" for name, value in COUNTERS.items()]
    gauges = [line.partition(":")[0] for line in lines if line.endswith("|g")]
    assert sorted(gauges) == sorted(f"{OUR_PREFIX}{name}.team.backup" for name in GAUGES)


def test_statsd_with_tags_has_each_value_once(reporter: Reporter) -> None:
    """In InfluxDB's form. The names have no labels then, so that no value is there twice."""
    with StatsdListener() as listener:
        reporter.report_run({**listener.settings, "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True"})
        lines = listener.stop()
    tags = "mirror=team,destination=backup"
    counters = [line for line in lines if line.endswith("|c")]
    assert counters == [f"{OUR_PREFIX}{name},{tags}:{value}|c" for name, value in COUNTERS.items()]
    gauges = [line.partition(":")[0] for line in lines if line.endswith("|g")]
    assert sorted(gauges) == sorted(f"{OUR_PREFIX}{name},{tags}" for name in GAUGES)


def test_opentelemetry_has_tags_and_kinds(reporter: Reporter) -> None:
    """The counts of a short process are exported before it ends."""
    with OtelReceiver() as receiver:
        reporter.report_run(receiver.settings)
        points = receiver.points()
    labels = frozenset({("mirror", "team"), ("destination", "backup")})
    counters = {name: point for (name, _), point in points.items() if point[0] == "sum"}
    assert counters == {f"{OUR_PREFIX}{name}": ("sum", value) for name, value in COUNTERS.items()}
    assert {own for _, own in points} == {labels}
    gauges = {name for (name, _), point in points.items() if point[0] == "gauge"}
    assert gauges == {f"{OUR_PREFIX}{name}" for name in GAUGES}


def test_readiness_is_a_gauge_for_each_outage(reporter: Reporter) -> None:
    with StatsdListener() as listener:
        reporter.report_readiness(listener.settings)
        lines = listener.stop()
    starts = [f"{OUR_PREFIX}pool_start.outside.{down}:0|g" for down in ("none", "backup", "origin")]
    *others, age = lines
    assert others == starts
    assert re.fullmatch(rf"{re.escape(OUR_PREFIX)}readiness_age_seconds:\d{{1,3}}\|g", age)


def test_ages_are_sent_while_no_run_comes(reporter: Reporter) -> None:
    """The DAG mirror_watch sends all gauges again: of each destination, and of the last readiness check."""
    now = datetime.now(UTC)
    ended = now - timedelta(hours=5)
    start = PoolStart(pool="outside", answer="starts")
    readiness = ReadinessState(read_at=ended, run_id="run", starts=(start,))
    stored = {
        asset_name("team", "backup"): _stored(ended),
        READINESS_ASSET: {READINESS_KEY: as_document(readiness)},
    }
    with StatsdListener() as listener:
        reporter.watch(stored, listener.settings)
        lines = listener.stop()
    values = {name: int(value) for name, value in (line.removesuffix("|g").split(":") for line in lines)}
    own = {f"{OUR_PREFIX}{name}.team.backup" for name in GAUGES}
    assert values.keys() == {*own, f"{OUR_PREFIX}pool_start.outside.none", f"{OUR_PREFIX}readiness_age_seconds"}
    assert len(lines) == len(values)
    assert 5 * 3600 <= values[f"{OUR_PREFIX}readiness_age_seconds"] < 6 * 3600
    assert 5 * 3600 <= values[f"{OUR_PREFIX}run_age_seconds.team.backup"] < 6 * 3600
    assert values[f"{OUR_PREFIX}tags_in_sync.team.backup"] == 6


def test_a_server_that_is_down_fails_no_task(reporter: Reporter) -> None:
    with StatsdListener() as listener:
        settings = listener.settings
    assert "metrics could not be sent" not in reporter.report_run(settings)


def test_a_collector_that_refuses_fails_no_task(reporter: Reporter) -> None:
    with OtelReceiver(status=400) as receiver:
        reporter.report_run(receiver.settings)
        assert receiver.shown
