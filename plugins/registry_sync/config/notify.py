"""``notify:`` of a mirrors file: notifiers of Airflow, each with the events that it sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from registry_sync.tags.rules import Duration

Event = Literal["failed", "recovered", "stale"]

EVENTS: tuple[Event, ...] = ("failed", "recovered", "stale")

DEFAULT_REPEAT = Duration("24h", timedelta(hours=24))


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """A notifier of Airflow and its arguments.

    :ivar class_path: of a subclass of Airflow's ``BaseNotifier``. It is imported when a message is sent.
    :ivar arguments: of the class, JSON-simple.
    :ivar on: the events for which it sends a message.
    :ivar repeat: time after which a message about unchanged problems is sent again.
    """

    class_path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    on: tuple[Event, ...] = EVENTS
    repeat: Duration = DEFAULT_REPEAT

    @property
    def name(self) -> str:
        """The name of the class, without its module."""
        return self.class_path.rpartition(".")[2]

    def as_written(self) -> dict[str, Any]:
        """The notifier as a mirrors file has it.

        >>> Notifier(class_path="a.B", arguments={"to": "ops@example.com"}, on=("failed",)).as_written()
        {'class': 'a.B', 'with': {'to': 'ops@example.com'}, 'on': ['failed']}
        """
        written: dict[str, Any] = {"class": self.class_path}
        written |= {"with": dict(self.arguments)} if self.arguments else {}
        written |= {"on": list(self.on)} if self.on != EVENTS else {}
        return written | ({"repeat": self.repeat.text} if self.repeat != DEFAULT_REPEAT else {})
