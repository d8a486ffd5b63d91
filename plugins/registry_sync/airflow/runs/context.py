"""Read a task's run: its parameters, its data interval, and the state of earlier runs in XCom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from registry_sync.airflow.ids import (
    FAILED_KEY,
    FOUND_KEY,
    LISTING_ERROR_KEY,
    NOTES_KEY,
    REPORT_TASK,
    UNMODIFIED_KEY,
    deletion_plans_key,
    last_look_key,
    routes_task,
    watermark_key,
)
from registry_sync.errors import ConfigurationError
from registry_sync.sync.run_state import DeletionPlans, LastLook, PlannedDeletions, Watermark
from registry_sync.sync.window import RunInterval, WindowRequest
from registry_sync.tags.accepted import AcceptedTag, parse_accepted

if TYPE_CHECKING:
    from airflow.sdk import Context


def task_label(context: Context) -> str:
    """A name for the task of a run, the same for each of its tries."""
    ti = context["ti"]
    return f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"


def read_parameters(context: Context) -> Mapping[str, Any]:
    """The run's parameters.

    Airflow accepts any key in a run's conf and adds it to the parameters. A misspelt filter would then be ignored, and
    the run would work on everything. A parameter that is null, as an emptied field of the form is, has its default.

    :raises ConfigurationError: for a key that the DAG does not declare.
    """
    params, declared = context["params"], context["dag"].params
    unknown = sorted(set(params) - set(declared))
    if unknown:
        raise ConfigurationError(f"unknown parameters {unknown}; the parameters of this DAG are {sorted(declared)}")
    values = {name: declared[name] if value is None else value for name, value in params.items()}
    return {name: _without_blank_lines(value) for name, value in values.items()}


def _without_blank_lines(value: Any) -> Any:
    """Strip the lines of a list. The text areas of the trigger form end with an empty line."""
    return [text for line in value if (text := line.strip())] if isinstance(value, list) else value


def read_run_interval(context: Context) -> RunInterval:
    """The run's type and data interval. A manual run may have no interval."""
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    return RunInterval(run_type=context["dag_run"].run_type.value, start=_utc(start), end=_utc(end))


def read_window_request(params: Mapping[str, Any]) -> WindowRequest:
    """The window in the run's parameters."""
    start, end = params["window_from"], params["window_to"]
    return WindowRequest(
        window=params["window"],
        start=_utc(datetime.fromisoformat(start)) if start else None,
        end=_utc(datetime.fromisoformat(end)) if end else None,
    )


def read_accepted(params: Mapping[str, Any], run: RunInterval) -> Sequence[AcceptedTag]:
    """The moved tags that the run's parameters accept.

    :raises ConfigurationError: for an entry that is not a tag with its digest, and in a run that is not by hand.
    """
    accepted = [parse_accepted(text) for text in params["accept"] or ()]
    if accepted and run.run_type != "manual":
        raise ConfigurationError(
            f"accept is for a run by hand, and this is a {run.run_type} run; trigger the DAG with it"
        )
    return accepted


def _utc(time: datetime | None) -> datetime | None:
    """Plain aware UTC. A time without a zone is UTC."""
    if time is None:
        return None
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return datetime.fromtimestamp(zoned.timestamp(), UTC)


def scheduled_end(run: RunInterval) -> datetime | None:
    """End of a scheduled run's data interval; ``None`` for other runs, which neither read nor leave state."""
    return run.end if run.run_type == "scheduled" else None


def read_watermark(context: Context, destination: str) -> Watermark | None:
    """The watermark that the latest scheduled run left for a destination; ``None`` before the first one."""
    document = _pull_from_last_report(context, watermark_key(destination))
    return Watermark.from_json(document) if document else None


def read_deletion_plans(context: Context, destination: str) -> DeletionPlans:
    """The deletions that scheduled runs planned at a destination."""
    return DeletionPlans.from_json(_pull_from_last_report(context, deletion_plans_key(destination)) or {})


def read_last_look(context: Context, destination: str) -> LastLook:
    """The repositories that earlier runs found for a destination."""
    return LastLook.from_json(_pull_from_last_report(context, last_look_key(destination)) or {})


def leaves_last_look(context: Context) -> bool:
    """Return whether a run stores what it found: a scheduled run, or one by hand with a logical date; never a dry run.

    Databases sort a missing date differently, so the state of a run without one could hide that of all later runs.
    """
    run = context["dag_run"]
    is_lasting = run.run_type.value in ("scheduled", "manual") and run.logical_date is not None
    return is_lasting and not read_parameters(context)["dry_run"]


def read_due_deletions(context: Context, run: RunInterval, destination: str) -> Mapping[str, PlannedDeletions]:
    """Deletions that earlier scheduled runs planned, by route key. Only scheduled runs delete."""
    end = scheduled_end(run)
    if end is None:
        return {}
    plans = read_deletion_plans(context, destination)
    return {key: due for key in plans.routes if (due := plans.before(key, end))}


def _pull_from_last_report(context: Context, key: str) -> Any:
    """The XCom value of this run's report, or of the latest earlier run that pushed the key."""
    return context["ti"].xcom_pull(task_ids=REPORT_TASK, key=key, map_indexes=-1, include_prior_dates=True)


def read_failed(context: Context, destination: str) -> Sequence[Mapping[str, Any]]:
    """The reports of repositories that got no mapped task, as JSON."""
    failed: Sequence[Mapping[str, Any]] = (
        context["ti"].xcom_pull(task_ids=routes_task(destination), key=FAILED_KEY) or []
    )
    return failed


def read_listing_error(context: Context, destination: str) -> Mapping[str, str] | None:
    """The ``error_class`` and ``reason`` with which this run's listing of the routes failed; none if it was killed."""
    error: Mapping[str, str] | None = context["ti"].xcom_pull(task_ids=routes_task(destination), key=LISTING_ERROR_KEY)
    return error


def read_notes(context: Context, destination: str) -> Sequence[str]:
    """Remarks about the list of routes."""
    notes: Sequence[str] = context["ti"].xcom_pull(task_ids=routes_task(destination), key=NOTES_KEY) or []
    return notes


def read_found(context: Context, destination: str) -> Collection[str] | None:
    """The source repositories that this run found in namespaces, or must not forget; ``None`` for a partial run."""
    found: Collection[str] | None = context["ti"].xcom_pull(task_ids=routes_task(destination), key=FOUND_KEY)
    return found


def read_unmodified(context: Context, destination: str) -> Collection[str]:
    """Keys of the routes that this run skipped because nothing was pushed to their repositories."""
    unmodified: Collection[str] = context["ti"].xcom_pull(task_ids=routes_task(destination), key=UNMODIFIED_KEY) or []
    return unmodified
