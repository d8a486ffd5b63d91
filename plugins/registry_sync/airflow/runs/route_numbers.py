"""The numbers of the routes of a run, over which the task that copies is mapped: 0, 1, 2 and so on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.definitions.xcom_arg import PlainXComArg


class RouteNumbers(PlainXComArg):
    """The list of numbers that a task returns, as the argument to map over.

    Airflow's scheduler makes an instance for each entry. An instance then pulls the whole list to find its entry, which
    is its map index: the request costs the API server 8 ms of CPU, and grows with the number of routes. So this one
    answers from the map index.
    """

    def resolve(self, context: Mapping[str, Any]) -> Sequence[int]:
        """The numbers up to that of the running instance, of which Airflow takes the one at its map index."""
        return range(context["ti"].map_index + 1)
