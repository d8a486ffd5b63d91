"""``make reliability``: a successful run of the whole matrix writes the table of the documentation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import cast

import pytest

from tests.faults import document
from tests.faults.specification import every_case

_seen: dict[tuple[str, str, str], tuple[str, str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the results of cases. pytest-xdist calls this in its first process too."""
    if report.when == "call" and report.passed:
        for name, value in report.user_properties:
            if name == "seen":
                fault, stage, mover, *told = map(str, cast("Sequence[object]", value))
                _seen[fault, stage, mover] = (told[0], told[1], told[2])


def pytest_sessionfinish(session: pytest.Session) -> None:
    is_first = not hasattr(session.config, "workerinput")
    if is_first and os.environ.get("FAULTS") == "all" and len(_seen) == len(list(every_case())):
        document.BLOCK.write(document.render(_seen))
