"""Skip a test that this machine cannot run, or fail in CI."""

from __future__ import annotations

import os

import pytest


def skip_or_fail(reason: str, what: str) -> None:
    """Skip the test with ``reason``, or fail in CI. Without a reason, return.

    :param reason: why this machine cannot run it; empty when it can.
    :param what: begins the failure's message, such as "the drill cannot run here".
    """
    if not reason:
        return
    if os.environ.get("CI", "") not in ("", "false", "0"):
        pytest.fail(f"{what}: {reason}")
    pytest.skip(reason)
