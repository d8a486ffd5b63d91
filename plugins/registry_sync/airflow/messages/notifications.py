"""Send messages about a mirror through Airflow's notifiers, and remember what was sent.

A message is sent from a task, because Connections are available there. A notifier that fails or hangs is logged and
changes nothing else. A message that was not sent stays due, and the next ``mirror_watch`` sends it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import Asset, BaseNotifier

from registry_sync.airflow.hooks.find_connection import find_connection
from registry_sync.airflow.ids import dag_of_run
from registry_sync.airflow.masking import masked_text
from registry_sync.airflow.states.state_store import open_named_store, open_store
from registry_sync.config.known_notifiers import KNOWN_NOTIFIERS
from registry_sync.config.notify import Notifier
from registry_sync.errors import ConfigurationError
from registry_sync.state.document import as_document
from registry_sync.state.messages.alerts import Alert, collect_alerts
from registry_sync.state.messages.known_destination import fetch_destination
from registry_sync.state.messages.message import Link, Message, write_message
from registry_sync.state.messages.notices import MAX_REMEMBERED, LastMessage, Notice, decide, notifier_key, read_notices
from registry_sync.state.messages.subject import Subject
from registry_sync.state.names import ASSET_GROUP, MESSAGES_ASSET
from registry_sync.state.store import StateStore

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

MESSAGES = Asset(name=MESSAGES_ASSET, uri="x-registry-sync://messages", group=ASSET_GROUP)

SEND_SECONDS = 60.0
"""Time limit of one notifier. One that takes longer counts as failed, though its message may still arrive."""


def load_notifier(notifier: Notifier) -> BaseNotifier:
    """Import the class of a notifier, and make an instance with its arguments.

    :raises ConfigurationError: when there is no such class, when it is not a notifier, or when it refuses the
        arguments.
    """
    found = _import(notifier.class_path)
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise ConfigurationError(f"{notifier.class_path} is not a notifier: a subclass of airflow.sdk.BaseNotifier")
    known = KNOWN_NOTIFIERS.get(notifier.class_path)
    try:
        return found(**{**(known.defaults if known else {}), **notifier.arguments})
    except Exception as error:
        raise ConfigurationError(f"{notifier.class_path} does not accept the arguments of with: {error}") from error


def notifier_fault(notifier: Notifier) -> str:
    """The fault of a notifier's class, arguments or Connections that would keep it from sending; empty without one."""
    try:
        loaded = load_notifier(notifier)
    except ConfigurationError as error:
        return str(error)
    named = {name: value for name, value in vars(loaded).items() if name.endswith("conn_id") and isinstance(value, str)}
    for name, connection in named.items():
        if find_connection(connection) is None:
            return f"Airflow has no Connection {connection!r}; create it, or write the id of another as {name}"
    return ""


def _import(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except AttributeError as error:
        raise ConfigurationError(f"the module {module} has no class {name}; correct class: in notify") from error
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"cannot import {path}: {error}; {_remedy(path)}") from error
    except Exception as error:
        raise ConfigurationError(f"cannot import {path}: {type(error).__name__}: {error}") from error


def _remedy(path: str) -> str:
    parts = path.split(".")
    if parts[:2] == ["airflow", "providers"] and "notifications" in parts:
        provider = "-".join(parts[2 : parts.index("notifications")])
        return f"install apache-airflow-providers-{provider} on the workers, or correct class: in notify"
    return "install the package on the workers, or correct class: in notify"


def deliver(notifier: Notifier, message: Message, context: Context) -> str:
    """Send a message, and return why that failed; empty when it was sent.

    The notifier runs in a thread of its own, so that neither an endless call nor an exit ends the task.
    """
    failures: list[str] = []

    def send() -> None:
        try:
            load_notifier(notifier)({**context, "registry_sync": message})
        except ConfigurationError as error:
            failures.append(str(error))
        except BaseException as error:
            failures.append(f"{type(error).__name__}: {error}")

    thread = Thread(target=copy_context().run, args=(send,), daemon=True, name=notifier.name)
    thread.start()
    thread.join(SEND_SECONDS)
    if thread.is_alive():
        return f"it did not end in {SEND_SECONDS:g} seconds; the message may still arrive"
    return masked_text("; ".join(failures))


@dataclass(slots=True, kw_only=True)
class Messenger:
    """Sends the messages of mirrors in one task.

    :ivar store: of :data:`MESSAGES`.
    :ivar failures: of messages that were not sent.
    """

    context: Context
    store: StateStore
    now: datetime
    failures: list[str] = field(default_factory=list)

    def tell(
        self,
        subject: Subject,
        notifiers: Sequence[Notifier],
        alerts: Sequence[Alert],
        links: Sequence[Link],
        owner: str | None = None,
    ) -> None:
        """Send each notifier the message that is due, and remember those that were sent.

        :param owner: of the mirror, if it has one.
        """
        notices = read_notices(self.store.get(subject.key))
        last = {notifier_key(notifier): LastMessage() for notifier in notifiers} | dict(notices.last)
        masked = [replace(alert, reason=masked_text(alert.reason)) for alert in alerts]
        for notifier in notifiers:
            key = notifier_key(notifier)
            decision = decide(notifier, masked, last[key], self.now, limit=MAX_REMEMBERED // len(notifiers))
            if isinstance(decision, Notice):
                message = write_message(subject, decision, links, owner or "")
                last[key] = decision.remembered if self._deliver(notifier, message) else last[key]
            else:
                last[key] = decision
        after = replace(
            notices, last={key: last[key] for key in map(notifier_key, notifiers) if last[key] != LastMessage()}
        )
        if after != notices:
            self.store.set(subject.key, as_document(after))

    def _deliver(self, notifier: Notifier, message: Message) -> bool:
        """Return whether a message was sent."""
        failure = deliver(notifier, message, self.context)
        if failure:
            text = f"{notifier.name} did not send the message {message.subject!r}: {failure}"
            self.failures.append(text)
            log.error("%s", text)
        else:
            log.info("%s sent the message %r", notifier.name, message.subject)
        return not failure


def send_run_messages(
    context: Context,
    mirror: str,
    destinations: Sequence[str],
    notifiers: Sequence[Notifier],
    owner: str | None = None,
) -> None:
    """Send the messages that are due after a run has stored its results. Nothing that fails here fails the run.

    :param destinations: all destinations of the mirror.
    """
    if not notifiers:
        return
    try:
        now, store = datetime.now(UTC), open_named_store(MESSAGES_ASSET)
        known = [fetch_destination(open_store(mirror, name), mirror, name) for name in destinations]
        messenger = Messenger(context=context, store=store, now=now)
        links = mirror_links(mirror, context["ti"].run_id)
        messenger.tell(Subject.of_mirror(mirror), notifiers, collect_alerts(known, now), links, owner)
    except Exception:
        log.exception("the messages of this run were not sent; the DAG mirror_watch sends them")


def mirror_links(mirror: str, run_id: str | None) -> list[Link]:
    """Links below a message about a mirror."""
    return run_links(dag_of_run(mirror, run_id) if run_id else "", run_id)


def run_links(dag: str, run_id: str | None) -> list[Link]:
    """Links below a message: the last run of a DAG in Airflow's UI, if there is one, and the page of the mirrors."""
    base = str(conf.get("api", "base_url", fallback="http://localhost:8080")).rstrip("/")
    run = [Link(title="Last run", url=f"{base}/dags/{dag}/runs/{quote(run_id)}")] if run_id else []
    return [*run, Link(title="Mirrors", url=f"{base}/plugin/registry_sync")]
