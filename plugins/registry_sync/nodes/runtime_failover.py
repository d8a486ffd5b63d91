"""Would a node start now, with each single registry down? Pure: from what each registry has to how runtimes go on.

What the runtimes do was seen with dockerd 20.10 to 28.5, containerd 1.6 to 2.1 and the library of CRI-O; docs/nodes.md
has the whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from registry_sync.config.node_pools import NodePool
from registry_sync.config.runtime_versions import Versions
from registry_sync.nodes.readiness.check import Fault, ImageReadiness
from registry_sync.text_table import table

Behaviour = Literal["docker", "containerd", "crio", "unknown"]
"""How a runtime goes on from one registry to the next: by the whole image, by each request, or not after a manifest.
Of an unknown one, only what all of them do is taken for sure.
"""

FALLS_BACK: Mapping[Behaviour, frozenset[Fault]] = {
    "docker": frozenset({"absent", "incomplete", "unreadable", "damaged"}),
    "containerd": frozenset({"absent", "incomplete"}),
    "crio": frozenset({"absent"}),
}
"""The faults of a registry after which a runtime asks the next one at once. After any other the pull fails, or never
ends, or gets another image. A silent registry is waited for: ``Failover.dial_seconds``."""

LONGEST_WAIT_SECONDS = 30
"""A start that waits longer than that, for each image anew, is no start in good time."""

_WHILE_RESOLVING: frozenset[Fault] = frozenset({"absent", "silent", "slow", "wrong", "unreadable", "unchecked"})
"""The faults that are met when a tag is turned into a digest; the others are met when content is fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullEndpoint:
    """A registry that nodes ask, by its name in the mirrors file; ``resolves``: also for the digest of a tag."""

    registry: str
    resolves: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """The registries that the nodes of a pool ask, in their order: mirrors, and last the one that names stand for.

    ``dial_seconds`` is how long a pull waits for a registry that takes no connection, before it asks the next.
    """

    pool: str
    behaviour: Behaviour
    endpoints: tuple[PullEndpoint, ...]
    dial_seconds: int = 150

    @classmethod
    def of(cls, pool: NodePool) -> Self:
        """What the mirrors file says about a pool."""
        endpoints = tuple(PullEndpoint(registry=name, resolves=resolves) for name, resolves in pool.pull_order)
        behaviour = behaviour_of(pool)
        return cls(
            pool=pool.name, behaviour=behaviour, endpoints=endpoints, dial_seconds=_dial_seconds(pool, behaviour)
        )

    @property
    def registries(self) -> tuple[str, ...]:
        return tuple(each.registry for each in self.endpoints)


_WITH_CONTAINERD_STORE = Versions.parse(">=29")


def behaviour_of(pool: NodePool) -> Behaviour:
    """How the runtime of a pool behaves, in every version that the pool may have.

    Docker from 29 on keeps images in containerd's store, unless told otherwise, and then pulls as containerd does.
    https://docs.docker.com/engine/storage/containerd/
    """
    match pool.runtime:
        case None:
            return "unknown"
        case "docker":
            return "containerd" if pool.versions.meet(_WITH_CONTAINERD_STORE) else "docker"
        case "containerd" | "k3s" | "talos":
            return "containerd"
        case "crio":
            return "crio"


def _dial_seconds(pool: NodePool, behaviour: Behaviour) -> int:
    """As seen: dockerd pings once, for 15 s, and CRI-O's library twice, for 30 s.

    containerd dials anew for each of five requests, for 30 s or, by the ``dial_timeout`` that is rendered where 2.1
    honours it, for 2 s. k3s and Talos write its files without that.
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
    """Whether the nodes of a pool would start with ``down`` out of reach (``None``: with everything up).

    ``is_promised`` is false where the pool's configuration says no already, such as a pool without mirrors whose
    registry is down. ``missing`` are those of its ``images`` that a node would not get. ``wait_seconds``: how long it
    waits, for an image, for registries that take no connection.
    """

    pool: str
    down: str | None
    images: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    is_promised: bool = True
    wait_seconds: int = 0

    @property
    def starts(self) -> bool:
        return not self.missing

    @property
    def is_failed(self) -> bool:
        """Whether somebody has to act: a node would not start although its configuration promises that."""
        return self.is_promised and not self.starts

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
        }


def gets_image(failover: Failover, faults: Mapping[str, Fault | None], down: str | None) -> bool:
    """Whether a node gets an image by its tag.

    :param faults: of the image, by registry; ``None``: it is ready there.
    :param down: a registry that does not answer.
    """
    return _wait_seconds(failover, faults, down) is not None


def _wait_seconds(failover: Failover, faults: Mapping[str, Fault | None], down: str | None) -> int | None:
    """How long a node waits for registries that take no connection until it gets an image; ``None``: it does not."""
    found: Mapping[str, Fault | None] = {**faults, **({down: "absent"} if down else {})}
    waits = [_wait_by(failover, found, each) for each in _MAY_BE.get(failover.behaviour, (failover.behaviour,))]
    return None if None in waits else max(each for each in waits if each is not None)


_MAY_BE: Mapping[Behaviour, tuple[Behaviour, ...]] = {"unknown": ("containerd", "crio")}
"""What an unknown runtime may be. dockerd gets whatever containerd gets, and has no mirrors for bytes only."""


def _wait_by(failover: Failover, found: Mapping[str, Fault | None], behaviour: Behaviour) -> int | None:
    goes_on = FALLS_BACK[behaviour]
    if failover.dial_seconds <= LONGEST_WAIT_SECONDS:
        goes_on |= {"silent"}
    asked = [each for each in failover.endpoints if each.resolves or behaviour != "crio"]
    faults = {each.registry: found.get(each.registry, "unchecked") for each in asked}
    resolving = {each.registry: _while_resolving(faults[each.registry]) for each in asked if each.resolves}
    ways = (_walk(resolving, goes_on), _walk(faults, goes_on))
    if None in ways:
        return None
    silent = {name for way in ways for name in way or () if faults[name] == "silent"}
    return len(silent) * failover.dial_seconds


def _while_resolving(fault: Fault | None) -> Fault | None:
    return fault if fault in _WHILE_RESOLVING else None


def _walk(faults: Mapping[str, Fault | None], goes_on: frozenset[Fault]) -> list[str] | None:
    """The registries that a runtime asks until one is without a fault; ``None``: there is none, or it stops before."""
    way = []
    for name, fault in faults.items():
        way.append(name)
        if fault is None:
            return way
        if fault not in goes_on:
            return None
    return None


def judge(failovers: Sequence[Failover], found: Iterable[ImageReadiness]) -> list[Verdict]:
    """A verdict for each pool with everything up, then with each of its registries down, in the order of the pools."""
    by_pool: dict[str, dict[str, dict[str, Fault | None]]] = {each.pool: {} for each in failovers}
    for each in found:
        by_pool[each.pool].setdefault(each.image, {})[each.registry] = each.fault
    return [
        _verdict(failover, by_pool[failover.pool], down)
        for failover in failovers
        for down in (None, *failover.registries)
    ]


def _verdict(failover: Failover, images: Mapping[str, Mapping[str, Fault | None]], down: str | None) -> Verdict:
    waits = {image: _wait_seconds(failover, faults, down) for image, faults in sorted(images.items())}
    return Verdict(
        pool=failover.pool,
        down=down,
        images=tuple(waits),
        missing=tuple(image for image, wait in waits.items() if wait is None),
        is_promised=gets_image(failover, dict.fromkeys(failover.registries), down),
        wait_seconds=max((each for each in waits.values() if each is not None), default=0),
    )


def start_table(verdicts: Sequence[Verdict]) -> str:
    """Would a node start now? A row for each pool, a column for each registry being down."""
    downs = list(dict.fromkeys(each.down for each in verdicts))
    cells = {(each.pool, each.down): _cell(each) for each in verdicts}
    headings = ("pool", *(f"{each} down" if each else "all up" for each in downs))
    pools = dict.fromkeys(each.pool for each in verdicts)
    return table(headings, [(pool, *(cells.get((pool, down), "not used") for down in downs)) for pool in pools])


def _cell(verdict: Verdict) -> str:
    if not verdict.images:
        return "no images"
    if verdict.starts:
        return f"yes, after {verdict.wait_seconds} s" if verdict.wait_seconds else "yes"
    if not verdict.is_promised:
        return "no, as configured"
    more = f" and {len(verdict.missing) - 1} more" if len(verdict.missing) > 1 else ""
    return f"NO: {verdict.missing[0]}{more}"
