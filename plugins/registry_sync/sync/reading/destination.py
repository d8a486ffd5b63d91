"""The destination of a route: the digests of the selected tags there, by its listing or by HEAD."""

from __future__ import annotations

import logging
from collections.abc import Collection, Container, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RefusedError
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import ListedTag
from registry_sync.sync.plan import TagState, Unreadable
from registry_sync.sync.reading.tag_states import read_states
from registry_sync.sync.session import Session

log = logging.getLogger(__name__)

TAGS_PER_PAGE = 100
"""Minimum number of tags that one request lists, where a registry lists them with digests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationTags:
    """The selected tags at a destination.

    :ivar states: the digest of each tag. A tag that is not a key does not exist there.
    :ivar locked: tags that are listed as locked.
    :ivar published_at: the push times that its listing has.
    :ivar is_listed: the states are from a listing; otherwise each is from a HEAD.
    """

    states: Mapping[str, TagState]
    locked: frozenset[str] = frozenset()
    published_at: Mapping[str, datetime] = field(default_factory=dict)
    is_listed: bool = False

    def restrict(self, tags: Collection[str]) -> DestinationTags:
        """The same, of fewer tags."""
        return replace(
            self,
            states={tag: state for tag, state in self.states.items() if tag in tags},
            locked=self.locked.intersection(tags),
            published_at={tag: time for tag, time in self.published_at.items() if tag in tags},
        )


def pages_of(listing_size: int | None) -> int:
    """The requests that a listing takes, as an estimate: its length is not known in advance.

    :param listing_size: number of tags that the source lists; ``None`` when only a part was read.
    """
    return TAGS_PER_PAGE if listing_size is None else 1 + listing_size // TAGS_PER_PAGE


def read_destination(
    session: Session, tags: Collection[str], pool: Executor, listing_size: int | None
) -> DestinationTags:
    """The digest of each tag at the destination, and the tags that are listed as locked there.

    The destination is listed where that takes fewer requests than one HEAD per tag. A listing that is refused, or not
    found by an API, proves nothing: each tag then takes a HEAD.

    :param listing_size: see :func:`pages_of`.
    """
    client, repository = session.destination, session.route.destination_repository
    if client.may_proxy and (fault := client.write_fault(repository)):
        raise ConfigurationError(fault)
    may_list = client.lists_digests and len(tags) > pages_of(listing_size)
    entries = list_destination(session) if may_list else None
    if entries is None:
        return DestinationTags(states=read_states(client, repository, dict.fromkeys(tags), pool))
    folded = {name.lower() for name in entries}
    listed = {name: entries[name].digest for name in tags if name in entries}
    listed |= {name: None for name in tags if name not in entries and name.lower() in folded}
    found = [entries[name] for name in listed if name in entries]
    return DestinationTags(
        states=read_states(client, repository, listed, pool),
        locked=frozenset(entry.name for entry in found if entry.is_locked),
        published_at=push_times(found, listed),
        is_listed=True,
    )


def find_locked(session: Session, source: Mapping[str, TagState], destination: DestinationTags) -> frozenset[str]:
    """The tags that the destination reports as locked. A push finds the others.

    Settings of the repository itself cost a request, so they are read only when a tag is to be overwritten.
    """
    states = destination.states
    changed = [tag for tag, state in source.items() if isinstance(states.get(tag), Digest) and states[tag] != state]
    if not changed:
        return destination.locked
    try:
        locked = session.destination.locked_tags(session.route.destination_repository, changed)
    except DeniedError as error:
        log.info("it is not known which tags are locked (%s)", error)
        return destination.locked
    return destination.locked | locked


def push_times(entries: Iterable[ListedTag], tags: Container[str]) -> Mapping[str, datetime]:
    """The push times of ``tags`` that a listing has."""
    return {entry.name: entry.pushed_at for entry in entries if entry.pushed_at and entry.name in tags}


def list_destination(session: Session) -> dict[str, ListedTag] | None:
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


def explain_hidden(session: Session, destination: DestinationTags) -> Mapping[str, TagState]:
    """Replace the states of tags that the destination does not show by what its listing shows.

    Wrong credentials fail here. Tags that must not be overwritten are looked for in the listing: they are missing when
    it does not have them.
    """
    states = destination.states
    hidden = {tag for tag, state in states.items() if isinstance(state, Unreadable) and state.is_refusal}
    if not hidden or destination.is_listed:
        return states
    session.destination.ping()
    if all(map(session.route.settings.overwrites, hidden)):
        return states
    entries = list_destination(session)
    missing = hidden.difference(entries) if entries is not None else ()
    return {**states, **dict.fromkeys(missing)}
