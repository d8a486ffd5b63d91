"""The command ``plan``: print the decision of a run for each tag, with its reason. Nothing is written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, assert_never

from registry_sync.cli.arguments import FAILED, OK, UNANSWERED, named_mirror
from registry_sync.cli.connections import CommandConnections
from registry_sync.cli.planning import PlannedRoute, PlanRequest, plan_all, plan_mirror
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest
from registry_sync.routes.load import load_mirrors
from registry_sync.sync.plan import CopyTag, Decision, DeleteTag, Failed, Locked, NotCompared, Skipped, Unchanged
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.sizes import SIZES_MODES, total_requests
from registry_sync.sync.summarize import selection_steps, selection_steps_note
from registry_sync.sync.totals import PlanTotals, sum_totals, totals_text
from registry_sync.tags.accepted import parse_accepted
from registry_sync.tags.rules import only_tags
from registry_sync.text_table import human_bytes, table, table_with_texts

WIDTH = 80
"""Characters of a line of the tables, unless tags have long names."""

MAX_PROBLEMS = 20
"""Failures that ``plan --all`` prints."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that only ``plan`` has."""
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--mirror", metavar="NAME", help="mirror to plan")
    chosen.add_argument("--all", action="store_true", help="plan all mirrors, and print a line for each")
    parser.add_argument(
        "--sizes",
        choices=SIZES_MODES,
        default="auto",
        help="how many manifests to read to add up bytes. auto: up to 200 of a repository, and none at Docker Hub, "
        "which counts them as pulls (default: %(default)s)",
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="[REPOSITORY:]TAG@DIGEST",
        help="plan as a run that accepts this move of a tag that on_moved_tag protects (may be repeated)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=print_plans)


def print_plans(arguments: argparse.Namespace) -> int:
    """Plan the selected routes and print them, with their totals, as text or JSON."""
    _check_arguments(arguments)
    planned: list[PlannedRoute] = []
    with CommandConnections() as connections:
        for entry in _plan_routes(arguments, connections):
            planned.append(entry)
            if not arguments.json and not arguments.all:
                print(f"\n{_text(entry)}")
        totals = sum_totals(entry.totals for entry in planned) + total_requests(connections.clients)
    if arguments.json:
        document = {"routes": [_document(entry) for entry in planned], "totals": totals.to_json()}
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        parts = [_mirrors_text(planned)] if arguments.all else []
        print("", "\n\n".join([*parts, _totals_text(planned, totals)]), sep="\n")
    failed = sum(entry.would_fail() for entry in planned)
    if failed and not arguments.json:
        print(f"\n{failed} of {len(planned)} routes would fail")
    return _exit_code(planned)


def _exit_code(planned: Sequence[PlannedRoute]) -> int:
    """``UNANSWERED`` when every failure is a registry or service that does not respond."""
    failing = [entry for entry in planned if entry.would_fail()]
    if not failing:
        return OK
    is_unknown = all(entry.error is not None and not entry.error.is_permanent for entry in failing)
    return UNANSWERED if is_unknown else FAILED


def _check_arguments(arguments: argparse.Namespace) -> None:
    """:raises ConfigurationError: for an argument that needs a single mirror."""
    names = [f"--{name}" for name in ("repository", "destination", "accept") if getattr(arguments, name)]
    if arguments.all and names:
        raise ConfigurationError(f"{' and '.join(names)}: only with --mirror NAME, not with --all")


def _plan_routes(arguments: argparse.Namespace, connections: CommandConnections) -> Iterator[PlannedRoute]:
    file = load_mirrors(arguments.file)
    request = PlanRequest(
        scope=RouteScope(tags=only_tags(arguments.tag)),
        destinations=arguments.destination,
        globs=arguments.repository,
        accepted=[parse_accepted(text) for text in arguments.accept],
        sizes=arguments.sizes,
    )
    if arguments.all:
        return plan_all(file, request, connections)
    return plan_mirror(file, named_mirror(file, arguments.mirror), request, connections)


def _document(planned: PlannedRoute) -> dict[str, Any]:
    route, observation, plan = planned.route, planned.observation, planned.plan
    ends = {"mirror": planned.mirror, "source": planned.source, "destination": planned.destination}
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
    heading = _heading(planned)
    if planned.route is None or planned.plan is None or planned.observation is None:
        return f"{heading}\n  FAILED: {planned.error}"
    steps = selection_steps_note(planned.route, planned.observation)
    rows = [_row(decision) for decision in planned.plan.decisions]
    if not rows:
        return "\n".join((heading, *steps, "  the source repository has no tags", *planned.notes))
    tags = table_with_texts(_HEADINGS, rows, width=WIDTH, narrowest=_NARROWEST)
    return "\n".join((heading, *steps, tags, *planned.notes))


def _heading(planned: PlannedRoute) -> str:
    line = f"{planned.source} → {planned.destination}"
    return line if len(line) <= WIDTH else line.replace(" → ", "\n→ ")


def _totals_text(planned: Sequence[PlannedRoute], totals: PlanTotals) -> str:
    read = sum(entry.plan is not None for entry in planned)
    if planned and not read:
        return "No route could be read, so nothing is known about what a run would copy"
    whole = f"{read} route{'' if read == 1 else 's'}"
    routes = whole if read == len(planned) else f"the {read} of {len(planned)} routes that could be read"
    return f"Total of {routes}\n{totals_text(totals)}"


def _mirrors_text(planned: Sequence[PlannedRoute]) -> str:
    """A table with a row per mirror and destination, and the first failures."""
    groups: dict[tuple[str, str], list[PlannedRoute]] = {}
    for entry in planned:
        groups.setdefault((entry.mirror, entry.to), []).append(entry)
    rows = [_mirror_row(*names, routes) for names, routes in groups.items()]
    problems = [line for entry in planned for line in _problems(entry)]
    more = [f"… and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
    shown = ["\n  ".join(["Would fail:", *problems[:MAX_PROBLEMS], *more])] if problems else []
    return "\n\n".join([table(_MIRROR_HEADINGS, rows, right=frozenset(range(2, len(_MIRROR_HEADINGS)))), *shown])


_MIRROR_HEADINGS = ("mirror", "to", "routes", "copy", "move", "keep", "delete", "fail", "bytes")


def _mirror_row(mirror: str, to: str, routes: Sequence[PlannedRoute]) -> tuple[str, ...]:
    totals = sum_totals(entry.totals for entry in routes)
    counts = (totals.copy, totals.move, totals.keep, totals.delete)
    failed = sum(entry.would_fail() for entry in routes)
    is_known = totals.sized == totals.images and all(entry.plan for entry in routes)
    size = f"≤ {human_bytes(totals.size_bytes)}" if totals.sized else "0 B"
    return mirror, f"→ {to}", str(len(routes)), *map(str, counts), str(failed), size if is_known else "?"


def _problems(planned: PlannedRoute) -> Iterable[str]:
    """A line for a route that could not be read, and for each tag that would fail."""
    if planned.plan is None:
        yield f"{planned.mirror}: {planned.source} → {planned.destination}: {planned.error}"
        return
    for decision in planned.plan.decisions:
        if isinstance(decision, Failed | Locked):
            yield f"{planned.mirror}: {planned.source}:{decision.tag} → {planned.destination}: {decision.reason}"


_HEADINGS = ("tag", "decision", "digest", "reason")

_NARROWEST = 60
"""Characters of a reason that stand in the row, also where the line is longer than ``WIDTH`` by that."""


def _row(decision: Decision) -> tuple[str, str, str, str]:
    name, reason = _describe(decision)
    digest = _digest(decision)
    return decision.tag, name, digest.short if digest else "-", reason


def _digest(decision: Decision) -> Digest | None:
    """The digest of a decision, at the source or of a tag to delete; ``None`` where it is unknown."""
    if isinstance(decision, Skipped | Failed):
        return decision.moved_to
    return None if isinstance(decision, NotCompared) else decision.digest


def _describe(decision: Decision) -> tuple[str, str]:
    """Return the name of a decision, and its reason."""
    match decision:
        case CopyTag(reason=reason, replaces=replaces):
            return "move" if replaces else "copy", reason
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
