"""The limit that Airflow sets on mapped tasks, for both DAGs."""

from __future__ import annotations

import pytest

from registry_sync.airflow.runs.map_length import check_map_length
from registry_sync.errors import ConfigurationError


def test_more_entries_than_airflow_maps_are_refused() -> None:
    check_map_length(1024, "mirror 'm' has 1024 routes", "split the mirror")
    with pytest.raises(ConfigurationError) as caught:
        check_map_length(1025, "mirror 'm' has 1025 routes", "split the mirror")
    assert str(caught.value) == (
        "mirror 'm' has 1025 routes, but Airflow maps at most 1024 (max_map_length): "
        "split the mirror, or set AIRFLOW__CORE__MAX_MAP_LENGTH higher for the API server and the workers"
    )
