"""One finding of a check: its subject, its verdict, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from registry_sync.errors import RegistrySyncError
from registry_sync.text import one_line

Verdict = Literal["ok", "warning", "missing", "unknown", "skipped"]
"""``warning``: works, with a limit. ``unknown``: could not be checked now. ``skipped``: cannot be checked here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    :ivar subject: what is checked, such as ``registry quay`` or ``pool acr``.
    :ivar check: the check, such as ``log in``.
    :ivar text: a remark, or what was seen.
    :ivar remedy: what to type; empty where the text says it, and where nothing is to be done.
    """

    subject: str
    check: str
    verdict: Verdict = "ok"
    text: str = ""
    remedy: str = ""

    @classmethod
    def of_error(cls, subject: str, check: str, error: RegistrySyncError, *, remedy: str = "") -> Self:
        """The finding of an error: ``unknown`` for a temporary one."""
        verdict: Verdict = "missing" if error.is_permanent else "unknown"
        return cls(subject=subject, check=check, verdict=verdict, text=str(error), remedy=remedy)

    @property
    def needs_attention(self) -> bool:
        return self.verdict in ("missing", "unknown", "warning")

    def to_json(self) -> dict[str, Any]:
        """For XCom."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(**document)


def worst(findings: Iterable[Finding]) -> Verdict:
    """``missing`` if anything is missing, else ``unknown`` if something could not be checked, else ``ok``."""
    verdicts = {finding.verdict for finding in findings}
    return "missing" if "missing" in verdicts else "unknown" if "unknown" in verdicts else "ok"


LONGEST_PROBLEM = 300


def guarded(subject: str, check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings of a check. An unexpected error becomes a finding too, so that the others are not lost."""
    try:
        yield from findings
    except RegistrySyncError as error:
        yield Finding.of_error(subject, check, error)
    except Exception as error:
        text = f"this check ended unexpectedly: {type(error).__name__}: {one_line(str(error), LONGEST_PROBLEM)}"
        remedy = "this is a defect of registry_sync, or of a library that it uses; please report it with this text"
        yield Finding(subject=subject, check=check, verdict="unknown", text=text, remedy=remedy)
