"""The readiness report: the verdict on each pool, then the faults, where they are, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from registry_sync.config.node_pools import NodePool
from registry_sync.nodes.readiness.model import ImageReadiness
from registry_sync.nodes.runtime_failover import Failover, Verdict, judge, start_table
from registry_sync.oci.reference import Digest
from registry_sync.text_table import human_bytes, table


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessReport:
    """The verdicts on some pools and the results behind them; ``notes`` are shown below the tables."""

    verdicts: tuple[Verdict, ...]
    images: tuple[ImageReadiness, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, pools: Sequence[NodePool], results: Sequence[ImageReadiness], *, notes: Sequence[str] = ()) -> Self:
        """Judge ``pools`` by the results at their registries."""
        images = fault_conflicting(results)
        verdicts = judge([Failover.of(pool) for pool in pools], images)
        return cls(verdicts=tuple(verdicts), images=tuple(images), notes=tuple(notes))

    @property
    def is_failed(self) -> bool:
        """True when somebody has to act. That includes a pool whose nodes would fail only with a registry down."""
        return any(verdict.is_failed for verdict in self.verdicts)

    @property
    def summary(self) -> str:
        """One sentence about all pools."""
        failed = [verdict for verdict in self.verdicts if verdict.is_failed and not verdict.is_unknown]
        unknown = [verdict for verdict in self.verdicts if verdict.is_unknown]
        lost, untold = _pools_now(failed), _pools_now(unknown)
        parts = [f"nodes of {', '.join(lost)} would not start now"] if lost else []
        in_outage = _in_outage(failed, lost)
        parts += [f"nodes would not start: {in_outage}"] if in_outage else []
        parts += [f"it is unknown if nodes of {', '.join(untold)} would start now"] if untold else []
        in_outage = _in_outage(unknown, [*lost, *untold])
        parts += [f"it is unknown if nodes would start: {in_outage}"] if in_outage else []
        return "; ".join(parts) or "nodes of every pool would start, as far as their configuration promises"

    def text(self) -> str:
        """The table of verdicts, the table of images at each registry, then the faults and notes."""
        parts = [start_table(self.verdicts)] if self.verdicts else []
        if self.images:
            parts.append(table(_HEADINGS, [_row(image) for image in self.images], right=_RIGHT))
        parts += _problems([image for image in self.images if image.fault])
        parts += _image_notes([image for image in self.images if image.note])
        parts += [explain_limit(verdict) for verdict in self.verdicts if verdict.images and not verdict.is_promised]
        return "\n\n".join([*parts, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-simple values, for programs."""
        return {
            "is_failed": self.is_failed,
            "summary": self.summary,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "images": [image.to_json() for image in self.images],
            "notes": list(self.notes),
        }


def _pools_now(verdicts: Sequence[Verdict]) -> list[str]:
    return list(dict.fromkeys(verdict.pool for verdict in verdicts if verdict.down is None))


def _in_outage(verdicts: Sequence[Verdict], named: Sequence[str]) -> str:
    return ", ".join(f"{verdict.pool} with {verdict.down} down" for verdict in verdicts if verdict.pool not in named)


def _problems(images: Sequence[ImageReadiness]) -> list[str]:
    """A paragraph for each image, or one for all images at a registry that need the same action."""
    groups: dict[tuple[str, str], list[ImageReadiness]] = {}
    for image in images:
        groups.setdefault((image.registry, image.advice or f"{image.pool} {image.problem}"), []).append(image)
    return [_problem(group) if len(group) == 1 else _common_problem(group) for group in groups.values()]


def _image_notes(images: Sequence[ImageReadiness]) -> list[str]:
    """The notes of images. A note of several images is printed once, with their number."""
    groups: dict[str, list[ImageReadiness]] = {}
    for image in images:
        groups.setdefault(image.note, []).append(image)
    return [_image_note(note, group) for note, group in groups.items()]


def _image_note(note: str, group: Sequence[ImageReadiness]) -> str:
    names = {image.image for image in group}
    if len(names) > 1:
        return f"{len(names)} images: {note}"
    registries = dict.fromkeys(image.registry for image in group)
    return f"{group[0].image} from {', '.join(registries)}: {note}"


def _problem(group: Sequence[ImageReadiness]) -> str:
    return "\n".join(f"{image.pool}: {image.image} from {image.registry}: {image.problem}" for image in group)


def _common_problem(group: Sequence[ImageReadiness]) -> str:
    """The advice once, then each image with what was seen."""
    first = group[0]
    if not first.advice:
        return _problem(group)
    lines = [f"  {image.pool}: {image.image}: {image.problem.removesuffix(f'; {image.advice}')}" for image in group]
    return "\n".join([f"{first.registry}, {len(group)} images: {first.advice}", *lines])


def fault_conflicting(results: Sequence[ImageReadiness]) -> list[ImageReadiness]:
    """Mark copies of an image as ``wrong`` when their digests differ and the right digest is unknown.

    Only copies with the same note conflict. Those of mirrors with other ``platforms`` differ by design, and have other
    notes.
    """
    digests: dict[tuple[str, str, str], set[Digest]] = {}
    for result in results:
        if result.note and result.digest:
            digests.setdefault((result.pool, result.image, result.note), set()).add(result.digest)
    return [
        _as_wrong(result)
        if result.is_ready and len(digests.get((result.pool, result.image, result.note), ())) > 1
        else result
        for result in results
    ]


def _as_wrong(image: ImageReadiness) -> ImageReadiness:
    problem = f"its digest is {image.digest} here and another one elsewhere; find out which is right"
    return replace(image, fault="wrong", problem=problem)


def explain_limit(verdict: Verdict) -> str:
    """The reason that the pool's configuration cannot cover an outage.

    Images that are pinned by digest may still be pulled.
    """
    return (
        f"{verdict.pool}: no tag can be pulled while {verdict.down} is down, as configured; a mirror that is trusted "
        "with tags (trust: pull+resolve) would change that"
    )


_HEADINGS = ("pool", "image", "registry", "state", "digest", "platforms", "blobs", "size", "read", "slowest")

_RIGHT = frozenset((6, 7, 8, 9))


def _row(image: ImageReadiness) -> tuple[str, ...]:
    numbers = (str(image.blobs), human_bytes(image.size_bytes), human_bytes(image.read_bytes))
    digest = image.digest.short if image.digest else "-"
    platforms = ", ".join(image.platforms) or "-"
    state = image.fault or "ready"
    seconds = f"{image.slowest_seconds:.2f} s"
    return (image.pool, image.image, image.registry, state, digest, platforms, *numbers, seconds)
