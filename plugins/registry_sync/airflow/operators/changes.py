"""The task that emits one asset event per destination that a run changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator, TriggerRule

from registry_sync.airflow.pushes.assets import pushes_alias
from registry_sync.airflow.runs.route_results import pull_results
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
    :param source: its source.
    :param destinations: its destinations.
    :param downstream: the mirrors that read from a destination and have ``events:``, by its name, each with the name of
        its source. They get an event for the changes of the run there.
    :param pushes: the asset whose events should have named the tags that the run found. Tags without an event are
        counted.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(
        self,
        *,
        mirror: str,
        source: Registry,
        destinations: Sequence[Registry],
        downstream: Mapping[str, Mapping[str, str]],
        pushes: Asset | None = None,
        **kwargs: Any,
    ) -> None:
        chained = dict.fromkeys(name for names in downstream.values() for name in names)
        own = [pushes] if pushes else []
        super().__init__(
            trigger_rule=TriggerRule.ALL_DONE,
            inlets=[*(destination_asset(mirror, destination) for destination in destinations), *own],
            outlets=[
                *(destination_alias(mirror, destination.name) for destination in destinations),
                *map(pushes_alias, chained),
            ],
            **kwargs,
        )
        self.mirror = mirror
        self.source = source
        self.destinations = destinations
        self.downstream = downstream
        self.pushes = pushes

    def execute(self, context: Context) -> None:
        """Add one event for each changed destination, and events for the mirrors that read from it."""
        from registry_sync.airflow.pushes.chain import emit_pushes
        from registry_sync.airflow.pushes.lost import count_lost

        rows = {
            destination.name: [result.row for result in pull_results(context["ti"], destination.name) if result.row]
            for destination in self.destinations
        }
        for destination in self.destinations:
            changes = NO_CHANGES
            for row in rows[destination.name]:
                changes = changes.plus(row.changes)
            if changes.total:
                self.log.info("%s: %d changes", asset_name(self.mirror, destination.name), changes.total)
                self._emit(context, destination, changes)
            for mirror, source in self.downstream.get(destination.name, {}).items():
                emit_pushes(context, mirror, source, destination.host, rows[destination.name])
        if self.pushes:
            count_lost(context, self.mirror, self.source, [row for found in rows.values() for row in found])

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
