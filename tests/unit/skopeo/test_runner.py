"""Versions of skopeo: which are supported, and which copy slowly."""

import pytest

from registry_sync.skopeo.runner import SkopeoVersion, speed_limit


@pytest.mark.parametrize("version", [(1, 9, 3), (1, 11, 99)])
def test_versions_without_kept_connections_are_slow(version: tuple[int, int, int]) -> None:
    limit = "it opens a connection for each request, which versions from 1.12 on do not"
    assert speed_limit(SkopeoVersion(*version)) == limit


@pytest.mark.parametrize("version", [(1, 12, 0), (1, 18, 0), (2, 0, 0)])
def test_versions_with_kept_connections_are_not(version: tuple[int, int, int]) -> None:
    assert speed_limit(SkopeoVersion(*version)) == ""
