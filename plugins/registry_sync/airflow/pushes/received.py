"""The events that started a run, and the pushes in them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from registry_sync.airflow.ids import PUSHED_KEY, PUSHES_TASK
from registry_sync.airflow.pushes.assets import pushes_asset
from registry_sync.config.registry import Registry
from registry_sync.errors import ConfigurationError
from registry_sync.events.event_extra import PushEvent, parse_extra
from registry_sync.events.push import Push
from registry_sync.events.queue_message import pushes_of_message

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

MAX_TAGS = 200
"""Maximum number of tags of a repository that are compared one by one. With more, all are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """An event that started a run.

    :ivar at: when Airflow received it, by the clock of that process. A time in the future counts as now.
    :ivar is_own: a task emitted it, after its tags and their artifacts were complete.
    """

    event: PushEvent
    at: datetime
    is_own: bool


def read_events(context: Context, mirror: str, source: Registry) -> list[ReceivedEvent]:
    """The events of pushes that started this run. Other events are logged and left out.

    Whoever may edit assets in Airflow can write an event.
    """
    found: Sequence[Any] = context["triggering_asset_events"].get(pushes_asset(mirror), ())
    received, now = [], datetime.now(UTC)
    for entry in found:
        event = read_event(entry, source)
        if event is None:
            log.warning("The event of %s is not one of pushes, and is left out", entry.timestamp.isoformat())
        else:
            at = min(entry.timestamp, now)
            received.append(ReceivedEvent(event=event, at=at, is_own=bool(entry.source_task_id)))
    return received


def read_event(entry: Any, source: Registry) -> PushEvent | None:
    """The pushes of an event of the asset; ``None`` when it is not one of pushes."""
    return parse_extra(entry.extra) or _read_message(entry, source)


def _read_message(entry: Any, source: Registry) -> PushEvent | None:
    """The pushes of a message that the triggerer took from the mirror's queue; ``None`` for any other event."""
    extra = entry.extra
    if not isinstance(extra, Mapping) or not extra.get("from_trigger"):
        return None
    pushes = pushes_of_message(extra.get("payload"), source.api_kind, source.host)
    return PushEvent(registry=source.name, received_at=entry.timestamp, pushes=pushes)


def push_pushed(context: Context, pushes: Iterable[Push]) -> None:
    """Push the pushed repositories to XCom, for the tasks that list routes."""
    document = {push.repository: _bounded(push.tags) for push in pushes}
    context["ti"].xcom_push(PUSHED_KEY, document)


def pull_pushed(context: Context) -> Mapping[str, tuple[str, ...] | None]:
    """The repositories that were pushed to, each with its tags, or ``None`` for all of them.

    :raises ConfigurationError: when Airflow no longer has them.
    """
    document = context["ti"].xcom_pull(task_ids=PUSHES_TASK, key=PUSHED_KEY)
    if document is None:
        raise ConfigurationError(
            f"Airflow no longer has the XCom {PUSHED_KEY!r} of the task {PUSHES_TASK}, with what was pushed; "
            f"clear {PUSHES_TASK}, so that it reads the events of this run again"
        )
    return {name: None if tags is None else tuple(tags) for name, tags in document.items()}


def _bounded(tags: Sequence[str] | None) -> list[str] | None:
    return None if tags is None or len(tags) > MAX_TAGS else list(tags)
