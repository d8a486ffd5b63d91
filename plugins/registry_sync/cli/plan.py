"""The command ``plan``: print the decision of a run for each tag, with its reason. Nothing is written."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, assert_never

from registry_sync.cli.arguments import FAILED, OK, chosen_destinations, named_mirror
from registry_sync.cli.connections import CommandConnections
from registry_sync.config.model import Mirror, MirrorsFile
from registry_sync.errors import RegistrySyncError
from registry_sync.oci.reference import Digest
from registry_sync.routes.discovery import Discovery, expand_routes, select_routes
from registry_sync.routes.load import load_mirrors
from registry_sync.routes.route import Route
from registry_sync.sync.execute import write_faults
from registry_sync.sync.plan import CopyTag, Decision, DeleteTag, Failed, Locked, NotCompared, Plan, Skipped, Unchanged
from registry_sync.sync.plan_route import plan_route
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.observe import observe
from registry_sync.sync.reading.source import repository_lister
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Connections, open_session
from registry_sync.sync.summarize import selection_notes, selection_steps, selection_steps_note
from registry_sync.tags.rules import only_tags
from registry_sync.text_table import table_with_texts


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRoute:
    """A route with its observation and plan, or with the error that prevented them.

    :ivar source: the source repository, for people.
    :ivar destination: the destination repository, or the registry's host when the repository gets no route.
    """

    source: str
    destination: str
    route: Route | None = None
    observation: Observation | None = None
    plan: Plan | None = None
    notes: tuple[str, ...] = ()
    error: RegistrySyncError | None = None

    def would_fail(self) -> bool:
        """True if the route could not be observed, or a tag of its plan fails."""
        return self.plan is None or any(isinstance(decision, Failed) for decision in self.plan.decisions)


def print_plans(arguments: argparse.Namespace) -> int:
    """Plan the selected routes and print them as text or JSON."""
    planned: list[PlannedRoute] = []
    for entry in _plan_routes(arguments):
        planned.append(entry)
        if not arguments.json:
            print(f"\n{_text(entry)}")
    if arguments.json:
        print(json.dumps([_document(entry) for entry in planned], indent=2, ensure_ascii=False))
    failed = sum(entry.would_fail() for entry in planned)
    if failed and not arguments.json:
        print(f"\n{failed} of {len(planned)} routes would fail", file=sys.stderr)
    return FAILED if failed else OK


def _plan_routes(arguments: argparse.Namespace) -> Iterator[PlannedRoute]:
    file = load_mirrors(arguments.file)
    mirror = named_mirror(file, arguments.mirror)
    scope = RouteScope(tags=only_tags(arguments.tag))
    destinations = chosen_destinations(mirror, arguments.destination)
    with CommandConnections() as connections:
        for destination in destinations:
            registry = file.registries[destination]
            found = find_routes(file, mirror, destination, arguments.repository, connections)
            for entry in found.routes:
                yield _plan(entry.route, scope, connections)
            for failure in found.failures:
                yield PlannedRoute(source=failure.source, destination=registry.host, error=failure.error)


def find_routes(
    file: MirrorsFile, mirror: Mirror, destination: str, globs: list[str], connections: Connections
) -> Discovery:
    """The routes of a mirror to one destination whose source repository matches one of ``globs``; without any, all."""
    source = file.registries[mirror.source]
    with connections.client(source) as client:
        found = expand_routes(mirror, source, file.registries[destination], repository_lister(client))
    return select_routes(found, globs)


def _plan(route: Route, scope: RouteScope, connections: Connections) -> PlannedRoute:
    planned = PlannedRoute(
        source=str(route.source_repository), destination=str(route.destination_repository), route=route
    )
    try:
        with open_session(route, connections) as session:
            observation = observe(session, scope)
            plan = plan_route(observation, route.settings)
            faults = write_faults(session) if plan.copies else ()
    except RegistrySyncError as error:
        return replace(planned, error=error)
    notes = (*selection_notes(observation), *plan.notes, *faults)
    return replace(planned, observation=observation, plan=plan, notes=notes)


def _document(planned: PlannedRoute) -> dict[str, Any]:
    route, observation, plan = planned.route, planned.observation, planned.plan
    ends = {"source": planned.source, "destination": planned.destination}
    if route is None or plan is None or observation is None:
        return {**ends, "error": str(planned.error), "error_class": planned.error and planned.error.error_class}
    steps = observation.selection.steps if selection_steps(route, observation) else ()
    selection = [{"step": step.what, "tags": step.tags} for step in steps]
    tags = [_decision_document(decision) for decision in plan.decisions]
    return {**ends, "selection": selection, "tags": tags, "notes": list(planned.notes)}


def _decision_document(decision: Decision) -> dict[str, Any]:
    name, reason = _describe(decision)
    digest = _digest(decision)
    return {"tag": decision.tag, "decision": name, "digest": str(digest) if digest else None, "reason": reason}


def _text(planned: PlannedRoute) -> str:
    heading = f"{planned.source} → {planned.destination}"
    if planned.route is None or planned.plan is None or planned.observation is None:
        return f"{heading}\n  FAILED: {planned.error}"
    steps = selection_steps_note(planned.route, planned.observation)
    rows = [_row(decision) for decision in planned.plan.decisions]
    if not rows:
        return "\n".join((heading, *steps, "  the source repository has no tags", *planned.notes))
    return "\n".join((heading, *steps, table_with_texts(_HEADINGS, rows), *planned.notes))


_HEADINGS = ("tag", "decision", "digest", "reason")


def _row(decision: Decision) -> tuple[str, str, str, str]:
    name, reason = _describe(decision)
    digest = _digest(decision)
    return decision.tag, name, digest.short if digest else "-", reason


def _digest(decision: Decision) -> Digest | None:
    """The digest of a decision; ``None`` where it is unknown."""
    return None if isinstance(decision, NotCompared | Skipped | Failed) else decision.digest


def _describe(decision: Decision) -> tuple[str, str]:
    """Return the name of a decision, and its reason."""
    match decision:
        case CopyTag(reason=reason):
            return "copy", reason
        case Unchanged():
            return "unchanged", "same digest"
        case NotCompared(reason=reason):
            return "unchanged", reason
        case Skipped(reason=reason):
            return "skip", reason
        case DeleteTag(reason=reason):
            return "delete", reason
        case Locked(reason=reason):
            return "locked", reason
        case Failed(reason=reason):
            return "fail", reason
        case _ as unreachable:
            assert_never(unreachable)
