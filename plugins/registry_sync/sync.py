"""Bring one route into step: observe both sides, plan, apply, verify. Registries are known by their protocol only."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from datetime import datetime

from registry_sync.apply import FAILURES_IN_A_ROW, PROGRESS_SECONDS, Apply, thread_pool
from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    NotFound,
    RateLimited,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.mirrors import ListRepositories, Route
from registry_sync.plan import CopyTag, Decision, Failed, Plan, Skipped, TagState, Unchanged, Unreadable, plan_route
from registry_sync.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient, TagEntry
from registry_sync.report import OUTCOMES, RouteReport, TagResult, text_table
from registry_sync.skopeo import Skopeo
from registry_sync.tags import Selection, TagRules, select_tags
from registry_sync.window import Window

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two registries of a route."""

    source: RegistryClient
    destination: RegistryClient


def lister(source: RegistryClient) -> ListRepositories:
    """How to list a namespace of ``source``."""

    def list_repositories(namespace: str, include_private: bool) -> dict[str, datetime | None]:
        entries = source.list_repositories(namespace, include_private=include_private)
        return {each.name: each.modified_at for each in entries}

    return list_repositories


EVERYTHING = Window(why="all tags")


def sync_route(
    route: Route,
    sides: Sides,
    skopeo: Skopeo,
    *,
    only_tags: TagRules = TagRules(),
    window: Window = EVERYTHING,
    dry_run: bool = False,
) -> RouteReport:
    """Copy what is missing or has moved, and report per tag. A tag that fails does not stop the others.

    :param only_tags: of the tags that the route's rules select, work on these only.
    :param window: and of those on the ones that were pushed then.
    :raises RegistrySyncError: when the route as a whole cannot be worked on, for example because a side is down.
    """
    started = time.monotonic()
    plan = observe_and_plan(route, sides, only_tags, window)
    log_plan(plan)
    work = Apply(route, source=sides.source, destination=sides.destination, skopeo=skopeo)
    copied = [] if dry_run else work.apply(plan)
    others = [_preview(each) for each in plan.decisions if dry_run or not isinstance(each, CopyTag)]
    report = replace(
        _report(route, plan, [*copied, *others]),
        window=str(window),
        sent_bytes=skopeo.sent_bytes,
        seconds=round(time.monotonic() - started, 3),
        dry_run=dry_run,
        retry_at=work.retry_at,
    )
    log.info("\n%s", text_table([report]))
    return report


def observe_and_plan(route: Route, sides: Sides, only_tags: TagRules, window: Window = EVERYTHING) -> Plan:
    """Read both sides and decide; nothing is changed.

    :raises ConfigurationError: when the source has no such repository.
    """
    listed = _list_tags(route, sides.source, window)
    within = {each.name: each.digest for each in listed if window.holds(each.pushed_at)}
    selection = _select(within, route.settings.tags, only_tags)
    log.info("%s: %d tags read, %d chosen; %s", route.source_repository, len(listed), len(selection.selected), window)
    names = {name: within[name] for name in selection.selected}
    source = _observe(sides.source, route.source_repository, names, route.source.max_connections)
    wanted = [name for name, state in source.items() if isinstance(state, Digest)]
    size = len(listed) if window.is_everything else None
    there = _observe_destination(route, sides.destination, wanted, size)
    plan = plan_route(selection, source, there, route.settings.on_moved_tag)
    return replace(plan, outside=len(listed) - len(within))


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


def _list_tags(route: Route, source: RegistryClient, window: Window) -> list[TagEntry]:
    """What the source lists, as far back as the window goes."""
    try:
        return list(source.list_tags(route.source_repository, since=window.since))
    except NotFound as error:
        if route.is_discovered and not source.lists_digests:
            # A catalog keeps the names of emptied repositories; a vendor's API answers 404 for what is denied, too.
            log.info("%s is listed by its namespace and holds no tag (%s)", route.source_repository, error)
            return []
        advice = "check its name in the mirrors file, and that it holds a tag"
        raise ConfigurationError(
            f"the source has no repository {route.source_repository}; {advice} ({error})"
        ) from error


def _select(listed: Iterable[str], rules: TagRules, only: TagRules) -> Selection:
    """By the route's rules first, then by what this run was asked for."""
    by_rules = select_tags(listed, rules)
    asked = select_tags(by_rules.selected, only)
    return Selection(selected=asked.selected, rejected={**by_rules.rejected, **asked.rejected})


LISTED_AT_ONCE = 100
"""Tags that one request lists, at the least, where a registry lists them with digests."""


def _observe_destination(
    route: Route, client: RegistryClient, wanted: Sequence[str], size: int | None
) -> Mapping[str, TagState]:
    """What each wanted tag names at the destination: by its listing or one HEAD each, whichever is fewer requests.

    How long the listing is is not known before. A listing that is refused, or that an API does not find, proves
    nothing: then each tag is asked for by name.

    :param size: of the source's listing, which is taken for a measure; ``None`` when only a part of it was read: then
        up to a hundred tags are asked for by name.
    """
    repository, threads = route.destination_repository, route.destination.max_connections
    pages = LISTED_AT_ONCE if size is None else 1 + size // LISTED_AT_ONCE
    if client.lists_digests and len(wanted) > pages:
        try:
            listed = {each.name: each.digest for each in client.list_tags(repository)}
        except (NotFound, DeniedError) as error:
            log.info("%s is not listed, so that each tag takes a HEAD (%s)", repository, error)
        else:
            return _observe(client, repository, {name: listed[name] for name in wanted if name in listed}, threads)
    return _observe(client, repository, dict.fromkeys(wanted), threads)


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


def _report(route: Route, plan: Plan, results: Sequence[TagResult]) -> RouteReport:
    counts = Counter(each.outcome for each in results)
    kept = sorted((each for each in results if each.outcome not in ("unchanged", "skipped")), key=lambda each: each.tag)
    return RouteReport(
        mirror=route.mirror,
        source=str(route.source_repository),
        destination=str(route.destination_repository),
        counts={outcome: counts[outcome] for outcome in OUTCOMES},
        tags=tuple(kept),
        notes=_notes(plan, results),
    )


def _notes(plan: Plan, results: Sequence[TagResult]) -> tuple[str, ...]:
    """What a reader should see although nothing failed: that there was nothing to do, which may be a mistake."""
    if not results and plan.outside:
        return ()
    if not results:
        return ("the source repository holds no tag",)
    if all(each.outcome == "skipped" for each in results):
        return (f"no tag is mirrored, all {len(results)} were skipped",)
    return ()
