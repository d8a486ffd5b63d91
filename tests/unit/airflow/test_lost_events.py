"""The names in events, with which found tags are compared."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from registry_sync.airflow.pushes.lost import names_of
from registry_sync.events.event_extra import to_extra
from registry_sync.events.push import Push
from registry_sync.routes.load import parse_mirrors

FILE = """
registries: {hub: {host: docker.io}, quay: {host: quay.io}, acr: {host: acr.example}}
mirrors: {one: {source: hub, destinations: [acr], repositories: [alpine]}}
"""
NOW = datetime(2026, 11, 29, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("registry", "written", "name"),
    [
        ("hub", "alpine", "library/alpine"),
        ("hub", "library/alpine", "library/alpine"),
        ("hub", "team/app", "team/app"),
        ("quay", "alpine", "alpine"),
    ],
)
def test_a_name_is_that_of_the_source(registry: str, written: str, name: str) -> None:
    file, problems = parse_mirrors(FILE, Path("mirrors.yaml"))
    assert problems == ()
    pushes = [Push(repository=written, tags=("v1",)), Push(repository=written, tags=None)]
    event = SimpleNamespace(extra=to_extra(registry, pushes, NOW), timestamp=NOW)
    expected = [(NOW, name, frozenset({"v1"})), (NOW, name, None)]
    assert list(names_of([event, SimpleNamespace(extra={}, timestamp=NOW)], file.registries[registry])) == expected
