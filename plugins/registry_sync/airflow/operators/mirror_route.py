"""The mapped task of a mirror's DAG: one route, with the state that its runs leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from registry_sync.airflow.operators.route_operator import RouteOperator
from registry_sync.airflow.runs.label import MAX_LENGTH, labelled
from registry_sync.airflow.runs.route_pages import pull_route
from registry_sync.airflow.states.route_state import Try, record_try
from registry_sync.routes.route import Route
from registry_sync.sync.scope import RouteTask

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.state.run_row import RunRow


class MirrorRouteOperator(RouteOperator):
    """Sync one route of a mirror, and record its state.

    :param routes_task: the task that listed the routes.
    :param number: the number of the route, one of those that ``routes_task`` returned.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, routes_task: str, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.routes_task = routes_task
        self.number = number
        self._work: RouteTask | None = None

    def execute(
        self,
        context: Context,
        event: Mapping[str, Any] | None = None,  # noqa: ARG002 - of the trigger, after a deferral
        deferrals: int = 0,
    ) -> None:
        """Sync the route.

        :param deferrals: number of deferrals of this try so far.
        :raises ConfigurationError: when Airflow no longer has the route.
        """
        work = self._work = pull_route(context["ti"], self.routes_task, self.number)
        with labelled(context, self.label):
            self.sync(context, work.route, work.scope, deferrals)

    @property
    def label(self) -> str:
        """The route in few words, once it was pulled."""
        return self._work.route.label[:MAX_LENGTH] if self._work else ""

    def record(self, context: Context, route: Route, done: Try) -> RunRow | None:
        """Merge the results of a try into the state of the route, and return its row for the run's last tasks."""
        return record_try(context, route, self._work.name, done) if self._work else None
