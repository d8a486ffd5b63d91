"""States in memory, as a reader of Airflow's database returns them: for tests of queries without a database."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from registry_sync.state.document import as_document
from registry_sync.state.names import DESTINATION_KEY
from registry_sync.state.runs import MirrorRuns
from registry_sync.state.store import StoredKey
from testkit.states import SyntheticDestination, stored_text


class MemoryStates:
    """A :class:`~registry_sync.state.store.StateReader` of some destinations.

    ``reads`` are the keys of each call of :meth:`read`.
    """

    def __init__(
        self,
        stored: Collection[SyntheticDestination],
        runs: Mapping[str, MirrorRuns] | None = None,
        *,
        file_errors: bool = False,
        missing_pools: Mapping[str, Sequence[str]] | None = None,
        pushes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._stored = {(each.mirror, each.destination): each for each in stored}
        self._runs, self._file_errors = dict(runs or {}), file_errors
        self._missing_pools = dict(missing_pools or {})
        self._pushes = dict(pushes or {})
        self.reads: list[frozenset[StoredKey]] = []

    def destinations(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        return {
            ends: {key: value for key, value in each.documents.items() if _is_of_destination(key)}
            for ends, each in self._stored.items()
        }

    def read(self, keys: Collection[StoredKey]) -> Mapping[StoredKey, Any]:
        self.reads.append(frozenset(keys))
        documents = {
            (*ends, key): value for ends, each in self._stored.items() for key, value in each.documents.items()
        }
        return {key: documents[key] for key in keys if key in documents}

    def search_tags(self, texts: Sequence[str]) -> frozenset[StoredKey]:
        return frozenset(
            (*ends, key)
            for ends, each in self._stored.items()
            for key, value in each.documents.items()
            if key.endswith(" tags") and any(text in stored_text(value) for text in texts)
        )

    def has_file_errors(self) -> bool:
        return self._file_errors

    def missing_pools(self) -> Mapping[str, Sequence[str]]:
        return self._missing_pools

    def runs(self) -> Mapping[str, MirrorRuns]:
        return self._runs

    def pushes(self) -> Mapping[str, Mapping[str, Any]]:
        return self._pushes

    def events(
        self, since: datetime, *, mirror: str = "", destination: str = "", text: str = "", offset: int, limit: int
    ) -> tuple[int, list[Any]]:
        events = sorted(
            (
                event
                for each in self._stored.values()
                if mirror in {"", each.mirror} and destination in {"", each.destination}
                for event in each.events
                if event.at >= since and text in json.dumps(as_document(event))
            ),
            key=lambda event: event.at,
            reverse=True,
        )
        return len(events), [as_document(event) for event in events[offset : offset + limit]]


def _is_of_destination(key: str) -> bool:
    return key == DESTINATION_KEY or (key.startswith("routes ") and key[7:].isdigit())
