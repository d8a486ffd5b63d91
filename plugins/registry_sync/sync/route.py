"""Bring one route into step: observe both sides, plan, apply, verify. Registries are known by their protocol only."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LockedTag,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.artifact_tags import reject_artifact_tags
from registry_sync.oci.reference import Digest, Repository, is_tag
from registry_sync.registry.client import MAX_REPOSITORIES, RegistryClient, TagEntry, bounded, bounded_tags
from registry_sync.registry.kinds import first_push_advice
from registry_sync.routes.discovery import ListRepositories
from registry_sync.routes.route import Route
from registry_sync.skopeo.copier import Skopeo
from registry_sync.sync.attached_artifacts import AttachedArtifacts, skipped_artifacts_note, split_artifact_tags
from registry_sync.sync.plan import (
    CopyTag,
    Decision,
    DeleteTag,
    Failed,
    Locked,
    Plan,
    Skipped,
    TagState,
    Unchanged,
    Unreadable,
    plan_route,
)
from registry_sync.sync.platform_indexes import add_choice, choose_platforms, leave_out, remember
from registry_sync.sync.prune import Pruning, delete_due, not_deleted, still_planned
from registry_sync.sync.publish import FAILURES_IN_A_ROW, Publisher
from registry_sync.sync.report import OUTCOMES, RouteReport, TagResult, report_table
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.threads import PROGRESS_SECONDS, thread_pool
from registry_sync.sync.transfer import Transfer
from registry_sync.sync.window import Window
from registry_sync.tags.backup_names import reject_backup_tags
from registry_sync.tags.overwrite_policy import overwriting
from registry_sync.tags.rules import LOST_PIN, TagRules
from registry_sync.tags.select import Selection, check_min_tags, select_tags, steps_text
from registry_sync.text import one_line

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two registries of a route."""

    source: RegistryClient
    destination: RegistryClient


def lister(source: RegistryClient) -> ListRepositories:
    """How to list a namespace of ``source``."""

    def list_repositories(namespace: str, include_private: bool) -> dict[str, datetime | None]:
        entries = bounded(
            source.list_repositories(namespace, include_private=include_private),
            MAX_REPOSITORIES,
            "repositories",
            namespace,
        )
        return {each.name: each.modified_at for each in entries}

    return list_repositories


EVERYTHING = Window(why="all tags")


class _Work:
    """What writes to a route's destination: images, and what belongs to them."""

    def __init__(self, route: Route, sides: Sides, skopeo: Skopeo, plan: Plan) -> None:
        self._route, self._sides, self._plan = route, sides, plan
        stage = Transfer(route, sides.source, sides.destination, skopeo, plan.subsets)
        self._claims = stage.claims
        self._belongings = AttachedArtifacts(route, sides.source, sides.destination, stage.without_policy(), plan)
        bring = self._belongings.bring if route.settings.signatures else lambda _: None
        self._apply = Publisher(
            route, source=sides.source, destination=sides.destination, skopeo=skopeo, stage=stage, bring=bring
        )
        self.notes: tuple[str, ...] = ()

    def do(self, window: Window) -> list[TagResult]:
        """Copy, then bring what came late. Returns a result for each tag, and for all that belongs to images."""
        copied = self._apply.apply(self._plan)
        if self._route.settings.signatures and not self._apply.retry_at:
            self._belongings.copy_added_later(window)
        if self._plan.memory:
            self.notes = remember(self._sides.destination, self._route, self._plan.memory)
        belongings = self._belongings.results
        self.notes = (*self.notes, *skipped_artifacts_note(belongings))
        return [*copied, *belongings]

    def delete(self, others: Iterable[TagResult]) -> list[TagResult]:
        """Delete what is due, given what became of all other tags."""
        return delete_due(self._route, self._sides.destination, self._plan, others, self._claims)

    @property
    def retry_at(self) -> datetime | None:
        """Until when a registry asks to be left alone, if one does."""
        return self._apply.retry_at or self._belongings.retry_at


def sync_route(
    route: Route,
    sides: Sides,
    skopeo: Skopeo,
    *,
    only_tags: TagRules = TagRules(),
    window: Window = EVERYTHING,
    planned: PlannedDeletions | None = None,
    dry_run: bool = False,
) -> RouteReport:
    """Copy what is missing or has moved, and report per tag. A tag that fails does not stop the others.

    :param only_tags: of the tags that the route's rules select, work on these only.
    :param window: and of those on the ones that were pushed then.
    :param planned: what earlier scheduled runs planned to delete; only that is deleted.
    :raises RegistrySyncError: when the route as a whole cannot be worked on, for example because a side is down.
    """
    started = time.monotonic()
    plan = observe_and_plan(route, sides, only_tags, window, planned)
    log_plan(plan)
    if plan.copies and route.destination.create_repository and not dry_run:
        sides.destination.create_repository(route.destination_repository)
    work = _Work(route, sides, skopeo, plan)
    copied = [] if dry_run else work.do(window)
    done = (CopyTag, DeleteTag) if not dry_run else ()
    others = [_preview(each) for each in plan.decisions if not isinstance(each, done)]
    deleted = [] if dry_run else work.delete([*copied, *others])
    report = replace(
        _report(route, plan, [*copied, *others, *deleted], work.notes),
        pruning=still_planned(plan, deleted),
        window=str(window),
        sent_bytes=skopeo.sent_bytes,
        seconds=round(time.monotonic() - started, 3),
        dry_run=dry_run,
        retry_at=work.retry_at,
    )
    log.info("\n%s", report_table([report]))
    return report


def observe_and_plan(
    route: Route,
    sides: Sides,
    only_tags: TagRules,
    window: Window = EVERYTHING,
    planned: PlannedDeletions | None = None,
    *,
    now: datetime | None = None,
) -> Plan:
    """Read both sides and decide; nothing is changed.

    Tags to delete are looked for only when all tags of both sides are looked at.

    :param now: what the ages of tags are counted from; ``None`` is the present.
    :raises ConfigurationError: when the source has no such repository.
    :raises RefusedError: when the rules choose fewer tags than ``min_tags``.
    """
    now, since = now or datetime.now(UTC), None if route.settings.tags.needs_whole_listing else window.since
    listed, about = split_artifact_tags(list_tags(route, sides.source, since), route.settings)
    has_push_times = sides.source.lists_push_times
    chosen = choose_tags(route, listed, now=now, is_whole=since is None, has_push_times=has_push_times)
    check_min_tags(chosen, route.settings.tags, route.source_repository)
    selection = _narrow(chosen, listed, route.settings.tags, only_tags, window)
    log.info("%s: %s; %s", route.source_repository, steps_text(selection.steps), window)
    names = _known_digests(selection, listed)
    source = _observe(sides.source, route.source_repository, names, route.source.max_connections)
    is_everything = since is None and window.is_everything and not only_tags.applies
    platforms = choose_platforms(route, sides.source, sides.destination, source, is_everything=is_everything)
    wanted = [name for name, state in platforms.states.items() if isinstance(state, Digest)]
    size = len(listed) if since is None else None
    there, locked = _observe_destination(route, sides.destination, wanted, size)
    selection = _fail_lost_pins(route, sides.source, selection, in_step=_in_step(platforms.states, there))
    rules = overwriting(route.settings.on_moved_tag, route.settings.backup_tag, locked, now)
    plan = replace(
        add_choice(plan_route(leave_out(selection, platforms), platforms.states, there, rules), platforms),
        outside=sum(not _is_inside(each, route.settings.tags, window) for each in listed),
        attrition=selection.steps if route.settings.tags.applies or only_tags.applies else (),
        about=about,
        is_whole=since is None,
    )
    if is_everything and route.settings.prune and route.settings.deletes_tags:
        pruning = Pruning(route, sides.source, sides.destination, route.settings.prune)
        plan = pruning.add_to(plan, [each.name for each in listed], selection, planned)
    return plan


_KINDS = (
    (CopyTag, "to copy"),
    (Unchanged, "unchanged"),
    (Skipped, "skipped"),
    (DeleteTag, "to delete"),
    (Locked, "locked"),
    (Failed, "failed"),
)


def log_plan(plan: Plan, limit: int = 20) -> None:
    """Say how many tags need what, and why the first ``limit`` of those not copied are left alone."""
    counts = Counter(type(each) for each in plan.decisions)
    log.info("Plan: %s", ", ".join(f"{counts[kind]} {words}" for kind, words in _KINDS if counts[kind]) or "no tags")
    left = [each for each in plan.decisions if isinstance(each, Skipped | DeleteTag | Locked | Failed)]
    for each in left[:limit]:
        log.info("  %s: %s", each.tag, each.reason)
    if len(left) > limit:
        log.info("  … and %d more", len(left) - limit)


def list_tags(route: Route, source: RegistryClient, since: datetime | None = None) -> list[TagEntry]:
    """What the source lists, back to ``since`` at the least. A name that is no tag is made fit to be shown.

    :raises ConfigurationError: when the source has no such repository.
    :raises RefusedError: when there are more than ``MAX_TAGS``.
    """
    try:
        listed = bounded_tags(source.list_tags(route.source_repository, since=since), route.source_repository)
        return [each if is_tag(each.name) else replace(each, name=one_line(each.name, 200)) for each in listed]
    except NotFound as error:
        if route.is_discovered and not source.lists_digests:
            # A catalog keeps the names of emptied repositories; a vendor's API answers 404 for what is denied, too.
            log.info("%s is listed by its namespace and holds no tag (%s)", route.source_repository, error)
            return []
        advice = "check its name in the mirrors file, and that it holds a tag"
        raise ConfigurationError(
            f"the source has no repository {route.source_repository}; {advice} ({error})"
        ) from error


def choose_tags(
    route: Route, listed: Sequence[TagEntry], *, now: datetime, has_push_times: bool, is_whole: bool = True
) -> Selection:
    """What the route's rules choose. What is no image of the source's own is set aside before they count anything.

    One that the rule ``names`` has is an image's, whatever its form.
    """
    names = [each.name for each in listed if each.name not in route.settings.tags.named]
    aside = reject_backup_tags(names, route.settings.backup_tag)
    aside |= reject_artifact_tags(names, signatures=route.settings.signatures)
    images = [each for each in listed if each.name not in aside]
    rules = route.settings.tags
    chosen = select_tags(images, rules, now=now, is_whole=is_whole, has_push_times=has_push_times)
    return replace(chosen, rejected={**chosen.rejected, **aside})


def _narrow(
    chosen: Selection, listed: Iterable[TagEntry], rules: TagRules, only: TagRules, window: Window
) -> Selection:
    """Of what the rules choose, what this run was asked for and what came to be chosen in its window.

    The window never changes what is chosen.
    """
    asked = chosen.narrow(only)
    if window.is_everything:
        return asked
    return asked.without({each.name for each in listed if not _is_inside(each, rules, window)}, "in the window")


def _is_inside(entry: TagEntry, rules: TagRules, window: Window) -> bool:
    """A tag that is named counts from its push, since no other rule is about it."""
    return window.holds(entry.pushed_at if entry.name in rules.named else rules.enters_at(entry.pushed_at))


def _known_digests(selection: Selection, listed: Iterable[TagEntry]) -> dict[str, Digest | None]:
    """What each chosen tag is pinned to, or names by the listing; ``None`` where that does not tell."""
    digests = {each.name: each.digest for each in listed} | dict(selection.pins)
    return {name: digests[name] for name in selection.selected}


def _in_step(here: Mapping[str, TagState], there: Mapping[str, TagState]) -> frozenset[str]:
    return frozenset(tag for tag, state in here.items() if state is not None and there.get(tag) == state)


def _fail_lost_pins(
    route: Route, source: RegistryClient, selection: Selection, *, in_step: Collection[str]
) -> Selection:
    """Pinned digests that are to be copied are asked for, since no listing tells whether the source still has them."""
    due = [tag for tag in selection.selected if tag in selection.pins and tag not in in_step]
    lost = [tag for tag in due if source.head_manifest(route.source_repository, selection.pins[tag]) is None]
    return selection.fail(lost, LOST_PIN)


LISTED_AT_ONCE = 100
"""Tags that one request lists, at the least, where a registry lists them with digests."""


def _observe_destination(
    route: Route, client: RegistryClient, wanted: Sequence[str], size: int | None
) -> tuple[Mapping[str, TagState], frozenset[str]]:
    """What each wanted tag names at the destination, and which are known to be locked there.

    By its listing or one HEAD each, whichever is fewer requests.

    How long the listing is is not known before. A listing that is refused, or that an API does not find, proves
    nothing: then each tag is asked for by name.

    :param size: of the source's listing, which is taken for a measure; ``None`` when only a part of it was read: then
        up to a hundred tags are asked for by name.
    """
    repository, threads = route.destination_repository, route.destination.max_connections
    pages = LISTED_AT_ONCE if size is None else 1 + size // LISTED_AT_ONCE
    if client.lists_digests and len(wanted) > pages:
        try:
            entries = {each.name: each for each in bounded_tags(client.list_tags(repository), repository)}
        except (NotFound, DeniedError, RefusedError) as error:
            log.info("%s is not listed, so that each tag takes a HEAD (%s)", repository, error)
        else:
            listed = {name: entries[name].digest for name in wanted if name in entries}
            locked = frozenset(name for name in listed if entries[name].is_locked)
            return _observe(client, repository, listed, threads), locked
    return _observe(client, repository, dict.fromkeys(wanted), threads), frozenset()


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
        case DeleteTag(tag=tag, digest=digest, reason=reason):
            return TagResult(tag=tag, outcome="would_delete", reason=reason, digest=str(digest))
        case Locked(tag=tag, digest=digest, reason=reason):
            return TagResult(
                tag=tag, outcome="locked", reason=reason, digest=str(digest), error_class=LockedTag.error_class
            )
        case Failed(tag=tag, reason=reason, error_class=error_class):
            return TagResult(tag=tag, outcome="failed", reason=reason, error_class=error_class)


def _report(route: Route, plan: Plan, results: Sequence[TagResult], notes: Iterable[str] = ()) -> RouteReport:
    counts = Counter(each.outcome for each in results)
    kept = sorted((each for each in results if each.outcome not in ("unchanged", "skipped")), key=lambda each: each.tag)
    return RouteReport(
        mirror=route.mirror,
        source=str(route.source_repository),
        destination=str(route.destination_repository),
        counts={outcome: counts[outcome] for outcome in OUTCOMES},
        tags=tuple(kept),
        notes=(
            *_notes(plan, results),
            *_first_push_advice(route, results),
            *plan.notes,
            *notes,
            *not_deleted(results, plan),
        ),
    )


def _first_push_advice(route: Route, results: Sequence[TagResult]) -> tuple[str, ...]:
    """What may have to be done at the destination, when nothing can be written there at all."""
    is_refused = any(each.outcome == "failed" and each.error_class in _NOT_WRITABLE for each in results)
    has_any = any(each.outcome in ("copied", "unchanged") for each in results)
    advice = first_push_advice(route.destination.api_kind, route.destination_repository.name)
    return (advice,) if advice and is_refused and not has_any else ()


_NOT_WRITABLE = frozenset({"denied", "not_found", "refused"})


def _notes(plan: Plan, results: Sequence[TagResult]) -> tuple[str, ...]:
    """What a reader should see although nothing failed: what the rules left, and that there was nothing to do."""
    attrition = (plan.shown_attrition,) if plan.attrition else ()
    if not results and not plan.outside:
        return (*attrition, "the source repository holds no tag")
    if results and all(each.outcome == "skipped" for each in results):
        return (*attrition, f"no tag is mirrored, all {len(results)} were skipped")
    return attrition
