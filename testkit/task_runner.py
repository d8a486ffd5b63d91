"""One task through Airflow's own task runner without a database: the execution API is a fake at the wire.

:func:`run` runs it in this process. :func:`supervise` runs it in its own process below Airflow's real supervisor, with
its log file, as on a worker.
"""

from __future__ import annotations

import gc
import json
import re
import signal
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from airflow.executors.workloads.base import BundleInfo
from airflow.sdk import DAG
from airflow.sdk.api.client import Client
from airflow.sdk.api.datamodels._generated import TaskInstance
from airflow.sdk.execution_time.comms import DeferTask
from airflow.sdk.execution_time.supervisor import TaskRunResult, run_task_in_process, supervise_task

from testkit.waiting import PATIENCE_SECONDS

RUN_ID = "manual__2026-01-01"
THIS_TASK = "this task"
_ENDED = {"detail": {"reason": "not_running", "message": "somebody marked it as failed", "current_state": "failed"}}


@dataclass(kw_only=True)
class FakeApi:
    """State of one DAG run in Airflow's execution API, and the messages of tasks to it.

    ``connections`` are by id, ``xcoms`` by task, map index and key; ``states`` by task id, with ``_INDEX`` for one of a
    mapped task. With an ``interval`` the run is a scheduled one; ``logical_date`` is that of a run by hand.
    ``messages`` are the states that tasks reported, ``rendered`` their rendered fields and labels. With ``resume`` a
    task goes on after that wait; with ``is_ended`` it learns at its next heartbeat that it has to end. ``others`` are
    XComs of other runs, by DAG, run, task and key. ``stored`` are the values of the asset state store, by asset and
    key; with ``is_store_broken`` it refuses every value, and with ``is_store_silent`` the task's ``execution_timeout``
    ends while it waits for the store. The store of the task
    itself is that of :data:`THIS_TASK`. ``store_writes`` are the keys that were written and deleted, ``pulled`` the
    keys of the XComs that were read, each with its bytes. ``paused`` are the DAGs that Airflow knows, ``runs`` numbers
    of runs by DAG and state. With another ``connection_status`` than 200 every Connection is answered so.
    ``triggering`` are the asset events that started the run, each from :func:`asset_event`; ``asset_events`` those of
    an asset, by its name. ``skipped`` are the tasks
    that a task skipped. ``requests`` are all of them, without the ids of task and run.
    """

    dag_id: str
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    conf: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    interval: tuple[datetime, datetime] | None = None
    logical_date: str | None = None
    max_tries: int = 3
    should_retry: bool = True
    xcoms: dict[tuple[str, int, str], Any] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    rendered: list[Any] = field(default_factory=list)
    resume: DeferTask | None = None
    is_ended: bool = False
    others: dict[tuple[str, str, str, str], list[Any]] = field(default_factory=dict)
    stored: dict[tuple[str, str], Any] = field(default_factory=dict)
    is_store_broken: bool = False
    is_store_silent: bool = False
    connection_status: int = 200
    paused: Mapping[str, bool] = field(default_factory=dict)
    runs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    store_writes: list[tuple[str, str]] = field(default_factory=list)
    pulled: list[tuple[str, int]] = field(default_factory=list)
    triggering: Sequence[Mapping[str, Any]] = ()
    asset_events: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def client(self) -> Client:
        return Client(base_url="http://in-memory", token="", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.requests.append(_shown(request))
        match request.method, request.url.path.strip("/").split("/"):
            case method, ["task-instances", *rest]:
                return self._answer_task(method, rest, request, body)
            case "GET", ["dags", dag_id]:
                return self._dag(dag_id)
            case "GET", ["dag-runs", "count"]:
                dag_id, states = request.url.params["dag_id"], request.url.params.get_list("states")
                return httpx.Response(200, json=sum(self.runs.get((dag_id, state), 0) for state in states))
            case "GET", ["asset-events", "by-asset"]:
                return self._asset_events(request)
            case "GET", ["connections", name]:
                return self._connection(name)
            case "GET", ["xcoms", dag_id, run_id, task_id, key, "slice"] if (dag_id, run_id) != (self.dag_id, RUN_ID):
                return httpx.Response(200, json=self.others.get((dag_id, run_id, task_id, key), []))
            case method, ["xcoms", _, _, task_id, key, *rest]:
                return self._xcom(method, task_id, key, rest, request, body)
            case method, ["store", "asset", "by-name", "value"]:
                return self._store(method, request.url.params["name"], request.url.params["key"], body)
            case method, ["store", "ti", _, key]:
                return self._store(method, THIS_TASK, key, body)
        raise AssertionError(f"the fake of Airflow's API does not know {request.method} {request.url}")

    def _answer_task(self, method: str, path: list[str], request: httpx.Request, body: Any) -> httpx.Response:
        match method, path:
            case "PATCH", [_, "run"]:
                return httpx.Response(200, json=self._run_context())
            case "PATCH", [_, "state"]:
                self.messages.append(dict(body or {}))
                return httpx.Response(204)
            case ("PUT", [_, "rtif"]) | ("PATCH", [_, "rendered-map-index"]):
                self.rendered.append(body)
                return httpx.Response(201, json={"ok": True})
            case "PATCH", [_, "skip-downstream"]:
                self.skipped += (body or {})["tasks"]
                return httpx.Response(204)
            case "PUT", [_, "heartbeat"]:
                return httpx.Response(409, json=_ENDED) if self.is_ended else httpx.Response(204)
            case "GET", [_, "validate-inlets-and-outlets"]:
                return httpx.Response(200, json={"inactive_assets": []})
            case "GET", ["states"]:
                dag_id = request.url.params["dag_id"]
                states = {run: {"report": "success"} for dag, run, *_ in self.others if dag == dag_id}
                own = {RUN_ID: self._states(request)} if dag_id == self.dag_id else {}
                return httpx.Response(200, json={"task_states": {**states, **own}})
        raise AssertionError(f"the fake of Airflow's API does not know {request.method} {request.url}")

    def _run_context(self) -> dict[str, Any]:
        run: dict[str, Any] = dict.fromkeys(_DAG_RUN_FIELDS)
        run |= {"dag_id": self.dag_id, "run_id": RUN_ID, "run_after": _NOW, "run_type": "manual", "state": "running"}
        run |= {"logical_date": self.logical_date}
        if self.interval:
            start, end = (each.isoformat() for each in self.interval)
            run |= {
                "run_type": "scheduled",
                "data_interval_start": start,
                "data_interval_end": end,
                "logical_date": start,
            }
        if self.triggering:
            run |= {"run_type": "asset_triggered"}
        run |= {"conf": dict(self.conf), "consumed_asset_events": list(map(_as_reference, self.triggering))}
        context: dict[str, Any] = {"dag_run": run, "max_tries": self.max_tries, "should_retry": self.should_retry}
        if self.resume:
            kwargs = {**dict(self.resume.next_kwargs or {}), "event": {"resume_at": "as the trigger says"}}
            context |= {"next_method": self.resume.next_method, "next_kwargs": kwargs}
        return context

    def _states(self, request: httpx.Request) -> dict[str, str]:
        asked = request.url.params.get_list("task_ids")
        return {name: state for name, state in self.states.items() if re.sub(r"_\d+$", "", name) in asked}

    def _asset_events(self, request: httpx.Request) -> httpx.Response:
        after = datetime.fromisoformat(request.url.params["after"])
        events = self.asset_events.get(request.url.params["name"], ())
        found = [event for event in events if datetime.fromisoformat(event["timestamp"]) >= after]
        limit = int(request.url.params["limit"])
        return httpx.Response(200, json={"asset_events": found[:limit]})

    def _dag(self, dag_id: str) -> httpx.Response:
        if dag_id not in self.paused:
            return httpx.Response(404, json={"detail": {"reason": "not_found", "message": f"no {dag_id}"}})
        empty = dict.fromkeys(("bundle_name", "bundle_version", "relative_fileloc", "owners", "next_dagrun"))
        return httpx.Response(200, json={**empty, "dag_id": dag_id, "is_paused": self.paused[dag_id], "tags": []})

    def _connection(self, name: str) -> httpx.Response:
        if self.connection_status != 200:
            return httpx.Response(self.connection_status, json={"detail": {"reason": "broken", "message": "try later"}})
        if name not in self.connections:
            return httpx.Response(404, json={"detail": {"reason": "not_found", "message": f"no {name}"}})
        empty = dict.fromkeys(("host", "schema", "login", "password", "port", "extra"))
        return httpx.Response(200, json={**empty, "conn_id": name, "conn_type": "docker", **self.connections[name]})

    def _store(self, method: str, asset: str, key: str, body: Any) -> httpx.Response:
        if self.is_store_silent:
            signal.setitimer(signal.ITIMER_REAL, 0.001)  # the timer of Airflow's time limit
            time.sleep(PATIENCE_SECONDS)
        if method != "GET":
            self.store_writes.append((method, key))
        match method:
            case "PUT" if self.is_store_broken:
                return httpx.Response(400, json={"detail": {"reason": "broken", "message": "the store is broken"}})
            case "GET" if (asset, key) in self.stored:
                return httpx.Response(200, json={"value": self.stored[asset, key]})
            case "PUT":
                self.stored[asset, key] = body["value"]
                return httpx.Response(204)
            case "DELETE":
                self.stored.pop((asset, key), None)
                return httpx.Response(204)
        return httpx.Response(404, json={"detail": {"reason": "not_found", "message": f"no {key}"}})

    def _xcom(
        self, method: str, task_id: str, key: str, rest: list[str], request: httpx.Request, value: Any
    ) -> httpx.Response:
        map_index = int(request.url.params.get("map_index", "-1"))
        found = [self.xcoms[xcom] for xcom in sorted(self.xcoms) if (xcom[0], xcom[2]) == (task_id, key)]
        match method, rest:
            case "POST", []:
                self.xcoms[task_id, map_index, key] = value
                return httpx.Response(201, json={"ok": True})
            case "GET", ["slice"]:
                self.pulled.append((key, len(json.dumps(found))))
                return httpx.Response(200, json=found)
            case "GET", [] if (task_id, map_index, key) in self.xcoms:
                self.pulled.append((key, len(json.dumps(self.xcoms[task_id, map_index, key]))))
                return httpx.Response(200, json={"key": key, "value": self.xcoms[task_id, map_index, key]})
            case "GET", []:
                return httpx.Response(404, json={"detail": {"reason": "not_found", "message": "no such XCom"}})
        raise AssertionError(f"the fake of Airflow's API does not know {method} {request.url}")


def _shown(request: httpx.Request) -> str:
    """A request without ids, and with the key of a stored value."""
    kind, *path = request.url.path.strip("/").split("/")
    shown = {
        "task-instances": path[-1:],
        "xcoms": [kind, *path[2:]],
        "store": [kind, request.url.params.get("key", "")],
    }
    return f"{request.method} {'/'.join(shown.get(kind, [kind, *path]))}"


def asset_event(name: str, uri: str, extra: Any, at: datetime, *, task: str | None = None) -> dict[str, Any]:
    """An event of an asset as the execution API returns it.

    :param task: the task that emitted it; ``None``: it came from outside.
    """
    asset = {"id": 1, "name": name, "uri": uri, "group": "asset", "extra": {}}
    source = dict.fromkeys(("source_dag_id", "source_run_id", "source_map_index"))
    event = {"id": 1, "timestamp": at.isoformat(), "extra": extra, "asset": asset, "created_dagruns": []}
    return {**event, **source, "source_task_id": task}


def _as_reference(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event among those that started a run has fewer fields."""
    asset = {name: event["asset"][name] for name in ("name", "uri", "extra")}
    own = {name: value for name, value in event.items() if name not in ("id", "created_dagruns")}
    return {**own, "asset": asset, "source_aliases": []}


_NOW = "2026-01-01T00:00:00Z"
_DAG_RUN_FIELDS = (
    *("logical_date", "data_interval_start", "data_interval_end", "start_date", "end_date", "partition_key"),
)


def run(dag: DAG, task_id: str, api: FakeApi, *, map_index: int = -1, try_number: int = 1) -> TaskRunResult:
    """Run a task of ``dag`` here, with parameters, templates, mapping, retries and deferral as on a worker."""
    ti = _task_instance(dag.dag_id, task_id, map_index, try_number)
    with _signals_kept(), api.client() as client:
        return run_task_in_process(ti, dag.task_dict[task_id], client=client)


def supervise(task_id: str, api: FakeApi, log_file: Path, *, map_index: int = -1) -> str:
    """Run a task of the project's DAG file in its own process, and return its log."""
    ti = _task_instance(api.dag_id, task_id, map_index, 1)
    with _signals_kept(), warnings.catch_warnings(), api.client() as client:
        warnings.simplefilter("ignore", ResourceWarning)  # the supervisor leaves its sockets to the garbage collector
        supervise_task(
            ti=ti,
            bundle_info=BundleInfo(name="dags-folder"),
            dag_rel_path="mirrors.py",
            token="",
            client=client,
            log_path=str(log_file),
        )
        gc.collect()
    return log_file.read_text()


def _task_instance(dag_id: str, task_id: str, map_index: int, try_number: int) -> TaskInstance:
    return TaskInstance(
        id=uuid.uuid4(),
        dag_version_id=uuid.uuid4(),
        dag_id=dag_id,
        task_id=task_id,
        run_id=RUN_ID,
        map_index=map_index,
        try_number=try_number,
    )


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the handler of SIGTERM, which the runner replaces."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def trigger_arguments(message: DeferTask) -> dict[str, Any]:
    """Arguments of a deferred task's trigger."""
    assert isinstance(message.trigger_kwargs, dict)
    return dict(message.trigger_kwargs)
