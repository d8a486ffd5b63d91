"""One Airflow DAG per mirror of the mirrors file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from registry_sync.airflow.ids import copy_task, dag_id, plan_task
from registry_sync.airflow.operators.mirror_repository import MirrorRepositoryOperator
from registry_sync.airflow.operators.plan_routes import PlanRoutesOperator
from registry_sync.airflow.operators.report import ReportOperator
from registry_sync.airflow.retries import MirrorRetryPolicy
from registry_sync.config.model import Mirror, MirrorsFile, rule_summary

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

LABEL = "{{ (task.route.label)[:250] }}"
"""What Airflow shows for a mapped task. Its column holds 250 characters; a longer one fails the task on PostgreSQL."""


def build_dag(mirror: Mirror, file: MirrorsFile) -> DAG:
    """The DAG of one mirror: list the routes to each destination, mirror each route, report."""
    dag = DAG(
        dag_id=dag_id(mirror.name),
        description=mirror.description or None,
        doc_md=describe(mirror, file),
        schedule=CronDataIntervalTimetable(mirror.schedule, timezone="UTC") if mirror.schedule else None,
        start_date=mirror.start_date or LONG_AGO,
        catchup=mirror.catchup,
        max_active_runs=1,
        params=parameters(mirror),
        tags=["registry_sync"],
        default_args={
            "retries": mirror.retries,
            "retry_delay": timedelta(minutes=1),
            "retry_policy": MirrorRetryPolicy(),
            "execution_timeout": timedelta(minutes=mirror.task_timeout_minutes),
        },
    )
    with dag:
        report = ReportOperator(task_id="report", mirror=mirror.name, destinations=list(mirror.destinations), retries=0)
        for name in mirror.destinations:
            destination = file.registries[name]
            workers = {"queue": destination.queue} if destination.queue else {}  # of planning too, which logs in there
            planned = PlanRoutesOperator(
                task_id=plan_task(name),
                mirror=mirror,
                source=file.registries[mirror.source],
                destination=destination,
                **workers,
            )
            copied = MirrorRepositoryOperator.partial(
                task_id=copy_task(name), pool=destination.pool, map_index_template=LABEL, **workers
            ).expand_kwargs(planned.output)
            planned >> copied >> report
    return dag


def parameters(mirror: Mirror) -> Mapping[str, Param]:
    """The fields of the trigger form. Empty ones choose everything."""
    globs: dict[str, Any] = {"type": ["null", "array"], "items": {"type": "string"}}
    moment: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
    return {
        "repositories": Param(
            None,
            title="Repositories",
            description="Names or globs of source repositories, one per line; empty: all of this mirror.",
            **globs,
        ),
        "destinations": Param(
            [],
            type="array",
            title="Destinations",
            items={"type": "string", "enum": list(mirror.destinations)},
            examples=list(mirror.destinations),
            description="Destinations to bring into step; empty: all.",
        ),
        "tags": Param(
            None,
            title="Tags",
            description="Names or globs, one per line; empty: all that the mirrors file chooses.",
            **globs,
        ),
        "window": Param(
            "auto",
            type="string",
            title="Window",
            enum=["auto", "all", "from_to"],
            description="Push times to look at. auto: a scheduled run or backfill its data interval, a run by hand "
            "everything; all: everything; from_to: as given below. Sources that tell no push times compare everything.",
        ),
        "window_from": Param(None, title="Pushed from (UTC)", description="With window from_to.", **moment),
        "window_to": Param(None, title="Pushed before (UTC)", description="With window from_to.", **moment),
        "dry_run": Param(
            False, type="boolean", title="Dry run", description="Say what would be copied or deleted; change nothing."
        ),
    }


def describe(mirror: Mirror, file: MirrorsFile) -> str:
    """What a mirror does, in Markdown. The same file gives the same text, so that Airflow sees no new DAG version."""
    source = file.registries[mirror.source]
    rules = "\n".join(f"- {rule_summary(each)}" for each in mirror.rules)
    goals = "\n".join(f"- `{file.registries[each].host}` ({each})" for each in mirror.destinations)
    when = f"on the schedule `{mirror.schedule}` (UTC)" if mirror.schedule else "only when it is triggered"
    past = f", and for every interval since {mirror.start_date:%Y-%m-%d}" if mirror.catchup else ""
    return "\n\n".join(
        part
        for part in (
            f"### {mirror.name}",
            mirror.description,
            f"Copies images from `{source.host}` ({source.name}) {when}{past}, to:\n\n{goals}",
            f"Repositories:\n\n{rules}",
            (
                "One task per repository and destination copies the tags that are missing or have moved there, with "
                "the same digests, and verifies them. A failed one can be cleared alone; it copies only what is "
                "still missing."
            ),
            f"From `{_shown(file.path)}`.",
        )
        if part
    )


def _shown(path: Path) -> str:
    """The file with its folder: enough to find it, and the same on every machine."""
    return "/".join(path.parts[-2:])
