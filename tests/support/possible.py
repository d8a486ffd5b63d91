"""What a machine lacks for a test."""

from __future__ import annotations

import os

import pytest


def needs(lacking: str | None) -> None:
    """Where something is lacking, CI fails, and everybody else is told why a test was left out."""
    if lacking is None:
        return
    if os.environ.get("CI", "") not in ("", "false", "0"):
        pytest.fail(f"CI has to run this, but: {lacking}")
    pytest.skip(lacking)
