"""Fixtures of the contract tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testkit.interceptor import Interceptor


@pytest.fixture
def wire() -> Iterator[Interceptor]:
    """A server that answers what the test says; nothing listens behind it."""
    with Interceptor("http://127.0.0.1:1") as interceptor:
        yield interceptor
