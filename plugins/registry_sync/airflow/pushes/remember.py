"""Remember the last events of a mirror, for the pages and for metrics."""

from __future__ import annotations

from collections.abc import Sequence

from registry_sync.airflow.pushes.received import ReceivedEvent
from registry_sync.airflow.states.state_store import losing, open_named_store, read_state
from registry_sync.state.document import as_document
from registry_sync.state.names import pushes_asset_name
from registry_sync.state.pushes import EVENTS_KEY, LastEvents, after_events


def remember_events(mirror: str, received: Sequence[ReceivedEvent]) -> None:
    """Store when the last events of a mirror came."""
    if not received:
        return
    with losing(f"The last events of {mirror} stay as they were"):
        store = open_named_store(pushes_asset_name(mirror))
        earlier = read_state(store, EVENTS_KEY, LastEvents)
        last = after_events(
            earlier,
            [event.at for event in received if not event.is_own],
            [event.at for event in received if event.is_own],
        )
        store.set(EVENTS_KEY, as_document(last))
