"""Plan the routes of mirrors for the command ``plan``. An error of one route or mirror does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from registry_sync.cli.arguments import chosen_destinations
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.errors import ConfigurationError, RegistrySyncError
from registry_sync.routes.acceptance import assign_accepted
from registry_sync.routes.disabled import disabled_note, split_disabled, until_text
from registry_sync.routes.discovery import Discovery, expand_routes, select_routes
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.acceptance import acceptance_note
from registry_sync.sync.execute import write_faults
from registry_sync.sync.plan import Failed, Locked, Plan
from registry_sync.sync.plan_route import plan_route
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.observe import observe
from registry_sync.sync.reading.source import repository_lister
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Connections, open_session
from registry_sync.sync.sizes import SizesMode, total_plan
from registry_sync.sync.summarize import selection_notes
from registry_sync.sync.totals import NO_TOTALS, PlanTotals
from registry_sync.tags.accepted import AcceptedTag

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRoute:
    """A route with its observation and plan, or with the error that prevented them.

    :ivar to: name of the destination in the mirrors file.
    :ivar source: the source repository, or its registry when no route is known, for people.
    :ivar destination: the destination repository, or the registry's host when the repository gets no route.
    """

    mirror: str
    to: str
    source: str
    destination: str
    route: Route | None = None
    observation: Observation | None = None
    plan: Plan | None = None
    totals: PlanTotals = NO_TOTALS
    notes: tuple[str, ...] = ()
    error: RegistrySyncError | None = None

    def would_fail(self) -> bool:
        """True if the route could not be observed, or a tag of its plan fails."""
        return self.plan is None or any(isinstance(decision, Failed | Locked) for decision in self.plan.decisions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """The part of the mirrors file that is planned.

    :ivar destinations: names of destinations; empty for all.
    :ivar globs: source repositories; empty for all.
    :ivar accepted: moved tags to accept, of one mirror.
    :ivar sizes: the manifests to read for the number of bytes that a run would send.
    """

    scope: RouteScope
    destinations: Sequence[str] = ()
    globs: Sequence[str] = ()
    accepted: Sequence[AcceptedTag] = ()
    sizes: SizesMode = "auto"


def plan_mirror(
    file: MirrorsFile, mirror: Mirror, request: PlanRequest, connections: Connections
) -> Iterator[PlannedRoute]:
    """Plan the routes of a mirror. A destination or repository that cannot be read does not stop the others.

    :raises ConfigurationError: for a destination or repository that the mirror does not have, or a missing Connection.
    """
    for destination in chosen_destinations(mirror, request.destinations):
        unrouted = PlannedRoute(
            mirror=mirror.name,
            to=destination,
            source=file.registries[mirror.source].host,
            destination=file.registries[destination].host,
        )
        try:
            found = find_routes(file, mirror, destination, request.globs, connections)
        except ConfigurationError:
            raise
        except RegistrySyncError as error:
            yield replace(unrouted, error=error)
            continue
        accepted = assign_accepted(request.accepted, [entry.route for entry in found.routes])
        for entry in found.routes:
            scope = replace(request.scope, accepted=accepted.get(route_key(entry.route), {}))
            yield _plan(entry.route, replace(request, scope=scope), connections)
        for failure in found.failures:
            yield replace(unrouted, source=failure.source, error=failure.error)


def plan_all(file: MirrorsFile, request: PlanRequest, connections: Connections) -> Iterator[PlannedRoute]:
    """Plan all mirrors. A destination that cannot be planned for any reason does not stop the others."""
    for mirror in file.mirrors.values():
        for destination in mirror.destinations:
            try:
                yield from plan_mirror(file, mirror, replace(request, destinations=(destination,)), connections)
            except ConfigurationError as error:
                source, host = file.registries[mirror.source].host, file.registries[destination].host
                yield PlannedRoute(mirror=mirror.name, to=destination, source=source, destination=host, error=error)


def find_routes(
    file: MirrorsFile, mirror: Mirror, destination: str, globs: Sequence[str], connections: Connections
) -> Discovery:
    """The routes of a mirror to one destination whose source repository matches one of ``globs``; without any, all.

    Disabled routes are only named in a warning. A mirror that is disabled as a whole costs no request.
    """
    source, now = file.registries[mirror.source], datetime.now(UTC)
    if mirror.is_disabled(now):
        log.warning("%s → %s: the mirror is %s", mirror.name, destination, until_text(mirror.disabled_until))
        return Discovery(routes=())
    with connections.client(source) as client:
        found = expand_routes(mirror, source, file.registries[destination], repository_lister(client), now)
    selected, disabled = split_disabled(select_routes(found, globs), now)
    if disabled:
        log.warning("%s → %s: %s", mirror.name, destination, disabled_note(disabled))
    return selected


def _plan(route: Route, request: PlanRequest, connections: Connections) -> PlannedRoute:
    planned = PlannedRoute(
        mirror=route.mirror,
        to=route.destination.name,
        source=str(route.source_repository),
        destination=str(route.destination_repository),
        route=route,
    )
    try:
        with open_session(route, connections) as session:
            observation = observe(session, request.scope)
            plan = plan_route(observation, route.settings, has_schedule=route.has_schedule)
            faults = write_faults(session) if plan.copies else ()
            totals = total_plan(session, observation, plan, request.sizes)
    except RegistrySyncError as error:
        return replace(planned, error=error)
    to_accept = acceptance_note(plan.decisions, route.source_repository)
    notes = (*selection_notes(observation), *plan.notes, *faults, *to_accept)
    return replace(planned, observation=observation, plan=plan, totals=totals, notes=notes)
