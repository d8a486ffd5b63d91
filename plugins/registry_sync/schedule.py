"""Schedules as the mirrors file writes them: cron expressions and Airflow's presets."""

from __future__ import annotations

from croniter import croniter

from registry_sync.errors import ConfigurationError

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
"""https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/cron.html, those with an interval."""


def check_schedule(text: str) -> str:
    """``text`` itself, when it is a schedule.

    :raises ConfigurationError: when it is neither a cron expression nor a preset.
    """
    if text in PRESETS or (len(text.split()) == 5 and croniter.is_valid(text)):
        return text
    advice = f"write five cron fields such as '0 * * * *', or one of {', '.join(PRESETS)}"
    raise ConfigurationError(f"{text!r} is no schedule; {advice}")
