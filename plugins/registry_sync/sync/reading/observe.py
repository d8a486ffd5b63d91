"""Observe a route: read what source and destination hold, and nothing else. Registries are known by their protocol."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from registry_sync.errors import RateLimited, RegistrySyncError
from registry_sync.oci.artifact_tags import ArtifactTag, subject_of
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import ListedTag
from registry_sync.sync.plan import TagState
from registry_sync.sync.pruning.observe_deletions import observe_deletions
from registry_sync.sync.reading.case_folding import fail_folded_tags
from registry_sync.sync.reading.destination import (
    DestinationTags,
    explain_hidden,
    find_locked,
    push_times,
    read_destination,
)
from registry_sync.sync.reading.kept_tags import find_kept
from registry_sync.sync.reading.lost_source import check_source_has_tags
from registry_sync.sync.reading.named_tags import MAX_NAMED_HEADS, named_tags, unpinned_names
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.platform_indexes import (
    FilteredTags,
    fail_without_platforms,
    filter_platforms,
)
from registry_sync.sync.reading.source import (
    SourceTags,
    check_selection,
    choose_tags,
    hide_image_times,
    is_in_window,
    list_tags,
    split_artifact_tags,
)
from registry_sync.sync.reading.spot_check import check_listing
from registry_sync.sync.reading.tag_states import raise_if_all_denied, read_states
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Session
from registry_sync.sync.threads import at_once, request_pool
from registry_sync.sync.window import PUSHED, Window
from registry_sync.tags.rules import LOST_PIN, TagRules, only_tags
from registry_sync.tags.select import Selection, steps_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """The source's listing: its image tags, its artifact tags, and what the rules and the scope select of them.

    ``left_out``: tags that the rules select, and the scope does not.
    """

    entries: list[ListedTag]
    artifacts: tuple[ArtifactTag, ...] | None
    selection: Selection
    left_out: frozenset[str]
    is_complete: bool


def observe(session: Session, scope: RouteScope, *, now: datetime | None = None) -> Observation:
    """Read both sides of a route.

    :param now: the time from which the ages of tags are counted; ``None`` is the present.
    :raises ConfigurationError: when the source has no such repository, or a rule selects none of its tags.
    :raises RefusedError: when the rules select fewer tags than ``min_tags``, or the source lost all its tags.
    :raises RegistrySyncError: when one of the registries fails as a whole.
    """
    now = now or datetime.now(UTC)
    listing = _list_source(session, scope, now)
    is_everything = listing.is_complete and scope.is_everything
    size = _listing_size(session, listing)
    digests = {entry.name: entry.digest for entry in listing.entries} | dict(listing.selection.pins)
    kept = find_kept(session, scope, listing.selection, digests, listing.left_out, size)
    compared = {tag: digests[tag] for tag in listing.selection.selected if tag not in kept}
    observed_at = time.monotonic()
    source, there = _read_sides(session, compared, size, is_everything=is_everything)
    if is_everything and not kept:
        source = fail_without_platforms(session.route, source)
        check_source_has_tags(session, listing.entries, listing.selection, source, scope.last_selected)
    destination = explain_hidden(session, there)
    in_sync = _tags_in_sync(source.states, destination)
    selection = fail_folded_tags(session, listing.selection, listing.left_out, destination)
    selection = _fail_lost_pins(session, selection, in_sync=in_sync)
    selection, stale = _spot_check(session, scope, listing, selection, there, in_sync, now)
    names = [entry.name for entry in listing.entries]
    rules = session.route.settings.tags
    return Observation(
        scope=scope,
        selection=selection,
        source=source,
        destination=destination,
        locked=find_locked(session, source.states, there),
        kept=kept,
        in_sync=in_sync,
        stale_tags=stale,
        artifacts=listing.artifacts,
        is_complete=listing.is_complete,
        listed=len(listing.entries),
        pushed_at=push_times(listing.entries, source.states),
        published_at=there.published_at,
        outside_window=sum(not is_in_window(entry, rules, scope.window) for entry in listing.entries),
        deletions=observe_deletions(session, names, selection, scope.due_deletions) if is_everything else None,
        observed_at=observed_at,
        read_at=now,
    )


def _listing_size(session: Session, listing: _Listing) -> int | None:
    """The number of tags that the source lists; ``None`` when only a part was read, or each tag by itself."""
    is_whole = listing.is_complete or not session.source.lists_push_times
    return len(listing.entries) if is_whole and listing.artifacts is not None else None


def _list_source(session: Session, scope: RouteScope, now: datetime) -> _Listing:
    """Read the source's tags, all or those of the window, and apply the rules and the scope."""
    route, rules = session.route, session.route.settings.tags
    since = None if rules.needs_whole_listing else scope.window.since
    tags = _read_source(session, since)
    has_push_times = session.source.lists_push_times
    chosen = choose_tags(route, tags.entries, now=now, is_complete=tags.is_complete, has_push_times=has_push_times)
    if tags.is_complete:
        chosen = check_selection(route, chosen, [entry.name for entry in tags.entries])
    if tags.artifacts is None:
        chosen = chosen.found_by_name()
    _log_absent(session, scope, tags)
    selection = _narrow(chosen, tags.entries, rules, scope)
    notes = (*tags.notes, *_push_times_note(session, tags.entries, scope.window))
    selection = replace(selection, notes=(*notes, *selection.notes))
    log.info("%s: %s; %s", route.source_repository, steps_text(selection), scope.window)
    hidden_before = None if "older_than" in rules.push_time_keys else scope.window.since
    return _Listing(
        entries=hide_image_times(tags.entries, hidden_before),
        artifacts=tags.artifacts,
        selection=selection,
        left_out=frozenset(chosen.selected).difference(selection.selected),
        is_complete=tags.is_complete,
    )


def _log_absent(session: Session, scope: RouteScope, tags: SourceTags) -> None:
    """Log the pushed tags that the source does not list: deleted since, or wrong in the event."""
    listed = {entry.name for entry in tags.entries}
    pushed = [pattern.text for pattern in scope.tags.include or ()] if scope.window == PUSHED else []
    absent = [tag for tag in pushed if tag not in listed and not subject_of(tag)]
    if absent and tags.is_complete and tags.artifacts is not None:
        log.info("%s: the source does not have the pushed tags %s", session.route.source_repository, ", ".join(absent))


def _push_times_note(session: Session, entries: Sequence[ListedTag], window: Window) -> tuple[str, ...]:
    """A note about a window without effect, as for robot accounts of Quay, which may not use the API with push times.

    Digests show that the API is used. Google and GitHub list times of images, which may all be before the window.
    """
    is_by_api = any(entry.pushed_at or entry.digest for entry in entries)
    has_times = not session.source.lists_push_times or is_by_api
    if window.is_everything or not entries or has_times:
        return ()
    host = session.route.source.host
    note = f"{host} reports no push times of these tags to our credentials, so all are compared, whatever the window"
    log.info("%s: %s", session.route.source_repository, note)
    return (note,)


def _read_source(session: Session, since: datetime | None) -> SourceTags:
    """List the source's tags. For a route that has only ``names``, each is read by itself: see ``named_tags.py``.

    Some registries permit pulls and refuse listings, such as ECR without ``ecr:ListImages``.
    """
    route, names = session.route, unpinned_names(session.route.settings)
    if names is not None and len(names) <= MAX_NAMED_HEADS:
        return _read_named(session, names)
    try:
        entries, artifacts = split_artifact_tags(list_tags(route, session.source, since), route.settings)
    except RateLimited:
        raise
    except RegistrySyncError as error:
        if names is None:
            raise
        note = f"the source's tags cannot be listed, so each tag in names was read by itself ({error})"
        return _read_named(session, names, note)
    return SourceTags(entries=entries, artifacts=artifacts, is_complete=since is None)


def _read_named(session: Session, names: Sequence[str], note: str = "") -> SourceTags:
    """HEAD each tag in ``names``.

    :raises ConfigurationError: when the source has none of them.
    """
    route = session.route
    with request_pool(len(names), route.source.max_connections) as pool:
        states = read_states(session.source, route.source_repository, dict.fromkeys(names), pool, is_expected=True)
    if not route.settings.tags.has_pins:
        raise_if_all_denied(states, route.source_repository)
    return named_tags(route, states, note)


def _narrow(chosen: Selection, listed: Sequence[ListedTag], rules: TagRules, scope: RouteScope) -> Selection:
    """Restrict the selection to the scope's patterns and window. The window never changes which tags are selected."""
    subjects = scope.subjects
    signed = [entry.name for entry in listed if entry.digest in subjects] if subjects else []
    narrowed = chosen.narrow(only_tags([*map(str, scope.tags.include or ()), *signed]) if signed else scope.tags)
    if scope.window.is_everything:
        return narrowed
    outside = {entry.name for entry in listed if not is_in_window(entry, rules, scope.window)}
    return narrowed.without(outside, "in the window")


def _read_sides(
    session: Session, selected: Mapping[str, Digest | None], listing_size: int | None, *, is_everything: bool
) -> tuple[FilteredTags, DestinationTags]:
    """Read the digests of the selected tags at both registries, at the same time where the source needs HEADs.

    With ``platforms``, the destination comes second: the source shows which tags are mirrored at all.

    :param selected: the selected tags with their pins and the digests that the source lists.
    """
    route, unknown = session.route, sum(digest is None for digest in selected.values())
    with (
        request_pool(unknown, route.source.max_connections, are_far=session.are_far) as here,
        request_pool(len(selected), route.destination.max_connections, are_far=session.are_far) as there,
    ):
        read_source = partial(_observe_source, session, selected, here, is_everything=is_everything)
        read_there = partial(read_destination, session, pool=there, listing_size=listing_size)
        if unknown and not route.settings.platforms:
            source, destination = at_once(read_source, partial(read_there, list(selected)))
            return source, destination.restrict(_readable(source))
        source = read_source()
        return source, read_there(_readable(source))


def _observe_source(
    session: Session, selected: Mapping[str, Digest | None], pool: Executor, *, is_everything: bool
) -> FilteredTags:
    """The digest of each selected tag: its pin, else the listed one, else by HEAD; then mapped to its platforms."""
    repository = session.route.source_repository
    states = read_states(session.source, repository, selected, pool, is_expected=True)
    raise_if_all_denied(states, repository)
    return filter_platforms(session, states, is_everything=is_everything)


def _readable(source: FilteredTags) -> list[str]:
    return [tag for tag, state in source.states.items() if isinstance(state, Digest)]


def _tags_in_sync(source: Mapping[str, TagState], destination: Mapping[str, TagState]) -> frozenset[str]:
    return frozenset(tag for tag, state in source.items() if state is not None and destination.get(tag) == state)


def _spot_check(
    session: Session,
    scope: RouteScope,
    listing: _Listing,
    selection: Selection,
    there: DestinationTags,
    in_sync: Collection[str],
    now: datetime,
) -> tuple[Selection, frozenset[str]]:
    """Fail tags that one of both listings has wrong, among the few that are compared: see ``spot_check.py``.

    Returns these tags, too.
    """
    if not (scope.window.is_full_check or scope.stale_tags):
        return selection, frozenset()
    route, chosen = session.route, set(selection.selected).difference(selection.pins)
    listed = listing.entries if listing.artifacts is not None else []
    source = {entry.name: entry.digest for entry in listed if entry.digest and entry.name in chosen}
    listed_there = there.states if there.is_listed else {}
    destination = {tag: state for tag, state in listed_there.items() if isinstance(state, Digest) and tag in in_sync}
    pushed_at = push_times(listing.entries, chosen)
    checks = [
        check_listing(session.source, route.source_repository, source, pushed_at, "source", scope, now),
        check_listing(
            session.destination, route.destination_repository, destination, pushed_at, "destination", scope, now
        ),
    ]
    for check in checks:
        for tag, reason in check.failed.items():
            selection = selection.fail([tag], reason)
        selection = replace(selection, notes=(*selection.notes, *check.notes))
    return selection, frozenset(tag for check in checks for tag in check.failed)


def _fail_lost_pins(session: Session, selection: Selection, *, in_sync: Collection[str]) -> Selection:
    """Fail tags whose pinned digest the source no longer has. A listing does not show that, so each takes a HEAD."""
    repository = session.route.source_repository
    pins = {tag: pin for tag, pin in selection.pins.items() if tag in selection.selected and tag not in in_sync}
    lost = [tag for tag, pin in pins.items() if not session.source.head_manifest(repository, pin, is_expected=True)]
    return selection.fail(lost, LOST_PIN)
