"""Fixtures of the unit tests."""

from __future__ import annotations

import pytest

from registry_sync.config.reading import yaml_source


@pytest.fixture
def low_bound_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a YAML document have 5000 values, because reading up to the real bound takes seconds."""
    monkeypatch.setattr(yaml_source, "MAX_VALUES", 5000)
