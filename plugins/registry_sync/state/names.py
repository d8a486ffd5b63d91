"""Names in Airflow's asset state store: one asset per mirror and destination, and the keys of its values.

=====================  ==========================================================================
key                    value
=====================  ==========================================================================
``this destination``   :class:`~registry_sync.state.destination.DestinationState`
``routes 0``, …        :class:`~registry_sync.state.destination.RouteIndex`, at most 48 kB each
``ROUTE``              :class:`~registry_sync.state.route.RouteState`
``ROUTE tags``         :class:`~registry_sync.state.route.TagTable`
=====================  ==========================================================================

``ROUTE`` is the name of the source repository, followed by ``→ NAME`` where its name at the destination is another, and
by ``#2`` and so on where several rules of a mirror join the same two repositories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from registry_sync.routes.route import Route, route_key

ASSET_GROUP = "registry_sync"
"""The group of all assets of this package."""

DESTINATION_KEY = "this destination"
"""No route has this name: a repository may be called ``destination``, but a name has no space in it."""

READINESS_ASSET = "registry_sync/nodes"
"""The name of the asset that holds the result of the last readiness check."""

READINESS_KEY = "readiness"

DIGESTS_PREFIX = "digests "

MESSAGES_ASSET = "registry_sync/messages"
"""The name of the asset that holds the messages that were sent: under the name of each mirror the last messages to its
notifiers, and under :func:`watched_key` the time since which its runs are expected."""

FILE_KEY = "mirrors file"
"""The key of the last messages about the mirrors file."""

WATCH_KEY = "last watch"
"""The key of the time at which ``mirror_watch`` ran last, with the messages."""

UNCHECKED_KEY = "nodes are unchecked since"
"""The key of the time at which ``mirror_watch`` first found no result of a readiness check, with the messages."""

MAX_VALUE_BYTES = 60_000
"""The largest value that is stored, as JSON. Airflow's own limit is 65,536 bytes ([state_store])."""


def asset_name(mirror: str, destination: str) -> str:
    """The name of the asset of a mirror and one of its destinations.

    >>> asset_name("quay_to_acr", "acr")
    'registry_sync/quay_to_acr/acr'
    """
    return f"registry_sync/{mirror}/{destination}"


def mirror_and_destination(asset: str) -> tuple[str, str] | None:
    """The mirror and the destination in the name of an asset; ``None`` for other assets.

    >>> mirror_and_destination("registry_sync/quay_to_acr/acr"), mirror_and_destination(READINESS_ASSET)
    (('quay_to_acr', 'acr'), None)
    """
    match asset.split("/"):
        case ["registry_sync", mirror, destination]:
            return mirror, destination
    return None


def asset_uri(mirror: str, destination: str, host: str) -> str:
    """The URI of that asset: it names the registry's host, so that another host begins with an empty state.

    >>> asset_uri("quay_to_acr", "acr", "example.azurecr.io")
    'x-registry-sync://example.azurecr.io/quay_to_acr/acr'
    """
    return f"x-registry-sync://{host}/{mirror}/{destination}"


def pushes_asset_name(mirror: str) -> str:
    """The name of the asset whose events are pushes to the source of a mirror. No mirror and destination have it.

    >>> mirror_and_destination(pushes_asset_name("quay_to_acr"))
    """
    return f"registry_sync pushes {mirror}"


def pushes_asset_uri(mirror: str) -> str:
    """The URI of that asset.

    >>> pushes_asset_uri("quay_to_acr")
    'x-registry-sync://pushes/quay_to_acr'
    """
    return f"x-registry-sync://pushes/{mirror}"


def route_name(source: str, destination: str, number: int = 1) -> str:
    """The name of a route in the state.

    :param source: name of the source repository, without its registry.
    :param destination: name at the destination, without its registry.
    :param number: position among the mirror's routes that join the same two repositories, from 1.

    >>> route_name("team/app", "team/app"), route_name("team/app", "mirror/app", 2)
    ('team/app', 'team/app → mirror/app #2')
    """
    renamed = f"{_ARROW}{destination}" if destination != source else ""
    return f"{source}{renamed}{f' #{number}' if number > 1 else ''}"


def source_of(route: str) -> str:
    """The source repository in the name of a route.

    >>> source_of("team/app → mirror/app #2")
    'team/app'
    """
    return _without_number(route).partition(_ARROW)[0]


def destination_of(route: str) -> str:
    """The destination repository in the name of a route.

    >>> destination_of("team/app → mirror/app #2"), destination_of("team/app #2")
    ('mirror/app', 'team/app')
    """
    return _without_number(route).rpartition(_ARROW)[2]


_ARROW = " → "


def _without_number(route: str) -> str:
    return route.partition(" #")[0]


def route_names(routes: Iterable[Route]) -> dict[str, str]:
    """The names of all routes of a mirror to one destination, by their ``route_key``.

    :param routes: in the order of their rules in the mirrors file, where several join the same two repositories.
    """
    numbers = Counter[tuple[str, str]]()
    names = {}
    for route in routes:
        ends = route.source_repository.name, route.destination_repository.name
        numbers[ends] += 1
        names[route_key(route)] = route_name(*ends, numbers[ends])
    return names


def tags_key(route: str) -> str:
    """The key of a route's tags."""
    return f"{route}{_TAGS}"


def route_of_tags_key(key: str) -> str:
    """The name of the route whose tags have this key. :raises ValueError: when it is not the key of tags.

    >>> route_of_tags_key("team/app tags")
    'team/app'
    """
    route, found, rest = key.rpartition(_TAGS)
    if not found or rest:
        raise ValueError(f"{key!r} is not a key of tags")
    return route


_TAGS = " tags"


def index_key(number: int) -> str:
    """The key of one part of a destination's index of routes, from 0."""
    return f"routes {number}"


def watched_key(mirror: str) -> str:
    """The key of the schedule of a mirror, with the messages."""
    return f"{mirror} schedule"


def pool_key(pool: str) -> str:
    """The key of the last messages about a pool of nodes. No mirror has a space in its name."""
    return f"nodes {pool}"


def digests_key(number: int) -> str:
    """The key of one part of the digests that readiness checks last read at sources, from 0."""
    return f"{DIGESTS_PREFIX}{number}"
