"""The hook that finds skopeo, where packages are missing."""

from __future__ import annotations

import sys

import pytest

from registry_sync.airflow.hooks.skopeo import SkopeoHook
from registry_sync.config.settings import SkopeoOptions
from registry_sync.errors import ConfigurationError


@pytest.mark.parametrize("name", ["docker", "airflow.providers.docker"])
def test_skopeo_in_containers_names_the_extra_that_it_needs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError) as caught:
        SkopeoHook(SkopeoOptions(runner="docker", image="quay.io/skopeo/stable:v1"), task="t").get_conn()
    assert str(caught.value) == (
        f"skopeo cannot run in containers: this worker has no Python package {name!r}; install registry-sync[docker], "
        "or requirements.txt"
    )
