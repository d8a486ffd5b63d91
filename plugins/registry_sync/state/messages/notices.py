"""Decide the messages to each notifier: one per change, repeated after a while. Pure; the clock is a parameter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from registry_sync.config.notify import Event, Notifier
from registry_sync.state.document import StateError, read_document
from registry_sync.state.messages.alerts import Alert
from registry_sync.state.times import UtcTime

MAX_REMEMBERED = 4000
"""Maximum number of sent alerts that are remembered for a mirror, for all its notifiers, to fit into one stored value.

A notifier whose share is full gets the others with the next repetition.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastMessage:
    """The last message to a notifier.

    :ivar alerts: short digests of the keys of the alerts that it knows and that still last.
    :ivar count: number of tags, routes and runs in the last message about failures or broken promises.
    :ivar at: when the last such message was sent; ``None`` when everything is well.
    """

    alerts: tuple[str, ...] = ()
    count: int = 0
    at: UtcTime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorNotices:
    """The last messages to the notifiers of a mirror, by :func:`notifier_key`, stored as one value."""

    last: dict[str, LastMessage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message that is due.

    :ivar event: that the message is about; a failure before a broken promise.
    :ivar alerts: all alerts for the notifier, the new ones first.
    :ivar new: number of tags, routes and runs in new alerts.
    :ivar resolved: the message before, when everything is well again.
    :ivar remembered: the last message of the notifier once this one is sent.
    """

    event: Event
    alerts: tuple[Alert, ...] = ()
    new: int = 0
    resolved: LastMessage | None = None
    remembered: LastMessage = LastMessage()

    @property
    def is_repeated(self) -> bool:
        return bool(self.alerts) and not self.new


def read_notices(document: Any) -> MirrorNotices:
    """Read the stored messages. An unreadable value counts as no messages, so that they are sent again."""
    try:
        return MirrorNotices() if document is None else read_document(MirrorNotices, document)
    except StateError:
        return MirrorNotices()


def notifier_key(notifier: Notifier) -> str:
    """The name under which a notifier is remembered. With other arguments it is a new notifier, which gets all."""
    written = {"class": notifier.class_path, "with": dict(notifier.arguments), "on": list(notifier.on)}
    return _short(json.dumps(written, sort_keys=True))


def decide(
    notifier: Notifier, alerts: Sequence[Alert], last: LastMessage, now: datetime, *, limit: int = MAX_REMEMBERED
) -> Notice | LastMessage:
    """The message that is due to a notifier, else its memory.

    :param alerts: all alerts of the mirror.
    :param last: the last message to the notifier.
    :param limit: number of alerts that are remembered for this notifier.
    """
    relevant = [alert for alert in alerts if alert.kind in notifier.on]
    if not relevant:
        return _all_well(notifier, last)
    known = set(last.alerts)
    new = [alert for alert in relevant if _short(alert.key) not in known]
    is_due = last.at is None or now - last.at >= notifier.repeat.length
    old = [alert for alert in relevant if _short(alert.key) in known]
    if not is_due and (not new or len(old) >= limit):
        return LastMessage(alerts=_keys(relevant, limit), count=last.count, at=last.at)
    return Notice(
        event=_worst(new or relevant),
        alerts=(*new, *old),
        new=sum(alert.count for alert in new),
        remembered=LastMessage(alerts=_keys(relevant, limit), count=sum(alert.count for alert in relevant), at=now),
    )


def _all_well(notifier: Notifier, last: LastMessage) -> Notice | LastMessage:
    if last.at is None or "recovered" not in notifier.on:
        return LastMessage()
    return Notice(event="recovered", resolved=last)


def _worst(alerts: Iterable[Alert]) -> Event:
    return "failed" if any(alert.kind == "failed" for alert in alerts) else "stale"


def _keys(alerts: Iterable[Alert], limit: int) -> tuple[str, ...]:
    return tuple(_short(alert.key) for alert in alerts)[:limit]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
