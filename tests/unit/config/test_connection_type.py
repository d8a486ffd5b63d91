"""The type of Connections that the printed commands create: one that Airflow knows here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from registry_sync.config.connection_type import add_command


@pytest.mark.parametrize(("is_installed", "known"), [(True, "oci_registry"), (False, "docker")])
def test_our_type_is_printed_where_airflow_knows_it(
    is_installed: bool, known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_installed:
        (tmp_path / "registry_sync-0.dist-info").mkdir()
        (tmp_path / "registry_sync-0.dist-info" / "METADATA").write_text("Name: registry-sync\nVersion: 0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert add_command("registry_acr", "acr.example", "$U", "$P") == (
        f"airflow connections add registry_acr --conn-type {known} --conn-host acr.example --conn-login $U "
        "--conn-password $P"
    )
