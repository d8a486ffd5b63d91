"""Mask secrets in reports that cross XCom."""

from __future__ import annotations

from dataclasses import replace

from airflow.sdk.log import redact  # type: ignore[attr-defined]  # not among its exports

from registry_sync.sync.report import RouteReport


def masked(report: RouteReport) -> RouteReport:
    """The report with secrets masked in its texts, which may quote a registry's response.

    Airflow masks secrets in logs, but not in XCom.
    """
    tags = tuple(replace(result, reason=str(redact(result.reason))) for result in report.tags)
    notes = tuple(str(redact(note)) for note in report.notes)
    checked = report.deep_check
    if checked:
        damaged = (replace(image, problem=str(redact(image.problem))) for image in checked.damaged)
        checked = replace(checked, damaged=tuple(damaged))
    return replace(
        report, tags=tags, notes=notes, deep_check=checked, error=str(redact(report.error)) if report.error else None
    )
