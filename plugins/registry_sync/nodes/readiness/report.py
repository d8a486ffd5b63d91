"""What all checks together say: would nodes start now, and if not, what is wrong where and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from registry_sync.config.node_pools import NodePool
from registry_sync.nodes.readiness.check import ImageReadiness
from registry_sync.nodes.runtime_failover import Failover, Verdict, judge, start_table
from registry_sync.text_table import human_bytes, table


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessReport:
    """The verdicts on some pools and what they follow from; ``notes`` is what a reader should know besides."""

    verdicts: tuple[Verdict, ...]
    images: tuple[ImageReadiness, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, pools: Sequence[NodePool], found: Sequence[ImageReadiness], *, notes: Sequence[str] = ()) -> Self:
        """Judge what was found at the registries of ``pools``."""
        images = distrust_differing(found)
        verdicts = judge([Failover.of(each) for each in pools], images)
        return cls(verdicts=tuple(verdicts), images=tuple(images), notes=tuple(notes))

    @property
    def is_failed(self) -> bool:
        """Whether somebody has to act, and not only when a node fails to start today."""
        return any(each.is_failed for each in self.verdicts)

    @property
    def summary(self) -> str:
        """One sentence about all pools."""
        failed = [each for each in self.verdicts if each.is_failed]
        now = list(dict.fromkeys(each.pool for each in failed if each.down is None))
        later = [f"{each.pool} with {each.down} down" for each in failed if each.down and each.pool not in now]
        parts = [f"nodes of {', '.join(now)} would not start now"] if now else []
        parts += [f"nodes would not start: {', '.join(later)}"] if later else []
        return "; ".join(parts) or "nodes of every pool would start, as far as their configuration promises"

    def text(self) -> str:
        """The table that is the point of it all, then each image at each registry, then what is wrong."""
        parts = [start_table(self.verdicts)] if self.verdicts else []
        if self.images:
            parts.append(table(_HEADINGS, [_row(each) for each in self.images], right=_RIGHT))
        parts += [
            f"{each.pool}: {each.image} from {each.registry}: {each.problem}" for each in self.images if each.fault
        ]
        parts += dict.fromkeys(f"{each.image} from {each.registry}: {each.note}" for each in self.images if each.note)
        parts += [_unpromised(each) for each in self.verdicts if each.images and not each.is_promised]
        return "\n\n".join([*parts, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "is_failed": self.is_failed,
            "summary": self.summary,
            "verdicts": [each.to_json() for each in self.verdicts],
            "images": [each.to_json() for each in self.images],
            "notes": list(self.notes),
        }


def distrust_differing(found: Sequence[ImageReadiness]) -> list[ImageReadiness]:
    """Where nothing says what an image should be, and its copies differ, each of them may be the wrong one.

    Copies that differ for a reason, such as those of mirrors with other platforms, have other notes.
    """
    digests: dict[tuple[str, str, str], set[str]] = {}
    for each in found:
        if each.note and each.digest:
            digests.setdefault((each.pool, each.image, each.note), set()).add(each.digest)
    return [_distrusted(each, digests.get((each.pool, each.image, each.note), set())) for each in found]


def _distrusted(image: ImageReadiness, digests: set[str]) -> ImageReadiness:
    if not image.is_ready or len(digests) < 2:
        return image
    problem = f"it is {image.digest} there and another image elsewhere, and nothing says which is right; compare them"
    return replace(image, fault="wrong", problem=problem)


def _unpromised(verdict: Verdict) -> str:
    """What a pool does without, so that its cell is no failure. Images that are pinned by digest may be better off."""
    advice = "a mirror whose tags are trusted (trust: pull+resolve) would change that"
    return (
        f"{verdict.pool}: no tag can be pulled while {verdict.down} is down, by the pool's own configuration; {advice}"
    )


_HEADINGS = ("pool", "image", "registry", "state", "digest", "platforms", "blobs", "size", "read", "slowest")

_RIGHT = frozenset((6, 7, 8, 9))


def _row(image: ImageReadiness) -> tuple[str, ...]:
    numbers = (str(image.blobs), human_bytes(image.size_bytes), human_bytes(image.read_bytes))
    short = image.digest[:19] if image.digest else "-"
    platforms = ", ".join(image.platforms) or "-"
    state = image.fault or "ready"
    seconds = f"{image.slowest_seconds:.2f} s"
    return (image.pool, image.image, image.registry, state, short, platforms, *numbers, seconds)
