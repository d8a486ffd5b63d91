"""Where states are kept, as this package sees it: a mapping of keys to JSON for one mirror and destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class StateStore(Protocol):
    """The state of one mirror and destination. In a task it is Airflow's asset state store."""

    def get(self, key: str) -> Any:
        """The JSON value of a key; ``None`` when there is none."""
        ...

    def set(self, key: str, value: Any) -> None:
        """Store a JSON value."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        ...


class StateReader(Protocol):
    """All states, for pages and commands. They read Airflow's database."""

    def destinations(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """The keys ``this destination`` and ``routes N`` of every mirror and destination, by ``(mirror, destination)``."""
        ...

    def values(self, mirror: str, destination: str, keys: list[str]) -> Mapping[str, Any]:
        """The JSON values of some keys; missing ones are absent."""
        ...
