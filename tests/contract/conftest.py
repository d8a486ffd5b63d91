"""Fixtures of the contract tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testkit.interceptor import Interceptor


@pytest.fixture
def wire() -> Iterator[Interceptor]:
    """A server with answers given by the test, without a registry behind it."""
    with Interceptor("http://127.0.0.1:1") as interceptor:
        yield interceptor
