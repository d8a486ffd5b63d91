"""Protocol of the store of states: a mapping of keys to JSON for one mirror and destination."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from registry_sync.state.runs import MirrorRuns

StoredKey = tuple[str, str, str]
"""Mirror, destination and key of a stored value."""


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
    """All states that a caller may read, for pages and commands. They read Airflow's database.

    A reader is opened for the mirrors that its caller may read, and returns nothing about others.
    """

    def destinations(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """The keys ``this destination`` and ``routes N`` of every mirror and destination.

        They are by ``(mirror, destination)``. One without a state has an empty mapping.
        """
        ...

    def read(self, keys: Collection[StoredKey]) -> Mapping[StoredKey, Any]:
        """The JSON values of some keys; missing ones are absent, unreadable ones are ``None``."""
        ...

    def search_tags(self, texts: Sequence[str]) -> frozenset[StoredKey]:
        """The keys of the tag tables whose stored text contains one of ``texts``.

        The database searches: to read and unpack all tables takes seconds.
        """
        ...

    def has_file_errors(self) -> bool:
        """Return whether Airflow met a mistake in the mirrors file, so that mirrors may be missing or old."""
        ...

    def missing_pools(self) -> Mapping[str, Sequence[str]]:
        """The pools that do not exist although tasks wait for them, each with the mirrors of these tasks."""
        ...

    def runs(self) -> Mapping[str, MirrorRuns]:
        """The runs by mirror."""
        ...

    def pushes(self) -> Mapping[str, Mapping[str, Any]]:
        """The values of :mod:`registry_sync.state.pushes` of each mirror that events start, by its name."""
        ...

    def events(
        self, since: datetime, *, mirror: str, destination: str, text: str, offset: int, limit: int
    ) -> tuple[int, list[Any]]:
        """The number of asset events since a time, and the ``extra`` of some of them, the newest first.

        :param mirror: only of this mirror; empty for all. ``destination`` likewise.
        :param text: only those whose JSON contains this; empty for all.
        """
        ...
