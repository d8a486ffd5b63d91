"""Errors in the middle of a check."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from registry_sync.checks.finding import Finding, guarded
from registry_sync.errors import ConfigurationError, TemporaryError

UNEXPECTED = "this check ended unexpectedly: "


@pytest.mark.parametrize(
    ("error", "verdict", "text"),
    [
        (ConfigurationError("correct it"), "missing", "correct it"),
        (TemporaryError("try later"), "unknown", "try later"),
        (KeyError("a"), "unknown", f"{UNEXPECTED}KeyError: 'a'"),
        (RuntimeError("two\nlines"), "unknown", f"{UNEXPECTED}RuntimeError: two lines"),
    ],
)
def test_findings_before_an_error_are_kept(error: Exception, verdict: str, text: str) -> None:
    first = Finding(subject="registry a", check="log in")

    def check() -> Iterator[Finding]:
        yield first
        raise error

    kept, last = guarded("registry a", "read", check())
    assert kept == first
    assert (last.subject, last.check, last.verdict, last.text) == ("registry a", "read", verdict, text)
