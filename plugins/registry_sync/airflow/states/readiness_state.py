"""Store the result of the readiness checks, and send what is stored as metrics."""

from __future__ import annotations

from datetime import datetime

from registry_sync.airflow.metrics import send_metrics
from registry_sync.nodes.readiness.report import ReadinessReport
from registry_sync.state.document import StateError, as_document, read_document
from registry_sync.state.metrics import readiness_metrics
from registry_sync.state.names import READINESS_KEY
from registry_sync.state.readiness import ReadinessState, readiness_state
from registry_sync.state.store import StateStore


def publish_readiness(store: StateStore, report: ReadinessReport, *, run_id: str, now: datetime) -> None:
    """Send what a run saw as metrics, and store it."""
    state = readiness_state(report, read_at=now, run_id=run_id)
    send_metrics(readiness_metrics(state, now))
    store.set(READINESS_KEY, as_document(state))


def resend_readiness(store: StateStore, now: datetime) -> None:
    """Send the stored result as metrics again, with its age. Nothing is sent before the first check."""
    try:
        state = read_document(ReadinessState, store.get(READINESS_KEY))
    except StateError:
        return
    send_metrics(readiness_metrics(state, now))
