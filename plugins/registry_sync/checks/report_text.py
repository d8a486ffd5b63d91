"""Findings as text: a table, and below it the remedies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from registry_sync.checks.finding import Finding, worst
from registry_sync.text import one_line
from registry_sync.text_table import table

_SHOWN = {"ok": "ok", "warning": "warning", "missing": "MISSING", "unknown": "UNKNOWN", "skipped": "not checked"}

_LONGEST_REMARK = 70
"""Maximum length of a remark in the table, to keep it readable. Longer ones stand whole below it."""


def findings_table(findings: Sequence[Finding]) -> str:
    """One line for each finding. Texts that say what to do are in :func:`advice`."""
    rows = [(finding.subject, finding.check, _result(finding)) for finding in findings]
    return table(("subject", "check", "result"), rows)


def advice(findings: Sequence[Finding]) -> str:
    """A paragraph for each finding that needs attention: the observation and the remedy. Empty without any.

    Remarks that the table cuts follow, each text once.
    """
    return "\n\n".join([*_paragraphs(findings), *_whole_remarks(findings)])


def conclusion(findings: Sequence[Finding]) -> str:
    """One sentence about all findings."""
    counts = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in _SHOWN}
    parts = [
        f"{counts[verdict]} {words}"
        for verdict, words in (
            ("missing", "missing"),
            ("unknown", "could not be checked"),
            ("warning", "warning" if counts["warning"] == 1 else "warnings"),
        )
        if counts[verdict]
    ]
    if worst(findings) == "ok":
        return "nothing is missing" + (f"; {', '.join(parts)}" if parts else "")
    return f"{', '.join(parts)}, of {len(findings)} checks"


def _result(finding: Finding) -> str:
    shown = _SHOWN[finding.verdict]
    if finding.needs_attention or not finding.text:
        return shown
    return f"{shown}{': ' if finding.verdict == 'skipped' else ', '}{one_line(finding.text, _LONGEST_REMARK)}"


def _whole_remarks(findings: Sequence[Finding]) -> Iterator[str]:
    """The remarks that are cut in the table."""
    cut = [finding for finding in findings if not finding.needs_attention and len(finding.text) > _LONGEST_REMARK]
    for text in dict.fromkeys(finding.text for finding in cut):
        same = [finding for finding in cut if finding.text == text]
        subjects = ", ".join(dict.fromkeys(finding.subject for finding in same))
        checks = ", ".join(dict.fromkeys(finding.check for finding in same))
        yield f"{_SHOWN[same[0].verdict]}: {subjects}: {checks}: {text}"


def _paragraphs(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        if finding.needs_attention:
            remedy = f"\n  → {finding.remedy}" if finding.remedy else ""
            yield f"{_SHOWN[finding.verdict]}: {finding.subject}: {finding.check}: {finding.text}{remedy}"
