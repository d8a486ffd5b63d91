"""The tasks of a mirror's DAG for pushes that the mirror's other DAG does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import DownstreamTasksSkipped

from registry_sync.airflow.pushes.received import ReceivedEvent, push_pushed, read_events
from registry_sync.airflow.pushes.remember import remember_events
from registry_sync.airflow.triggers.not_before import NotBeforeTrigger
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.events.push import Push, merge_pushes
from registry_sync.routes.disabled import until_text
from registry_sync.routes.pushed import chosen_names

if TYPE_CHECKING:
    from airflow.sdk import Context

MAX_LOGGED = 50
"""Repositories that one line of the log names."""


class PushesOperator(BaseOperator):
    """Read the events of a run, and wait until the pushes have settled: all images and signatures have arrived.

    The wait takes no worker. Without pushes to copy, the rest of the run is skipped.

    :param mirror: the entry of the mirrors file.
    :param source: the mirror's source.
    :param settle: the time to wait after the last event.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, mirror: Mirror, source: Registry, settle: timedelta, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mirror = mirror
        self.source = source
        self.settle = settle

    def execute(self, context: Context, event: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - of a trigger
        """Push the pushed repositories to XCom, and wait."""
        received = self._of_source(read_events(context, self.mirror.name, self.source))
        remember_events(self.mirror.name, received)
        chosen = self._choose(merge_pushes(push for event in received for push in event.event.pushes))
        now = datetime.now(UTC)
        if not chosen:
            self._end_run("the events name no repository that the mirrors file chooses")
        if self.mirror.is_disabled(now):
            self._end_run(f"the mirror is {until_text(self.mirror.disabled_until)}; nothing is copied")
        push_pushed(context, chosen)
        resume_at = settled_at(received, self.settle)
        if resume_at > now:
            self.log.info("The run waits until %s UTC for what belongs to the pushes", f"{resume_at:%H:%M:%S}")
            trigger = NotBeforeTrigger(resume_at=resume_at.isoformat(), ends_task=True)
            self.defer(trigger=trigger, method_name="execute")

    def _end_run(self, reason: str) -> NoReturn:
        self.log.info("Nothing to do: %s", reason)
        raise DownstreamTasksSkipped(tasks=sorted(self.get_flat_relative_ids(upstream=False)))

    def _of_source(self, received: Sequence[ReceivedEvent]) -> list[ReceivedEvent]:
        """The events of the mirror's source. Those of other registries are logged."""
        for event in received:
            if event.event.registry != self.source.name:
                self.log.warning(
                    "An event of the registry %r is left out: the source of this mirror is %r",
                    event.event.registry,
                    self.source.name,
                )
        return [event for event in received if event.event.registry == self.source.name]

    def _choose(self, pushes: Sequence[Push]) -> list[Push]:
        """The pushes to repositories that the mirrors file chooses, by their names at the source. Logs the others."""
        names = chosen_names(self.mirror, self.source, [push.repository for push in pushes])
        chosen = [Push(repository=name, tags=push.tags) for push in pushes if (name := names.get(push.repository))]
        others = [push.repository for push in pushes if push.repository not in names]
        self._log("Pushed", [_text(push) for push in chosen])
        self._log("Not chosen by the mirrors file", others)
        return list(merge_pushes(chosen))

    def _log(self, title: str, lines: Sequence[str]) -> None:
        if lines:
            more = f"\n… and {len(lines) - MAX_LOGGED} more" if len(lines) > MAX_LOGGED else ""
            self.log.info("%s:\n%s%s", title, "\n".join(lines[:MAX_LOGGED]), more)


def settled_at(received: Sequence[ReceivedEvent], settle: timedelta) -> datetime:
    """The time at which all pushes have settled. Pushes of our own tasks were complete before their event."""
    return max(event.at if event.is_own else event.at + settle for event in received)


def _text(push: Push) -> str:
    if push.tags is None:
        return f"{push.repository} (all tags)"
    shown = ", ".join(push.tags[:MAX_LOGGED])
    return f"{push.repository}: {shown}{', …' if len(push.tags) > MAX_LOGGED else ''}"
