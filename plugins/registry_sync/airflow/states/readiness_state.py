"""Store the result of the readiness checks, and send the stored result as metrics."""

from __future__ import annotations

from datetime import datetime

from registry_sync.airflow.metrics import send_metrics
from registry_sync.nodes.readiness.report import ReadinessReport
from registry_sync.state.document import StateError, as_document, read_document
from registry_sync.state.metrics import readiness_metrics
from registry_sync.state.names import READINESS_KEY
from registry_sync.state.readiness import ReadinessState, readiness_state
from registry_sync.state.store import StateStore


def publish_readiness(store: StateStore, report: ReadinessReport, *, run_id: str, now: datetime) -> ReadinessState:
    """Send the result of a run as metrics, store it, and return it."""
    state = readiness_state(report, read_at=now, run_id=run_id, before=stored_readiness(store))
    send_metrics(readiness_metrics(state, now))
    store.set(READINESS_KEY, as_document(state))
    return state


def stored_readiness(store: StateStore) -> ReadinessState | None:
    """The stored result; ``None`` before the first check, and when it cannot be read."""
    try:
        return read_document(ReadinessState, store.get(READINESS_KEY))
    except StateError:
        return None
