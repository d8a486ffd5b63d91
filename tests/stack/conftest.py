"""Fixtures of the stack's tests: a private Docker, the images, and one running stack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from testkit.namespace import namespace_obstacle
from testkit.skipping import skip_or_fail
from tests.stack.docker import COMMANDS, Docker
from tests.stack.images import make_standins
from tests.stack.stack import Stack


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A private Docker. Without root, CI fails and other runs skip."""
    skip_or_fail(namespace_obstacle(COMMANDS, "stack"), "the stack cannot be started here")
    with Docker.running() as running:
        yield running


@pytest.fixture(scope="session")
def built(docker: Docker) -> Docker:
    """A Docker with our image, built from stand-ins for the official ones."""
    make_standins(docker)
    stack = Stack(docker, "build")
    stack.make_settings()
    stack.compose("build")
    return docker


@pytest.fixture(scope="module")
def stack(built: Docker) -> Iterator[Stack]:
    """A healthy stack with two workers, new secrets and the demo's registries. A lost task is noticed soon."""
    stack = Stack(built, "stack")
    stack.make_settings(
        COMPOSE_PROFILES="demo",
        MIRRORS_FILE="/opt/airflow/include/examples/demo.yaml",
        PAUSE_NEW_MIRRORS="false",
        LOST_TASK_SECONDS="15",
        WORKERS="2",
        WORKER_CONCURRENCY="2",
    )
    shutil.copy(stack.folder / "secrets" / "connections.example.yaml", stack.folder / "secrets" / "connections.yaml")
    shutil.copy(stack.folder / "secrets" / "pools.example.json", stack.folder / "secrets" / "pools.json")
    stack.compose("up", "-d")
    stack.wait_until_healthy()
    try:
        yield stack
    finally:
        stack.compose("down", "-v", "--timeout", "5")
