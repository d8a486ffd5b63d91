"""One Airflow DAG per mirror of the mirrors file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param
from airflow.sdk.definitions.mappedoperator import MappedOperator

from registry_sync.airflow.ids import CHANGES_TASK, REPORT_TASK, copy_task, dag_id, routes_task
from registry_sync.airflow.operators.changes import ChangesOperator
from registry_sync.airflow.operators.list_routes import ListRoutesOperator
from registry_sync.airflow.operators.mirror_repository import MirrorRepositoryOperator
from registry_sync.airflow.operators.report import ReportOperator
from registry_sync.airflow.retries import MirrorRetryPolicy
from registry_sync.config.model import Mirror, MirrorsFile, Registry, rule_summary

DEFAULT_START_DATE = datetime(2026, 1, 1, tzinfo=UTC)

LABEL = "{{ (task.route.label)[:250] }}"
"""Airflow's label of a mapped task. Its column holds 250 characters; a longer one fails the task on PostgreSQL."""


def build_dag(mirror: Mirror, file: MirrorsFile) -> DAG:
    """Build the DAG of one mirror: list the routes to each destination, mirror each route, tell the changes, report.

    The task ``report`` alone is last, because a run has the state of its last tasks.
    """
    dag = DAG(
        dag_id=dag_id(mirror.name),
        description=mirror.description or None,
        doc_md=describe(mirror, file),
        schedule=CronDataIntervalTimetable(mirror.schedule, timezone="UTC") if mirror.schedule else None,
        start_date=mirror.start_date or DEFAULT_START_DATE,
        catchup=mirror.catchup,
        max_active_runs=1,
        params=parameters(mirror),
        tags=["registry_sync"],
        default_args=_default_args(mirror),
    )
    with dag:
        report = ReportOperator(
            task_id=REPORT_TASK,
            mirror=mirror.name,
            destinations=list(mirror.destinations),
            has_deep_checks=mirror.deep_check.schedule is not None,
            note=file.note,
            notify=mirror.notify,
            retries=0,
        )
        changes = ChangesOperator(
            task_id=CHANGES_TASK,
            mirror=mirror.name,
            destinations=[file.registries[name] for name in mirror.destinations],
            retries=1,
        )
        for name in mirror.destinations:
            _copy_to(file.registries[name], mirror, file.registries[mirror.source]) >> [changes, report]
        changes >> report
    return dag


def _default_args(mirror: Mirror) -> dict[str, Any]:
    return {
        "retries": mirror.retries,
        "retry_delay": timedelta(minutes=1),
        "retry_policy": MirrorRetryPolicy(),
        "execution_timeout": timedelta(minutes=mirror.task_timeout_minutes),
    }


def _copy_to(destination: Registry, mirror: Mirror, source: Registry) -> MappedOperator:
    """The two tasks of a destination. Both run on its queue: the first logs in to the destination too."""
    queue = {"queue": destination.queue} if destination.queue else {}
    listed = ListRoutesOperator(
        task_id=routes_task(destination.name), mirror=mirror, source=source, destination=destination, **queue
    )
    copied = MirrorRepositoryOperator.partial(
        task_id=copy_task(destination.name),
        pool=destination.pool,
        map_index_template=LABEL,
        **queue,
    ).expand_kwargs(listed.output)
    listed >> copied
    return copied


def parameters(mirror: Mirror) -> Mapping[str, Param]:
    """The fields of the trigger form. An empty field selects everything."""
    globs: dict[str, Any] = {"type": ["null", "array"], "items": {"type": "string"}}
    time: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
    return {
        "repositories": Param(
            None,
            title="Repositories",
            description="Names or globs of source repositories, one per line. Empty: all repositories of this mirror.",
            **globs,
        ),
        "destinations": Param(
            [],
            type="array",
            title="Destinations",
            items={"type": "string", "enum": list(mirror.destinations)},
            examples=list(mirror.destinations),
            description="Destinations to sync. Empty: all destinations of this mirror.",
        ),
        "tags": Param(
            None,
            title="Tags",
            description="Names or globs of tags, one per line. Empty: all tags that the mirrors file selects.",
            **globs,
        ),
        "window": Param(
            "auto",
            type="string",
            title="Window",
            enum=["auto", "all", "from_to"],
            description="Tags to compare, by push time. auto: the data interval of a scheduled run or backfill, all "
            "tags in a manual run. all: all tags. from_to: the range below. All tags are compared when the source does "
            "not report push times.",
        ),
        "window_from": Param(None, title="Pushed from (UTC)", description="For window from_to: start.", **time),
        "window_to": Param(None, title="Pushed before (UTC)", description="For window from_to: end.", **time),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Report what would be copied or deleted, without changing anything.",
        ),
        "deep_check": Param(
            False,
            type="boolean",
            title="Deep check",
            description="After the copies, verify that the destinations hold every layer of the tags in sync, and send "
            "again what is missing or damaged.",
        ),
        "read_megabytes": Param(
            mirror.deep_check.read_bytes / 1_000_000,
            type="number",
            minimum=0,
            title="Megabytes to read",
            description="For a deep check: how much one task downloads and hashes. Only this finds wrong bytes. Other "
            "layers each day.",
        ),
    }


def describe(mirror: Mirror, file: MirrorsFile) -> str:
    """Describe a mirror in Markdown. The same file gives the same text, because a change makes a new DAG version."""
    source = file.registries[mirror.source]
    rules = "\n".join(f"- {rule_summary(rule)}" for rule in mirror.rules)
    destinations = "\n".join(f"- `{file.registries[name].host}` ({name})" for name in mirror.destinations)
    parts = (
        f"### {mirror.name}",
        mirror.description,
        f"Copies images from `{source.host}` ({source.name}) {_when(mirror)}, to:\n\n{destinations}",
        f"Repositories:\n\n{rules}",
        (
            "One task per repository and destination copies the tags that are missing or changed, keeps their digests, "
            "and verifies them. To retry a failed task, clear it; it copies only what is still missing."
        ),
        f"Defined in `{_short(file.path)}`.",
    )
    return "\n\n".join(part for part in parts if part)


def _when(mirror: Mirror) -> str:
    if not mirror.schedule:
        return "only when it is triggered"
    catchup = f", and for every interval since {mirror.start_date:%Y-%m-%d}" if mirror.catchup else ""
    return f"on the schedule `{mirror.schedule}` (UTC){catchup}"


def _short(path: Path) -> str:
    """The file with its folder: enough to find it, and the same on every machine."""
    return "/".join(path.parts[-2:])
