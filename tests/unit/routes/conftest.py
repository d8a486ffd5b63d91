"""Fixtures for tests that load a mirrors file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.routes.files import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "mirrors.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
