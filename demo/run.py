"""``make demo``: one whole DAG run in one process, after which no Airflow is left running."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from demo.folder import DemoFolder, shown
from demo.images import push_images
from demo.registries import DAG_ID, SOURCE, airflow_of, running_registries, write_mirrors_file
from testkit.airflow import LocalAirflow
from testkit.airflow_api import log_text

TAIL_LINES = 25

_TASK_LOGGERS = ("task", "airflow.task", "registry_sync")
"""Loggers of a task; the others are those of the server in the same process."""


def run(folder: DemoFolder) -> int:
    """Mirror the images through one DAG run, and print its progress. Return 0 when it succeeded."""
    started = time.monotonic()
    with running_registries(folder) as registries:
        for name, registry in registries.items():
            print(f"Registry     {name} is {registry.host}", flush=True)
        count = push_images(registries[SOURCE].url)
        print(f"Images       {count} tags are in {SOURCE}, of several platforms each", flush=True)
        write_mirrors_file(folder.mirrors_file, registries)
        print(f"Mirrors file {shown(folder.mirrors_file)}", flush=True)
        airflow = airflow_of(folder, settings={"AIRFLOW__LOGGING__JSON_LOGS": "True"})
        print(f"Airflow      runs the DAG {DAG_ID} (it starts in some seconds)\n", flush=True)
        code = _run_dag(airflow, folder)
    print(f"{time.monotonic() - started:.0f} seconds. All that Airflow printed: {shown(folder.airflow_output)}")
    if code == 0:
        print("\nmake demo    runs it again, and copies only what is missing or changed")
        print("make ui      shows it in Airflow's web UI")
    return code


def _run_dag(airflow: LocalAirflow, folder: DemoFolder) -> int:
    progress = Progress()
    with folder.airflow_output.open("w") as output, airflow.stream("dags", "test", DAG_ID) as lines:
        for text in progress.follow(_records(lines, output)):
            print(text, flush=True)
        code = lines.wait()
    print(f"\n{progress.ending(succeeded=code == 0)}\n")
    return code


def _records(lines: Iterable[str], output: TextIO) -> Iterator[dict[str, Any]]:
    """Records of Airflow's log. Other printed lines become records too."""
    for line in lines:
        output.write(f"{line}\n")
        try:
            record = json.loads(line)
        except ValueError:
            record = line
        yield record if isinstance(record, dict) else {"event": line}


class Progress:
    """Turns the log of ``airflow dags test`` into readable progress."""

    _TASK = re.compile(r"\[DAG TEST\] (?P<what>starting|end task) task_id=(?P<task>\S+) map_index=(?P<index>-?\d+)")
    _ROUTES = re.compile(r"\d+ routes:\n(?P<labels>.+)", re.DOTALL)
    _TAG = re.compile(r"\[\d+/\d+\] ")

    def __init__(self) -> None:
        self._planned_by = ""
        self._labels: dict[str, list[str]] = {}
        self._last = deque[str](maxlen=TAIL_LINES)
        self._log: list[str] = []
        self._failed_log: list[str] = []
        self._is_quiet = True
        self._report: list[str] = []

    def follow(self, records: Iterable[dict[str, Any]]) -> Iterator[str]:
        """Lines to print, as things happen."""
        for record in records:
            text, logger = log_text(record), str(record.get("logger", ""))
            self._last.append(text)
            if logger.startswith(_TASK_LOGGERS) and not text.startswith("::"):
                self._log.append(text)
            if match := self._TASK.match(text):
                yield from self._turn(**match.groupdict())
            elif logger.endswith("ListRoutesOperator") and (match := self._ROUTES.match(text)):
                self._labels[self._planned_by] = match["labels"].splitlines()
            elif logger.startswith("registry_sync.") and self._TAG.match(text):
                self._is_quiet = False
                yield f"    {text}"
            elif logger.endswith("ReportOperator"):
                self._report.append(text.strip())
            elif logger == "task" and record.get("level") == "error":
                self._is_quiet = False
                self._failed_log = self._failed_log or self._log[-TAIL_LINES:]
                yield f"    FAILED: {_reason(record)}"

    def ending(self, *, succeeded: bool) -> str:
        """The run's report from its last task; for a failed run, also the log of the first failure."""
        if succeeded:
            return "\n\n".join(self._report)
        tail = self._failed_log or self._last
        return "\n\n".join([*self._report, "The log of the first failure ends with:", "\n".join(tail)])

    def _turn(self, what: str, task: str, index: str) -> Iterator[str]:
        """Follow the start or end of a task."""
        if what == "starting":
            self._log, self._is_quiet = [], True
            if int(index) < 0:
                self._planned_by = task
            label = self._label(task, int(index))
            yield f"  {task}" + (f"  {label}" if label else "")
        elif int(index) >= 0 and self._is_quiet:
            yield "    nothing to copy"

    def _label(self, task: str, index: int) -> str:
        """Route of a mapped task. Its map index counts the planned routes."""
        labels = self._labels.get(f"routes_{task}", [])
        return labels[index] if 0 <= index < len(labels) else ""


def _reason(record: Mapping[str, Any]) -> str:
    """Message of an error's own exception, without its causes."""
    raised = record.get("exception")
    return str(raised[0]["exc_value"] if isinstance(raised, list) and raised else record.get("event", ""))
