"""Mask secrets in values that cross XCom, and in the output of commands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk.log import redact  # type: ignore[attr-defined]  # not among its exports

from registry_sync.sync.report import RouteReport

if TYPE_CHECKING:
    from registry_sync.checks.finding import Finding
    from registry_sync.nodes.readiness.model import ImageReadiness


def masked_text(text: str) -> str:
    """The text with secrets masked. Airflow masks them in logs, but not in XCom."""
    return str(redact(text))


def masked(report: RouteReport) -> RouteReport:
    """The report with secrets masked in its texts, which may quote a registry's response."""
    tags = tuple(replace(result, reason=masked_text(result.reason)) for result in report.tags)
    notes = tuple(masked_text(note) for note in report.notes)
    checked = report.deep_check
    if checked:
        damaged = (replace(image, problem=masked_text(image.problem)) for image in checked.damaged)
        checked = replace(checked, damaged=tuple(damaged))
    return replace(
        report, tags=tags, notes=notes, deep_check=checked, error=masked_text(report.error) if report.error else None
    )


def masked_finding(finding: Finding) -> Finding:
    """The finding of a check with secrets masked in its texts."""
    return replace(finding, text=masked_text(finding.text), remedy=masked_text(finding.remedy))


def masked_readiness(result: ImageReadiness) -> ImageReadiness:
    """The result of a readiness check with secrets masked in its texts."""
    return replace(result, problem=masked_text(result.problem), note=masked_text(result.note))
