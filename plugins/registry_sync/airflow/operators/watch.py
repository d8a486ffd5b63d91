"""The task of the DAG mirror_watch: read the stored state of all mirrors, and send the messages that are due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError

from registry_sync.airflow.ids import dag_id
from registry_sync.airflow.messages.notifications import MESSAGES, Messenger, mirror_links, run_links
from registry_sync.airflow.metrics import send_metrics
from registry_sync.airflow.mirrors_file import list_file_problems
from registry_sync.airflow.states.state_store import open_named_store, open_store
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.routes.disabled import until_text
from registry_sync.state.destination import DestinationState
from registry_sync.state.document import as_document
from registry_sync.state.messages.alerts import Alert, collect_alerts, file_alerts, in_order
from registry_sync.state.messages.known_destination import KnownDestination, fetch_destination
from registry_sync.state.messages.missing_run import DagFacts, due_run, missing_run, read_watched
from registry_sync.state.messages.notices import notifier_key
from registry_sync.state.messages.subject import MIRRORS_FILE, Subject
from registry_sync.state.metrics import destination_metrics, events_metrics
from registry_sync.state.names import (
    MESSAGES_ASSET,
    READINESS_ASSET,
    UNCHECKED_KEY,
    WATCH_KEY,
    pushes_asset_name,
    watched_key,
)
from registry_sync.state.pushes import EVENTS_KEY, read_pushes
from registry_sync.state.stored_destination import enabled_since

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.state.store import StateStore


class WatchOperator(BaseOperator):
    """Find broken promises, failures without a message, and missing runs. No registry is contacted.

    It fails when a message could not be sent, or the state of a mirror could not be read. Faults of a mirror do not
    make it fail. Its inlet makes Airflow create the store of the messages.

    :param file: the mirrors file.
    :param dag_file: the DAG file, by which the mirrors file is found again to report its problems.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, file: MirrorsFile, dag_file: Path, **kwargs: Any) -> None:
        super().__init__(inlets=[MESSAGES], **kwargs)
        self.file = file
        self.dag_file = dag_file

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the number of alerts of each mirror. :raises AirflowFailException: when a message was not sent."""
        store, now = open_named_store(MESSAGES_ASSET), datetime.now(UTC)
        self._check_store(store, now)
        messenger = Messenger(context=context, store=store, now=now)
        self._watch_file(messenger)
        counts: dict[str, int] = {}
        for mirror in self.file.mirrors.values():
            try:
                counts[mirror.name] = self._watch(mirror, context, messenger)
            except Exception as error:
                self.log.exception("mirror %s could not be looked at", mirror.name)
                messenger.failures.append(f"mirror {mirror.name} could not be looked at: {error}")
        self._watch_nodes(messenger)
        if messenger.failures:
            raise AirflowFailException("\n  ".join(["not all messages were sent:", *messenger.failures]))
        return {"alerts": counts}

    def _check_store(self, store: StateStore, now: datetime) -> None:
        """Store the time. While nothing can be stored, each run would send the same messages again.

        :raises AirflowFailException: when it cannot be stored.
        """
        try:
            store.set(WATCH_KEY, now.isoformat())
        except Exception as error:
            raise AirflowFailException(
                f"no message is sent, because Airflow's asset state store cannot remember it: {error}"
            ) from error

    def _watch_nodes(self, messenger: Messenger) -> None:
        """Send the stored result of the readiness checks again as metrics, and the messages that are due about it."""
        from registry_sync.airflow.messages.readiness_messages import tell_pools, tell_unchecked_pools
        from registry_sync.airflow.states.readiness_state import stored_readiness
        from registry_sync.state.metrics import readiness_metrics

        pools = list(self.file.node_pools.values())
        state = stored_readiness(open_named_store(READINESS_ASSET)) if pools else None
        if state:
            send_metrics(readiness_metrics(state, messenger.now))
            tell_pools(messenger, pools, state)
            messenger.store.delete(UNCHECKED_KEY)
        elif pools:
            tell_unchecked_pools(messenger, pools)

    def _watch_file(self, messenger: Messenger) -> None:
        """Send the problems of the mirrors file to all its notifiers: a mirror with a mistake does not run."""
        alerts = file_alerts(list_file_problems(self.dag_file), messenger.now)
        notifiers = [notifier for mirror in self.file.mirrors.values() for notifier in mirror.notify]
        unique = {notifier_key(notifier): notifier for notifier in notifiers}
        messenger.tell(MIRRORS_FILE, list(unique.values()), alerts, run_links("", None))

    def _watch(self, mirror: Mirror, context: Context, messenger: Messenger) -> int:
        """Log and send all alerts of a mirror, send its gauges, and return the number of alerts."""
        known = [fetch_destination(open_store(mirror.name, name), mirror.name, name) for name in mirror.destinations]
        if mirror.is_disabled(messenger.now):
            return self._leave_disabled(mirror, known, messenger)
        if (enabled_at := mirror.enabled_again_at) and enabled_at <= messenger.now:
            known = [
                replace(destination, stored=enabled_since(destination.stored, enabled_at)) for destination in known
            ]
        missing = find_missing_run(context["ti"], mirror, known, messenger.store, messenger.now)
        alerts = in_order([*collect_alerts(known, messenger.now), *([missing] if missing else [])])
        for alert in alerts:
            self.log.warning("%s: %s: %s: %s", mirror.name, alert.kind, alert.place, alert.reason)
        for destination in known:
            overdue_since = missing.since if missing else None
            send_metrics(destination_metrics(destination.stored, messenger.now, overdue_since=overdue_since))
        self._send_event_age(mirror, messenger.now)
        links = mirror_links(mirror.name, last_run(known))
        messenger.tell(Subject.of_mirror(mirror.name), mirror.notify, alerts, links, mirror.owner)
        return sum(alert.count for alert in alerts)

    def _send_event_age(self, mirror: Mirror, now: datetime) -> None:
        """Send the age of the last event of a mirror, so that silence shows."""
        if mirror.events_from(self.file.registries[mirror.source]):
            store = open_named_store(pushes_asset_name(mirror.name))
            send_metrics(events_metrics(mirror.name, read_pushes({EVENTS_KEY: store.get(EVENTS_KEY)}).events, now))

    def _leave_disabled(self, mirror: Mirror, known: Sequence[KnownDestination], messenger: Messenger) -> int:
        """Send the gauges of a mirror that is not due, and forget its schedule: it begins when it is enabled again.

        No message about a recovery is sent: a disabled mirror has not recovered.
        """
        text = until_text(mirror.disabled_until)
        self.log.info("%s: %s", mirror.name, text)
        messenger.store.delete(watched_key(mirror.name))
        for destination in known:
            send_metrics(destination_metrics(replace(destination.stored, disabled=text), messenger.now))
        return 0


def find_missing_run(
    ti: Any, mirror: Mirror, known: Sequence[KnownDestination], store: StateStore, now: datetime
) -> Alert | None:
    """The alert about a missing run of a mirror. Its DAG is read from Airflow only when a run is due."""
    key = watched_key(mirror.name)
    stored = store.get(key)
    watched = read_watched(stored, mirror.schedule, now)
    ended = max((state.run_ended for state in _states(known)), default=None)
    due = due_run(mirror, ended, watched, now)
    dag = read_dag_facts(ti, dag_id(mirror.name)) if due else DagFacts()
    watched = replace(watched, running_since=(watched.running_since or now) if dag.running else None)
    if as_document(watched) != stored:
        store.set(key, as_document(watched))
    return missing_run(mirror.name, due, ended, dag, now, watched.running_since) if due else None


def read_dag_facts(ti: Any, dag: str) -> DagFacts:
    """Read the facts about a DAG from Airflow: it exists, it is paused, and the numbers of its open runs."""
    try:
        is_paused = ti.get_dag(dag).is_paused
    except Exception as error:
        if _status_code(error) != 404:
            raise
        return DagFacts(exists=False)
    running, queued = (ti.get_dr_count(dag, states=[state]) for state in ("running", "queued"))
    return DagFacts(is_paused=bool(is_paused), running=running, queued=queued)


def _status_code(error: Exception) -> Any:
    """The status of Airflow's response. Without a supervisor, as in ``dags test``, the error has the response."""
    if isinstance(error, AirflowRuntimeError):
        return (error.error.detail or {}).get("status_code")
    return getattr(getattr(error, "response", None), "status_code", None)


def _states(known: Sequence[KnownDestination]) -> list[DestinationState]:
    return [destination.stored.state for destination in known if destination.stored.state]


def last_run(known: Sequence[KnownDestination]) -> str | None:
    """The last run of a mirror; ``None`` before the first."""
    latest = max(_states(known), key=lambda state: state.run_ended, default=None)
    return latest.run_id if latest else None
