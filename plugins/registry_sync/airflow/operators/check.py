"""The tasks of the DAG ``mirrors_check``: check on a worker of each queue, and report."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TriggerRule

from registry_sync.airflow.ids import FINDINGS_KEY
from registry_sync.airflow.runs.context import task_label
from registry_sync.config.document import MirrorsFile
from registry_sync.errors import ConfigurationError, TemporaryError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.checks.finding import Finding


class CheckOperator(BaseOperator):
    """Check the needs of the tasks to some destinations, on the worker of this task.

    :param file: the mirrors to these destinations, and their registries.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, file: MirrorsFile, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file = file

    def execute(self, context: Context) -> None:
        """Push the findings and the worker's host name, then fail if something is missing or could not be checked."""
        from registry_sync.airflow.checks.all_checks import check_here
        from registry_sync.airflow.hooks.connections import HookConnections

        found = list(check_here(self.file, HookConnections(task_label(context))))
        findings = [finding.to_json() for finding in found]
        context["ti"].xcom_push(FINDINGS_KEY, {"host": platform.node(), "findings": findings})
        self.log.info("\n%s", "\n\n".join(_text(found)))
        _raise_worst(found)


class CheckReportOperator(BaseOperator):
    """Print the findings of all places, and fail if something is missing, was not checked, or ended without a result.

    :param places: the places by task id, for people.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, places: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, **kwargs)
        self.places = places

    def execute(self, context: Context) -> None:
        """Print a table for each place."""
        from registry_sync.checks.finding import Finding

        everything: list[Finding] = []
        for task, place in self.places.items():
            (result,) = [*context["ti"].xcom_pull(task_ids=[task], key=FINDINGS_KEY), None][:1]
            if result is None:
                text = f"the task {task} ended without a result; its log says why"
                found = [Finding(subject=place, check="worker", verdict="unknown", text=text)]
            else:
                found = [Finding.from_json(finding) for finding in result["findings"]]
            self.log.info("%s, on %s\n%s", place, result["host"] if result else "no worker", "\n\n".join(_text(found)))
            everything += found
        _raise_worst(everything)


def _text(found: Sequence[Finding]) -> list[str]:
    from registry_sync.checks.report_text import advice, conclusion, findings_table

    return [text for text in (findings_table(found), advice(found), conclusion(found)) if text]


def _raise_worst(found: Sequence[Finding]) -> None:
    """:raises ConfigurationError: when something is missing. :raises TemporaryError: when it could not be checked."""
    from registry_sync.checks.finding import worst
    from registry_sync.checks.report_text import conclusion

    match worst(found):
        case "missing":
            raise ConfigurationError(conclusion(found))
        case "unknown":
            raise TemporaryError(conclusion(found))
