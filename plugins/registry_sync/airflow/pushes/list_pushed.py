"""The task of a mirror's DAG for pushes that lists the routes of the pushed repositories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.operators.list_routes import ListRoutesOperator
from registry_sync.airflow.pushes.received import pull_pushed
from registry_sync.airflow.runs.context import task_label
from registry_sync.airflow.runs.map_length import check_map_length
from registry_sync.airflow.states.destination_state import read_index
from registry_sync.airflow.states.state_store import losing, open_store, read_state
from registry_sync.oci.artifact_tags import subject_of
from registry_sync.routes.discovery import Discovery
from registry_sync.routes.pushed import expand_pushed
from registry_sync.routes.route import Route, route_key
from registry_sync.state.names import route_names
from registry_sync.state.route import RouteState
from registry_sync.state.store import StateStore
from registry_sync.sync.scope import RouteScope, RouteTask
from registry_sync.sync.window import PUSHED
from registry_sync.tags.rules import TagRule, only_tags
from registry_sync.tags.select import rejection_reason

if TYPE_CHECKING:
    from airflow.sdk import Context


class ListPushedRoutesOperator(ListRoutesOperator):
    """List the routes of pushed repositories, each with its pushed tags, after checking skopeo and both registries.

    A new repository of a namespace gets all its tags, as does one that failed as a whole. Otherwise pages would show it
    as unknown, or as failing, until the next scheduled run.
    """

    def _list(self, context: Context) -> list[RouteTask]:
        self._notes: list[str] = []
        pushed = pull_pushed(context)
        self._check_skopeo(task_label(context))
        found = self._find_pushed(pushed)
        self._push_namespaces(context, found)
        names = route_names(entry.route for entry in found.routes)
        selected = self._split_disabled(context, found, names)
        self._push_failures(context, selected.failures)
        routes = [entry.route for entry in selected.routes]
        self._log_left_out(pushed, [entry.route for entry in found.routes])
        whole = self._compared_whole({names[route_key(route)]: route for route in routes})
        tasks = [
            RouteTask(route=route, scope=RouteScope(tags=tags, window=PUSHED), name=names[route_key(route)])
            for route in routes
            if (tags := self._tags(route, pushed[route.source_repository.name], names[route_key(route)] in whole))
            is not None
        ]
        check_map_length(len(tasks), f"{len(tasks)} routes were pushed to", "split the mirror")
        self._log_work(PUSHED, [(task.route, PUSHED) for task in tasks], [])
        return tasks

    def _find_pushed(self, pushed: Mapping[str, tuple[str, ...] | None]) -> Discovery:
        """Log in to both registries, and find the routes to the destination."""
        from registry_sync.sync.reading.source import repository_lister

        with closing(RegistryHook(self.destination).get_conn()) as destination:
            destination.ping()
        with closing(RegistryHook(self.source).get_conn()) as source:
            source.ping()
            lister = repository_lister(source)
            return expand_pushed(self.mirror, self.source, self.destination, pushed, lister, datetime.now(UTC))

    def _log_left_out(self, pushed: Mapping[str, tuple[str, ...] | None], routes: Sequence[Route]) -> None:
        found = {route.source_repository.name for route in routes}
        for name in sorted(pushed.keys() - found):
            self.log.info("%s is left out: its namespace does not list it, or it cannot be mirrored", name)

    def _compared_whole(self, routes: Mapping[str, Route]) -> frozenset[str]:
        """The names of routes whose tags are all compared; none while the store does not respond.

        These are new repositories of a namespace, and routes that failed as a whole, such as before their repository
        existed. Only a look at all tags shows that such a route is well again.

        :param routes: by name.
        """
        new, failed = list[str](), list[str]()
        with losing("Routes that need a look at all tags are not told from others"):
            store = open_store(self.mirror.name, self.destination.name)
            rows = {name: row for part in read_index(store) for name, row in part.routes.items()}
            new = [name for name, route in routes.items() if route.is_discovered and name not in rows]
            failing = [name for name in routes if name in rows and rows[name].failing_since]
            failed = [name for name in failing if _fails_as_whole(store, name)]
            for name in failed:
                self.log.info("%s failed as a whole in an earlier run, so all its tags are compared", name)
        return frozenset([*new, *failed])

    def _tags(self, route: Route, tags: tuple[str, ...] | None, is_whole: bool) -> TagRule | None:
        """The tags of a route to compare; ``None`` when its rules select none with these names."""
        if tags is None:
            return TagRule()
        reasons = {tag: _reason_against(route, tag) for tag in tags}
        for tag, reason in reasons.items():
            if reason:
                self.log.info("%s:%s is not selected: %s", route.source_repository, tag, reason)
        wanted = [tag for tag, reason in reasons.items() if not reason]
        if not wanted:
            return None
        return TagRule() if is_whole else only_tags(wanted)


def _fails_as_whole(store: StateStore, name: str) -> bool:
    """Return whether a problem of a route is not one of a single tag."""
    state = read_state(store, name, RouteState)
    return state is not None and any(problem.tag is None for problem in state.problems)


def _reason_against(route: Route, tag: str) -> str:
    """The reason that a tag of this name is never copied. A signature belongs to its image, and is copied with it."""
    if route.settings.signatures and subject_of(tag) and tag not in route.settings.tags.named:
        return ""
    return rejection_reason(tag, route.settings.tags)
