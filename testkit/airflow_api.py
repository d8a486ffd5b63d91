"""Airflow's REST API, as tests, the demo and bench use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import requests

from testkit.waiting import PATIENCE_SECONDS, wait_until

FINISHED = ("success", "failed")


class AirflowApiError(Exception):
    """An unsuccessful answer of the REST API, with its ``status`` and ``body``."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.body = response.text
        super().__init__(f"{response.request.method} {response.url} answered {self.status}: {self.body[:1000]}")


class AirflowApi:
    """Airflow's REST API, as far as tests and the demo need it. It returns the API's own documents."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url, self._user, self._password = url, user, password
        self._session = requests.Session()
        self._session.trust_env = False

    @cached_property
    def token(self) -> str:
        """Token of a log-in; the web UI has it in the cookie ``_token``."""
        login = {"username": self._user, "password": self._password}
        response = self._session.post(f"{self._url}/auth/token", json=login, timeout=PATIENCE_SECONDS)
        return str(_document(response)["access_token"])

    def call(self, method: str, path: str, *, json: Any = None, **params: Any) -> Any:
        """Send a request below ``/api/v2/``, and return the answer's document.

        :raises AirflowApiError: when the answer is not a success.
        """
        response = self._session.request(
            method,
            f"{self._url}/api/v2/{path}",
            json=json,
            params=params,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=PATIENCE_SECONDS,
        )
        return _document(response)

    def wait_for_dag(self, dag_id: str, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait until the DAG has been read and can run, and return it."""

        def found() -> dict[str, Any] | None:
            try:
                dag: dict[str, Any] = self.call("GET", f"dags/{dag_id}")
            except AirflowApiError as error:
                if error.status != requests.codes.not_found:
                    raise
                return None
            return None if dag["is_stale"] or dag["has_import_errors"] else dag

        return wait_until(found, f"{dag_id} can run", seconds=seconds)

    def unpause(self, dag_id: str, *, paused: bool = False) -> None:
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": paused})

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, *, logical_date: datetime | None = None
    ) -> str:
        """Trigger a run by hand, and return its id."""
        moment = logical_date.isoformat() if logical_date else None
        body = {"conf": dict(conf or {}), "logical_date": moment}
        return str(self.call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        run: dict[str, Any] = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")
        return run

    def dag_runs(self, dag_id: str) -> list[dict[str, Any]]:
        """DAG runs, oldest first."""
        answer = self.call("GET", f"dags/{dag_id}/dagRuns", order_by="run_after", limit=100)
        return list(answer["dag_runs"])

    def wait_for_run(self, dag_id: str, run_id: str, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait until the run has succeeded or failed, and return it."""

        def finished() -> dict[str, Any] | None:
            run = self.dag_run(dag_id, run_id)
            return run if run["state"] in FINISHED else None

        return wait_until(finished, f"{run_id} of {dag_id} ends", seconds=seconds)

    def task_instances(self, dag_id: str, run_id: str, task_id: str | None = None) -> list[dict[str, Any]]:
        """Task instances by task and map index; ``rendered_map_index`` is the label."""
        only = {"task_id": task_id} if task_id else {}
        answer = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100, **only)
        return sorted(
            answer["task_instances"], key=lambda task_instance: (task_instance["task_id"], task_instance["map_index"])
        )

    def log(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, try_number: int = 1) -> str:
        """Text of a try's log: log lines and messages of exceptions, without times and other fields."""
        path = f"{_task_instance(dag_id, run_id, task_id)}/logs/{try_number}"
        content = self.call("GET", path, map_index=map_index, full_content=True)["content"]
        return "\n".join(each if isinstance(each, str) else log_text(each) for each in content)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        path = f"{_task_instance(dag_id, run_id, task_id)}/xcomEntries/{key}"
        return self.call("GET", path, map_index=map_index, deserialize=False)["value"]

    def clear(
        self, dag_id: str, run_id: str, tasks: Sequence[str | tuple[str, int]], *, downstream: bool = True
    ) -> list[dict[str, Any]]:
        """Clear a task, or one map index of it, with the tasks after it. Return the cleared instances."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task if isinstance(task, str) else list(task) for task in tasks],
            "only_failed": False,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        return list(self.call("POST", f"dags/{dag_id}/clearTaskInstances", json=body)["task_instances"])

    def set_state(self, dag_id: str, run_id: str, task_id: str, state: str, *, map_index: int = -1) -> None:
        """Mark a task instance as ``failed`` or ``success``, as a person does in the UI. A running one is killed."""
        path = _task_instance(dag_id, run_id, task_id) + (f"/{map_index}" if map_index >= 0 else "")
        self.call("PATCH", path, json={"new_state": state})

    def backfill(
        self,
        dag_id: str,
        first: datetime,
        last: datetime,
        *,
        conf: Mapping[str, Any] | None = None,
        max_active_runs: int = 10,
        reprocess: Literal["none", "completed", "failed"] = "none",
    ) -> int:
        """Create a backfill between two dates, both included, and return its id."""
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "dag_run_conf": dict(conf or {}),
            "max_active_runs": max_active_runs,
            "reprocess_behavior": reprocess,
        }
        return int(self.call("POST", "backfills", json=body)["id"])

    def import_errors(self) -> dict[str, str]:
        """Import errors by file name."""
        errors = self.call("GET", "importErrors", limit=100)["import_errors"]
        return {Path(problem["filename"]).name: str(problem["stack_trace"]) for problem in errors}


def log_text(record: Mapping[str, Any]) -> str:
    """Text of a record of Airflow's structured log: its event, and the exceptions below it."""
    raised = record.get("error_detail") or record.get("exception") or []
    exceptions = [f"{each['exc_type']}: {each['exc_value']}" for each in raised if isinstance(each, Mapping)]
    return "\n".join([str(record.get("event", "")), *exceptions])


def _document(response: requests.Response) -> Any:
    if not response.ok:
        raise AirflowApiError(response)
    return response.json() if response.content else None


def _task_instance(dag_id: str, run_id: str, task_id: str) -> str:
    return f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
