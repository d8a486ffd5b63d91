"""What to do where a machine cannot run a test."""

from __future__ import annotations

import os

import pytest


def require(reason: str, what: str) -> None:
    """Without a reason, go on. With one CI fails, and everybody else is told why the test was left out.

    :param reason: why not; empty when it can.
    :param what: such as "the drill cannot run here".
    """
    if not reason:
        return
    if os.environ.get("CI", "") not in ("", "false", "0"):
        pytest.fail(f"{what}: {reason}")
    pytest.skip(reason)
