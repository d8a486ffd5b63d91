"""The mapped task of a mirror's DAG: one route, with the state that its runs leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from registry_sync.airflow.operators.route_operator import RouteOperator
from registry_sync.airflow.runs.route_pages import pull_route
from registry_sync.airflow.states.route_state import Try, record_try
from registry_sync.routes.route import Route
from registry_sync.sync.scope import RouteTask

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol


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
        """
        work = self.pull_work(context["ti"])
        self.sync(context, work.route, work.scope, deferrals)

    def pull_work(self, ti: RuntimeTaskInstanceProtocol) -> RouteTask:
        """The route and the scope of the run. The label of the instance reads it too, before the task executes.

        :raises ConfigurationError: when Airflow no longer has it.
        """
        self._work = self._work or pull_route(ti, self.routes_task, self.number)
        return self._work

    def record(self, context: Context, route: Route, done: Try) -> None:
        """Merge the results of a try into the state of the route."""
        record_try(context, route, self.pull_work(context["ti"]).name, done)
