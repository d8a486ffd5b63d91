"""Failover of container runtimes: predict starts of a node now, and with each single registry down. Pure.

The behaviour of the runtimes was observed with dockerd 20.10 to 28.5, containerd 1.6 to 2.1 and the library of CRI-O;
docs/node-failures.md has the whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from registry_sync.config.node_pools import NodePool
from registry_sync.nodes.image_store import possible_store
from registry_sync.nodes.readiness.model import Fault, ImageReadiness
from registry_sync.text_table import table

Behaviour = Literal["docker", "containerd", "crio", "unknown"]
"""The way in which a runtime falls back from one registry to the next.

docker: for the whole image. containerd: for each request. crio: only until it has a manifest. unknown: any of these, so
that a node gets an image only if it would with each of them.
"""

FALLS_BACK: Mapping[Behaviour, frozenset[Fault]] = {
    "docker": frozenset({"absent", "incomplete", "unreadable", "damaged"}),
    "containerd": frozenset({"absent", "incomplete"}),
    "crio": frozenset({"absent"}),
}
"""The faults of a registry after which a runtime tries the next one at once.

After other faults the pull fails, hangs, or gets another image. After a silent registry it continues with a delay:
``Failover.dial_seconds``.
"""

MAX_WAIT_SECONDS = 30
"""The longest delay per image with which a node still counts as starting. Every image has the delay again."""

_RESOLVING_FAULTS: frozenset[Fault] = frozenset(
    {"absent", "silent", "handshake", "slow", "wrong", "unreadable", "unchecked"}
)
"""The faults that show when a tag is resolved to a digest. The others show when content is downloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullEndpoint:
    """A registry that nodes pull from, by its name in the mirrors file; ``resolves``: they also take tags from it."""

    registry: str
    resolves: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """The registries that the nodes of a pool try, in order: its mirrors, and last the pool's own registry.

    ``dial_seconds`` is the delay before a pull gives up on a silent registry and tries the next one;
    ``handshake_seconds`` that on one without a TLS handshake, ``None`` where it was not observed.
    """

    pool: str
    behaviour: Behaviour
    endpoints: tuple[PullEndpoint, ...]
    dial_seconds: int = 150
    handshake_seconds: int | None = 50

    @classmethod
    def of(cls, pool: NodePool) -> Self:
        """The failover of a pool in the mirrors file."""
        endpoints = tuple(PullEndpoint(registry=name, resolves=resolves) for name, resolves in pool.pull_order)
        behaviour = behaviour_of(pool)
        return cls(
            pool=pool.name,
            behaviour=behaviour,
            endpoints=endpoints,
            dial_seconds=_dial_seconds(pool, behaviour),
            handshake_seconds=_HANDSHAKE_SECONDS[behaviour],
        )

    @property
    def registries(self) -> tuple[str, ...]:
        return tuple(endpoint.registry for endpoint in self.endpoints)


def behaviour_of(pool: NodePool) -> Behaviour:
    """The behaviour of a pool's runtime that holds for every version in the pool.

    Docker with containerd's image store pulls as containerd does.
    """
    match pool.runtime:
        case None:
            return "unknown"
        case "docker":
            return "containerd" if possible_store(pool, pool.versions) == "containerd" else "docker"
        case "containerd" | "k3s" | "talos":
            return "containerd"
        case "crio":
            return "crio"


_HANDSHAKE_SECONDS: Mapping[Behaviour, int | None] = {"docker": 10, "containerd": 50, "crio": None, "unknown": None}
"""Observed with dockerd 28.5 and containerd 2.4: Go gives up on a TLS handshake after 10 s, containerd five times."""


def _dial_seconds(pool: NodePool, behaviour: Behaviour) -> int:
    """Observed: dockerd pings once, for 15 s; CRI-O's library pings twice, for 30 s each.

    containerd dials again for each of five requests, for 30 s each, or from 2.1 for the 2 s of the rendered
    ``dial_timeout``. k3s and Talos write containerd's files without ``dial_timeout``.
    """
    match behaviour:
        case "docker":
            return 15
        case "crio":
            return 60
        case "containerd" if pool.runtime == "containerd" and pool.versions.are_at_least("2.1"):
            return 10
        case _:
            return 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict on the nodes of a pool while the registry ``down`` is unreachable (``None``: all are up).

    ``is_promised`` is false where nodes cannot start by the pool's configuration, such as a pool without mirrors whose
    registry is down. ``missing`` are the ``images`` that a node would not get; ``unknown`` those of them that it might
    get, because a check had no result. ``wait_seconds`` is the longest delay of an image by silent registries.
    """

    pool: str
    down: str | None
    images: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    is_promised: bool = True
    wait_seconds: int = 0

    @property
    def starts(self) -> bool:
        return not self.missing

    @property
    def is_failed(self) -> bool:
        """True when somebody has to act: a node would not start although the pool's configuration promises it."""
        return self.is_promised and not self.starts

    @property
    def is_unknown(self) -> bool:
        """True when the checks could not show if a node would start. That counts as failed too."""
        return self.is_failed and set(self.missing) == set(self.unknown)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "pool": self.pool,
            "down": self.down,
            "starts": self.starts,
            "is_promised": self.is_promised,
            "wait_seconds": self.wait_seconds,
            "images": list(self.images),
            "missing": list(self.missing),
            "unknown": list(self.unknown),
        }


def gets_image(failover: Failover, faults: Mapping[str, Fault | None], down: str | None) -> bool:
    """Return whether a node gets an image by its tag.

    :param faults: of the image, by registry; ``None``: it is ready there.
    :param down: a registry that is unreachable.
    """
    return _wait_seconds(failover, faults, down) is not None


def _wait_seconds(failover: Failover, faults: Mapping[str, Fault | None], down: str | None) -> int | None:
    """The delay by silent registries until a node gets an image; ``None`` when it does not get it."""
    faults_now = {**faults, **({down: _ABSENT} if down else {})}
    behaviours = _POSSIBLE_BEHAVIOURS.get(failover.behaviour, (failover.behaviour,))
    waits = [_wait_by_behaviour(failover, faults_now, behaviour) for behaviour in behaviours]
    return None if None in waits else max(wait for wait in waits if wait is not None)


_ABSENT: Fault = "absent"

_POSSIBLE_BEHAVIOURS: Mapping[Behaviour, tuple[Behaviour, ...]] = {"unknown": ("containerd", "crio")}
"""The behaviours that an unknown runtime may have.

docker is not needed: dockerd gets every image that containerd gets, and has no mirrors for bytes only.
"""


def _wait_by_behaviour(failover: Failover, faults: Mapping[str, Fault | None], behaviour: Behaviour) -> int | None:
    """Walk the registries twice, as a pull does: to resolve the tag, and to download the content."""
    delays: dict[Fault | None, int | None] = {"silent": failover.dial_seconds, "handshake": failover.handshake_seconds}
    passable = FALLS_BACK[behaviour] | {
        fault for fault, seconds in delays.items() if fault and seconds is not None and seconds <= MAX_WAIT_SECONDS
    }
    endpoints = [endpoint for endpoint in failover.endpoints if endpoint.resolves or behaviour != "crio"]
    by_registry = {endpoint.registry: faults.get(endpoint.registry, "unchecked") for endpoint in endpoints}
    resolving = {
        endpoint.registry: _resolving_fault(by_registry[endpoint.registry])
        for endpoint in endpoints
        if endpoint.resolves
    }
    resolve_path, download_path = _path_to_image(resolving, passable), _path_to_image(by_registry, passable)
    if resolve_path is None or download_path is None:
        return None
    return sum(delays.get(by_registry[registry]) or 0 for registry in {*resolve_path, *download_path})


def _resolving_fault(fault: Fault | None) -> Fault | None:
    return fault if fault in _RESOLVING_FAULTS else None


def _path_to_image(faults: Mapping[str, Fault | None], passable: frozenset[Fault]) -> list[str] | None:
    """The registries that a runtime tries up to the first without a fault; ``None`` when it does not get that far."""
    path = []
    for registry, fault in faults.items():
        path.append(registry)
        if fault is None:
            return path
        if fault not in passable:
            return None
    return None


def judge(failovers: Sequence[Failover], results: Iterable[ImageReadiness]) -> list[Verdict]:
    """A verdict for each pool with all registries up, then with each of them down, in the order of the pools."""
    by_pool: dict[str, dict[str, dict[str, Fault | None]]] = {failover.pool: {} for failover in failovers}
    for result in results:
        by_pool[result.pool].setdefault(result.image, {})[result.registry] = result.fault
    return [
        _verdict(failover, by_pool[failover.pool], down)
        for failover in failovers
        for down in (None, *failover.registries)
    ]


def _verdict(failover: Failover, images: Mapping[str, Mapping[str, Fault | None]], down: str | None) -> Verdict:
    waits = {image: _wait_seconds(failover, faults, down) for image, faults in sorted(images.items())}
    missing = tuple(image for image, wait in waits.items() if wait is None)
    return Verdict(
        pool=failover.pool,
        down=down,
        images=tuple(waits),
        missing=missing,
        unknown=tuple(image for image in missing if gets_image(failover, _at_best(failover, images[image]), down)),
        is_promised=gets_image(failover, dict.fromkeys(failover.registries), down),
        wait_seconds=max((wait for wait in waits.values() if wait is not None), default=0),
    )


def _at_best(failover: Failover, faults: Mapping[str, Fault | None]) -> dict[str, Fault | None]:
    """The faults of an image, taken as ready wherever the check had no result."""
    by_registry = {registry: faults.get(registry, "unchecked") for registry in failover.registries}
    return {registry: None if fault == "unchecked" else fault for registry, fault in by_registry.items()}


def start_table(verdicts: Sequence[Verdict]) -> str:
    """The table of verdicts: a row for each pool, a column for each registry being down."""
    downs = list(dict.fromkeys(verdict.down for verdict in verdicts))
    cells = {(verdict.pool, verdict.down): _cell(verdict) for verdict in verdicts}
    headings = ("pool", *(f"{down} down" if down else "all up" for down in downs))
    pools = dict.fromkeys(verdict.pool for verdict in verdicts)
    return table(headings, [(pool, *(cells.get((pool, down), "not used") for down in downs)) for pool in pools])


def _cell(verdict: Verdict) -> str:
    if not verdict.images:
        return "no images"
    if verdict.starts:
        return f"yes, after {verdict.wait_seconds} s" if verdict.wait_seconds else "yes"
    if not verdict.is_promised:
        return "no, as configured"
    more = f" and {len(verdict.missing) - 1} more" if len(verdict.missing) > 1 else ""
    if verdict.is_unknown:
        return f"?: {verdict.missing[0]}{more}"
    lost = next(image for image in verdict.missing if image not in verdict.unknown)
    return f"NO: {lost}{more}"
