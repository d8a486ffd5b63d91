"""The limit that Airflow sets on mapped tasks."""

from __future__ import annotations

from airflow.configuration import conf

from registry_sync.errors import ConfigurationError


def check_map_length(length: int, needs: str, advice: str) -> None:
    """Check that Airflow maps a task over ``length`` entries; otherwise it fails the task without naming a setting.

    https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/dynamic-task-mapping.html#placing-limits-on-mapped-tasks

    :param needs: the start of the message, such as ``mirror 'm' has 1025 routes``.
    :param advice: the way to have fewer entries.
    :raises ConfigurationError: when ``length`` is above ``max_map_length``.
    """
    limit = conf.getint("core", "max_map_length")
    if length > limit:
        raise ConfigurationError(
            f"{needs}, but Airflow maps at most {limit} (max_map_length): {advice}, or set "
            "AIRFLOW__CORE__MAX_MAP_LENGTH higher for the API server and the workers"
        )
