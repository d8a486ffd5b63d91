"""A server of each program, and ``make registries``: a successful run of all cases writes the tables of the docs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import cast

import pytest

from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.servers import PROGRAMS, ServerProgram
from testkit.skipping import skip_or_fail
from tests.servers import document

_seen: dict[tuple[str, str], str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the results of cases. pytest-xdist calls this in its first process too."""
    if report.when == "call" and report.passed:
        for name, value in report.user_properties:
            if name == "cell":
                row, server, words = map(str, cast("Sequence[object]", value))
                _seen[row, server] = words


def pytest_sessionfinish(session: pytest.Session) -> None:
    is_first = not hasattr(session.config, "workerinput")
    if is_first and os.environ.get("REGISTRIES") == "write" and _seen.keys() == document.specified().keys():
        document.BLOCK.write(document.render(_seen))


@pytest.fixture(scope="module", params=PROGRAMS, ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> ServerProgram:
    found: ServerProgram = request.param
    skip_or_fail(found.missing, "this registry server cannot be started here")
    return found


@pytest.fixture(scope="module")
def wire(program: ServerProgram) -> Iterator[Interceptor]:
    with program.start() as server, Interceptor(server.url) as interceptor:
        yield interceptor


@pytest.fixture(scope="module")
def peer() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        yield registry
