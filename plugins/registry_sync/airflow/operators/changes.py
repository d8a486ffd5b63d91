"""The task that emits one asset event per destination that a run changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TriggerRule

from registry_sync.airflow.run_context import read_rows
from registry_sync.airflow.states.assets import destination_alias, destination_asset
from registry_sync.config.registry import Registry
from registry_sync.state.changes import NO_CHANGES, ChangeEvent, Changes
from registry_sync.state.document import as_document
from registry_sync.state.names import asset_name

if TYPE_CHECKING:
    from airflow.sdk import Context


class ChangesOperator(BaseOperator):
    """Emit an asset event for each destination that the run changed, also when some routes failed.

    Airflow emits events only of tasks that succeed, for each asset of ``outlets``. So this is a task of its own, and
    aliases emit only what is added to them. The assets themselves are inlets: that makes Airflow create them, with the
    state stores that other tasks write.

    :param mirror: name of the mirror.
    :param destinations: its destinations.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, mirror: str, destinations: Sequence[Registry], **kwargs: Any) -> None:
        super().__init__(
            trigger_rule=TriggerRule.ALL_DONE,
            inlets=[destination_asset(mirror, destination) for destination in destinations],
            outlets=[destination_alias(mirror, destination.name) for destination in destinations],
            **kwargs,
        )
        self.mirror = mirror
        self.destinations = destinations

    def execute(self, context: Context) -> None:
        """Add one event per destination that was changed."""
        for destination in self.destinations:
            changes = NO_CHANGES
            for row in read_rows(context, destination.name):
                changes = changes.plus(row.changes)
            if changes.total:
                self.log.info("%s: %d changes", asset_name(self.mirror, destination.name), changes.total)
                self._emit(context, destination, changes)

    def _emit(self, context: Context, destination: Registry, changes: Changes) -> None:
        event = ChangeEvent(
            mirror=self.mirror,
            destination=destination.name,
            host=destination.host,
            run_id=context["ti"].run_id,
            at=datetime.now(UTC),
            total=changes.total,
            changes=changes.changes,
        )
        alias = context["outlet_events"][destination_alias(self.mirror, destination.name)]
        alias.add(destination_asset(self.mirror, destination), extra=as_document(event))
