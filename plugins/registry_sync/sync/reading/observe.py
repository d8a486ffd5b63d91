"""Observe a route: read what source and destination hold, and nothing else. Registries are known by their protocol."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RateLimited, RefusedError, RegistrySyncError
from registry_sync.oci.artifact_tags import ArtifactTag
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import ListedTag
from registry_sync.sync.plan import TagState, Unreadable
from registry_sync.sync.prune import observe_deletions
from registry_sync.sync.reading.case_folding import fail_folded_tags
from registry_sync.sync.reading.lost_source import check_source_has_tags
from registry_sync.sync.reading.named_tags import MAX_NAMED_HEADS, named_tags, unpinned_names
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.platform_indexes import FilteredTags, filter_platforms
from registry_sync.sync.reading.source import (
    SourceTags,
    check_selection,
    choose_tags,
    is_in_window,
    list_tags,
    split_artifact_tags,
)
from registry_sync.sync.reading.tag_states import raise_if_all_denied, read_states
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Session
from registry_sync.sync.window import Window
from registry_sync.tags.rules import LOST_PIN, TagRules
from registry_sync.tags.select import Selection, steps_text

log = logging.getLogger(__name__)

TAGS_PER_PAGE = 100
"""Tags that one request lists, at the least, where a registry lists them with digests."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _DestinationTags:
    """The selected tags at the destination. Only its listing shows which are locked, and when they were pushed."""

    states: Mapping[str, TagState]
    locked: frozenset[str] = frozenset()
    published_at: Mapping[str, datetime] = field(default_factory=dict)


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
    source = _observe_source(session, listing, is_everything=is_everything)
    if is_everything:
        check_source_has_tags(session, listing.entries, listing.selection, source, scope.last_selected)
    size = len(listing.entries) if listing.is_complete else None
    observed_at = time.monotonic()
    destination = _observe_destination(session, source.states, size)
    in_sync = _tags_in_sync(source.states, destination.states)
    selection = fail_folded_tags(session, listing.selection, listing.left_out, destination.states)
    selection = _fail_lost_pins(session, selection, in_sync=in_sync)
    names = [entry.name for entry in listing.entries]
    rules = session.route.settings.tags
    return Observation(
        scope=scope,
        selection=selection,
        source=source,
        destination=destination.states,
        locked=destination.locked,
        in_sync=in_sync,
        artifacts=listing.artifacts,
        is_complete=listing.is_complete,
        listed=len(listing.entries),
        pushed_at=_push_times(listing.entries, source.states),
        published_at=destination.published_at,
        outside_window=sum(not is_in_window(entry, rules, scope.window) for entry in listing.entries),
        deletions=observe_deletions(session, names, selection, scope.due_deletions) if is_everything else None,
        observed_at=observed_at,
        read_at=now,
    )


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
    selection = _narrow(chosen, tags.entries, rules, scope)
    notes = (*tags.notes, *_push_times_note(session, tags.entries, scope.window))
    selection = replace(selection, notes=(*notes, *selection.notes))
    log.info("%s: %s; %s", route.source_repository, steps_text(selection), scope.window)
    return _Listing(
        entries=tags.entries,
        artifacts=tags.artifacts,
        selection=selection,
        left_out=frozenset(chosen.selected).difference(selection.selected),
        is_complete=tags.is_complete,
    )


def _push_times_note(session: Session, entries: Sequence[ListedTag], window: Window) -> tuple[str, ...]:
    """A window without effect. Such as for a robot account of Quay, which may not use the API that has push times."""
    has_times = not session.source.lists_push_times or any(entry.pushed_at for entry in entries)
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
    states = read_states(session.source, route.source_repository, dict.fromkeys(names), route.source.max_connections)
    if not route.settings.tags.has_pins:
        raise_if_all_denied(states, route.source_repository)
    return named_tags(route, states, note)


def _narrow(chosen: Selection, listed: Iterable[ListedTag], rules: TagRules, scope: RouteScope) -> Selection:
    """Restrict the selection to the scope's patterns and window. The window never changes which tags are selected."""
    narrowed = chosen.narrow(scope.tags)
    if scope.window.is_everything:
        return narrowed
    outside = {entry.name for entry in listed if not is_in_window(entry, rules, scope.window)}
    return narrowed.without(outside, "in the window")


def _observe_source(session: Session, listing: _Listing, *, is_everything: bool) -> FilteredTags:
    """The digest of each selected tag: its pin, else the listed one, else by HEAD; then mapped to its platforms."""
    selection = listing.selection
    digests = {entry.name: entry.digest for entry in listing.entries} | dict(selection.pins)
    selected = {name: digests[name] for name in selection.selected}
    route = session.route
    threads = route.source.max_connections
    states = read_states(session.source, route.source_repository, selected, threads, is_listed=True)
    raise_if_all_denied(states, route.source_repository)
    return filter_platforms(session, states, is_everything=is_everything)


def _observe_destination(
    session: Session, source: Mapping[str, TagState], listing_size: int | None
) -> _DestinationTags:
    """Read each tag at the destination.

    The destination is listed where that takes fewer requests than one HEAD per tag. The length of its listing is not
    known in advance. A listing that is refused, or not found by an API, proves nothing: each tag then takes a HEAD.

    :param listing_size: number of tags that the source lists, as an estimate; ``None`` when only a part was read: then
        up to a hundred tags are read by HEAD.
    """
    client, repository = session.destination, session.route.destination_repository
    if client.may_proxy and (fault := client.write_fault(repository)):
        raise ConfigurationError(fault)
    threads = session.route.destination.max_connections
    tags = [name for name, state in source.items() if isinstance(state, Digest)]
    pages = TAGS_PER_PAGE if listing_size is None else 1 + listing_size // TAGS_PER_PAGE
    if client.lists_digests and len(tags) > pages and (entries := _list_destination(session)) is not None:
        folded = {name.lower() for name in entries}
        listed = {name: entries[name].digest for name in tags if name in entries}
        listed |= {name: None for name in tags if name not in entries and name.lower() in folded}
        found = [entries[name] for name in listed if name in entries]
        return _DestinationTags(
            states=read_states(client, repository, listed, threads),
            locked=frozenset(entry.name for entry in found if entry.is_locked),
            published_at=_push_times(found, listed),
        )
    states = read_states(client, repository, dict.fromkeys(tags), threads)
    return _DestinationTags(states=_explain_hidden(session, states))


def _list_destination(session: Session) -> dict[str, ListedTag] | None:
    """The tags that the destination lists, by name; ``None`` when it does not show them.

    A vendor's API answers 404 for what is denied, too.
    """
    client, repository = session.destination, session.route.destination_repository
    try:
        return {entry.name: entry for entry in client.list_tags(repository)}
    except (NotFound, DeniedError, RefusedError) as error:
        if isinstance(error, NotFound) and not client.lists_digests:
            return {}
        log.info("%s cannot be listed; reading each tag by HEAD (%s)", repository, error)
        return None


def _explain_hidden(session: Session, states: Mapping[str, TagState]) -> Mapping[str, TagState]:
    """Find out what can be known about tags that the destination does not show.

    Wrong credentials fail here. Tags that must not be overwritten are looked for in the listing: they are missing when
    it does not have them.
    """
    hidden = {tag for tag, state in states.items() if isinstance(state, Unreadable) and state.is_refusal}
    if not hidden:
        return states
    session.destination.ping()
    if all(map(session.route.settings.overwrites, hidden)):
        return states
    entries = _list_destination(session)
    missing = hidden.difference(entries) if entries is not None else ()
    return {**states, **dict.fromkeys(missing)}


def _push_times(entries: Iterable[ListedTag], tags: Container[str]) -> Mapping[str, datetime]:
    return {entry.name: entry.pushed_at for entry in entries if entry.pushed_at and entry.name in tags}


def _tags_in_sync(source: Mapping[str, TagState], destination: Mapping[str, TagState]) -> frozenset[str]:
    return frozenset(tag for tag, state in source.items() if state is not None and destination.get(tag) == state)


def _fail_lost_pins(session: Session, selection: Selection, *, in_sync: Collection[str]) -> Selection:
    """Fail tags whose pinned digest the source no longer has. A listing does not show that, so each takes a HEAD."""
    repository = session.route.source_repository
    pinned = [tag for tag in selection.selected if tag in selection.pins and tag not in in_sync]
    lost = [tag for tag in pinned if session.source.head_manifest(repository, selection.pins[tag]) is None]
    return selection.fail(lost, LOST_PIN)
