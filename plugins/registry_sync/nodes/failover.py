"""Would a node start now, with each single registry down? Pure: from what each registry has to how runtimes go on.

What the runtimes do was seen with dockerd 20.10 to 28.5, containerd 1.6 to 2.1 and the library of CRI-O; docs/nodes.md
has the whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from registry_sync.node_pools import NodePool
from registry_sync.node_versions import Versions
from registry_sync.nodes.readiness import Fault, ImageReadiness
from registry_sync.report import table

Behaviour = Literal["docker", "containerd", "crio", "unknown"]
"""How a runtime goes on from one registry to the next: by the whole image, by each request, or not after a manifest.
Of an unknown one, only what all of them do is taken for sure.
"""

FALLS_BACK: Mapping[Behaviour, frozenset[Fault]] = {
    "docker": frozenset({"absent", "incomplete", "unreadable", "damaged"}),
    "containerd": frozenset({"absent", "incomplete"}),
    "crio": frozenset({"absent"}),
    "unknown": frozenset({"absent"}),
}
"""The faults of a registry after which a runtime asks the next one. After any other the pull fails, or never ends, or
gets another image."""

_WHILE_RESOLVING: frozenset[Fault] = frozenset({"absent", "slow", "wrong", "unreadable", "unchecked"})
"""The faults that are met when a tag is turned into a digest; the others are met when content is fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullEndpoint:
    """A registry that nodes ask, by its name in the mirrors file; ``resolves``: also for the digest of a tag."""

    registry: str
    resolves: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """The registries that the nodes of a pool ask, in their order: mirrors, and last the one that names stand for."""

    pool: str
    behaviour: Behaviour
    endpoints: tuple[PullEndpoint, ...]

    @classmethod
    def of(cls, pool: NodePool) -> Self:
        """What the mirrors file says about a pool."""
        mirrors = [
            PullEndpoint(registry=each.registry, resolves=each.trust == "pull+resolve") for each in pool.pool_mirrors
        ]
        endpoints = (*mirrors, PullEndpoint(registry=pool.registry))
        return cls(pool=pool.name, behaviour=behaviour_of(pool), endpoints=endpoints)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the nodes of a pool would start with ``down`` out of reach (``None``: with everything up).

    ``is_promised`` is false where the pool's configuration says no already, such as a pool without mirrors whose
    registry is down. ``missing`` are those of its ``images`` that a node would not get.
    """

    pool: str
    down: str | None
    images: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    is_promised: bool = True

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
            "images": list(self.images),
            "missing": list(self.missing),
        }


def gets_image(failover: Failover, faults: Mapping[str, Fault | None], down: str | None) -> bool:
    """Whether a node gets an image by its tag.

    :param faults: of the image, by registry; ``None``: it is ready there.
    :param down: a registry that does not answer.
    """
    found: Mapping[str, Fault | None] = {**faults, **({down: "absent"} if down else {})}
    asked = [each for each in failover.endpoints if each.resolves or failover.behaviour != "crio"]
    resolving = [_while_resolving(found.get(each.registry, "unchecked")) for each in asked if each.resolves]
    fetching = [found.get(each.registry, "unchecked") for each in asked]
    return _walk(resolving, failover.behaviour) and _walk(fetching, failover.behaviour)


def _while_resolving(fault: Fault | None) -> Fault | None:
    return fault if fault in _WHILE_RESOLVING else None


def _walk(faults: Iterable[Fault | None], behaviour: Behaviour) -> bool:
    """Whether the first registry that a runtime does not fall back from is one without a fault."""
    met = next((each for each in faults if each not in FALLS_BACK[behaviour]), "absent")
    return met is None


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
    missing = tuple(image for image, faults in sorted(images.items()) if not gets_image(failover, faults, down))
    promised = gets_image(failover, dict.fromkeys(failover.registries), down)
    return Verdict(pool=failover.pool, down=down, images=tuple(sorted(images)), missing=missing, is_promised=promised)


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
        return "yes"
    if not verdict.is_promised:
        return "no, as configured"
    more = f" and {len(verdict.missing) - 1} more" if len(verdict.missing) > 1 else ""
    return f"NO: {verdict.missing[0]}{more}"
