"""Assign the moved tags that a run accepts to its routes. An entry that fits no route is an error, never ignored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.routes.route import Route, route_key
from registry_sync.tags.accepted import AcceptedTag
from registry_sync.text import quoted

MAX_NAMES = 10
"""Repositories that a message names."""


def assign_accepted(accepted: Iterable[AcceptedTag], routes: Collection[Route]) -> Mapping[str, Mapping[str, Digest]]:
    """The accepted digests by route key and tag.

    :param routes: the routes of the run to one destination.
    :raises ConfigurationError: when an entry fits no repository or, without one, several; or when two entries disagree.
    """
    assigned: defaultdict[str, dict[str, Digest]] = defaultdict(dict)
    for entry in accepted:
        for route in _routes_of(entry, routes):
            digests = assigned[route_key(route)]
            if digests.setdefault(entry.tag, entry.digest) != entry.digest:
                raise ConfigurationError(
                    f"accept has two digests for the tag {entry.tag!r} of {route.source_repository}; write one"
                )
    return assigned


def _routes_of(entry: AcceptedTag, routes: Collection[Route]) -> list[Route]:
    repositories = {route.source_repository for route in routes}
    if entry.repository is None and len(repositories) > 1:
        raise ConfigurationError(
            f"accept: {quoted(entry.text)} names no repository, and this run has {len(repositories)}; write "
            f"REPOSITORY:{entry.text}"
        )
    found = [route for route in routes if entry.repository is None or _is_named(route.source_repository, entry)]
    if not found:
        raise ConfigurationError(
            f"accept: no repository of this run is {quoted(entry.repository or '')}; it has {_names(repositories)}"
        )
    return found


def _is_named(repository: Repository, entry: AcceptedTag) -> bool:
    return entry.repository in (str(repository), repository.name, repository.short_name)


def _names(repositories: Collection[Repository]) -> str:
    names = sorted(repository.short_name for repository in repositories)
    more = [f"and {len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
    return ", ".join([*names[:MAX_NAMES], *more]) or "none"
