"""The result of a mapped task: one XCom with the report of its route, and the row for the state of its destination.

Each XCom of a task costs a request to Airflow's API server, so the two are one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_sync.airflow.ids import REPORT_KEY, copy_task
from registry_sync.airflow.masking import masked
from registry_sync.state.document import StateError, as_document, read_document
from registry_sync.state.run_row import RunRow
from registry_sync.sync.report import RouteReport

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

log = logging.getLogger(__name__)

_ROW = "row"
"""The field of the row, beside those of the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteResult:
    """The report of a route, and its row; ``None`` in a dry run, and after a rate limit."""

    report: RouteReport
    row: RunRow | None = None


def push_result(ti: RuntimeTaskInstanceProtocol, result: RouteResult) -> None:
    """Push the result of the running task, with secrets masked."""
    row = {_ROW: as_document(result.row)} if result.row else {}
    ti.xcom_push(REPORT_KEY, masked(result.report).to_json() | row)


def pull_results(ti: Any, destination: str, **run: str) -> list[RouteResult]:
    """The results of the routes to a destination, in any order. A task that was killed has none.

    :param run: ``dag_id`` and ``run_id``, unless it is this one.
    """
    return parse_results(ti.xcom_pull(task_ids=[copy_task(destination)], key=REPORT_KEY, **run) or [])


def parse_results(pushed: Iterable[Mapping[str, Any] | None]) -> list[RouteResult]:
    """Read what :func:`push_result` pushed; ``None`` is skipped."""
    return [_parse(dict(document)) for document in pushed if document]


def _parse(document: dict[str, Any]) -> RouteResult:
    row = document.pop(_ROW, None)
    report = RouteReport.from_json(document)
    return RouteResult(report=report, row=_parse_row(row, report) if row else None)


def _parse_row(document: Any, report: RouteReport) -> RunRow | None:
    """The row; ``None`` for that of another version, such as one before an upgrade in the middle of a run."""
    try:
        return read_document(RunRow, document)
    except StateError as error:
        log.warning("The state of %s → %s lacks this run: %s", report.source, report.destination, error)
        return None
