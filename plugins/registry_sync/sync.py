"""Bring one route into step: observe both sides, plan, apply, verify. Registries are known by their protocol only."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace

from registry_sync.apply import FAILURES_IN_A_ROW, PROGRESS_SECONDS, Apply, thread_pool
from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    NotFound,
    RateLimited,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.mirrors import Route
from registry_sync.plan import CopyTag, Decision, Failed, Plan, Skipped, TagState, Unchanged, Unreadable, plan_route
from registry_sync.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.report import OUTCOMES, RouteReport, TagResult, text_table
from registry_sync.skopeo import Skopeo
from registry_sync.tags import Selection, TagRules, select_tags

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two registries of a route."""

    source: RegistryClient
    destination: RegistryClient


def sync_route(
    route: Route, sides: Sides, skopeo: Skopeo, *, only_tags: TagRules = TagRules(), dry_run: bool = False
) -> RouteReport:
    """Copy what is missing or has moved, and report per tag. A tag that fails does not stop the others.

    :param only_tags: of the tags that the route's rules select, work on these only.
    :raises RegistrySyncError: when the route as a whole cannot be worked on, for example because a side is down.
    """
    started = time.monotonic()
    plan = observe_and_plan(route, sides, only_tags)
    log_plan(plan)
    work = Apply(route, source=sides.source, destination=sides.destination, skopeo=skopeo)
    copied = [] if dry_run else work.apply(plan)
    others = [_preview(each) for each in plan.decisions if dry_run or not isinstance(each, CopyTag)]
    report = replace(
        _report(route, [*copied, *others]),
        sent_bytes=skopeo.sent_bytes,
        seconds=round(time.monotonic() - started, 3),
        dry_run=dry_run,
        retry_at=work.retry_at,
    )
    log.info("\n%s", text_table([report]))
    return report


def observe_and_plan(route: Route, sides: Sides, only_tags: TagRules) -> Plan:
    """Read both sides and decide; nothing is changed.

    :raises ConfigurationError: when the source has no such repository.
    """
    listed = _list_tags(sides.source, route.source_repository)
    selection = _select(listed, route.settings.tags, only_tags)
    log.info("%s lists %d tags, %d chosen", route.source_repository, len(listed), len(selection.selected))
    names = {name: listed[name] for name in selection.selected}
    source = _observe(sides.source, route.source_repository, names, route.source.max_connections)
    wanted = dict.fromkeys(name for name, state in source.items() if isinstance(state, Digest))
    there = _observe(sides.destination, route.destination_repository, wanted, route.destination.max_connections)
    return plan_route(selection, source, there, route.settings.on_moved_tag)


_KINDS = ((CopyTag, "to copy"), (Unchanged, "unchanged"), (Skipped, "skipped"), (Failed, "failed"))


def log_plan(plan: Plan, limit: int = 20) -> None:
    """Say how many tags need what, and why the first ``limit`` of those not copied are left alone."""
    counts = Counter(type(each) for each in plan.decisions)
    log.info("Plan: %s", ", ".join(f"{counts[kind]} {words}" for kind, words in _KINDS if counts[kind]) or "no tags")
    left = [each for each in plan.decisions if isinstance(each, Skipped | Failed)]
    for each in left[:limit]:
        log.info("  %s: %s", each.tag, each.reason)
    if len(left) > limit:
        log.info("  … and %d more", len(left) - limit)


def _list_tags(source: RegistryClient, repository: Repository) -> dict[str, Digest | None]:
    try:
        return {entry.name: entry.digest for entry in source.list_tags(repository)}
    except NotFound as error:
        advice = "check its name in the mirrors file, and that it holds a tag"
        raise ConfigurationError(f"the source has no repository {repository}; {advice} ({error})") from error


def _select(listed: Iterable[str], rules: TagRules, only: TagRules) -> Selection:
    """By the route's rules first, then by what this run was asked for."""
    by_rules = select_tags(listed, rules)
    asked = select_tags(by_rules.selected, only)
    return Selection(selected=asked.selected, rejected={**by_rules.rejected, **asked.rejected})


def _observe(
    client: RegistryClient, repository: Repository, listed: Mapping[str, Digest | None], threads: int
) -> dict[str, TagState]:
    """What each tag names: as listed, or by a HEAD where the listing has no digest.

    :raises RegistrySyncError: when tags cannot be read and the registry is not there at all.
    """
    states: dict[str, TagState] = {name: digest for name, digest in listed.items() if digest is not None}
    unknown = [name for name in listed if name not in states]
    due, failures = time.monotonic() + PROGRESS_SECONDS, 0
    with thread_pool(threads) as pool:
        pending = {pool.submit(_head, client, repository, name): name for name in unknown}
        for future in as_completed(pending):
            state = states[pending[future]] = future.result()
            if isinstance(state, Unreadable) and state.error_class == TemporaryError.error_class:
                if failures % FAILURES_IN_A_ROW == 0:
                    client.ping()
                failures += 1
            if time.monotonic() >= due:
                log.info("%s: looked at %d of %d tags", repository, len(states), len(listed))
                due += PROGRESS_SECONDS
    return states


def _head(client: RegistryClient, repository: Repository, tag: str) -> TagState:
    """A tag that cannot be read is a state, not an end; what concerns the whole registry is raised."""
    try:
        return client.head_manifest(repository, tag)
    except (RateLimited, DeniedError, ConfigurationError):
        raise
    except RegistrySyncError as error:
        return Unreadable(error_class=error.error_class, text=str(error))


def _preview(decision: Decision) -> TagResult:
    """A decision as a result, for what needs no work and for a dry run."""
    match decision:
        case CopyTag(tag=tag, digest=digest, reason=reason):
            return TagResult(tag=tag, outcome="would_copy", reason=reason, digest=str(digest))
        case Unchanged(tag=tag, digest=digest):
            return TagResult(tag=tag, outcome="unchanged", reason="same digest", digest=str(digest))
        case Skipped(tag=tag, reason=reason):
            return TagResult(tag=tag, outcome="skipped", reason=reason)
        case Failed(tag=tag, reason=reason, error_class=error_class):
            return TagResult(tag=tag, outcome="failed", reason=reason, error_class=error_class)


def _report(route: Route, results: Sequence[TagResult]) -> RouteReport:
    counts = Counter(each.outcome for each in results)
    kept = sorted((each for each in results if each.outcome not in ("unchanged", "skipped")), key=lambda each: each.tag)
    return RouteReport(
        mirror=route.mirror,
        source=str(route.source_repository),
        destination=str(route.destination_repository),
        counts={outcome: counts[outcome] for outcome in OUTCOMES},
        tags=tuple(kept),
        notes=_notes(results),
    )


def _notes(results: Sequence[TagResult]) -> tuple[str, ...]:
    """What a reader should see although nothing failed: that there was nothing to do, which may be a mistake."""
    if not results:
        return ("the source repository holds no tag",)
    if all(each.outcome == "skipped" for each in results):
        return (f"no tag is mirrored, all {len(results)} were skipped",)
    return ()
