"""Images that mirrors know to be damaged at a registry, because a deep check read them whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from registry_sync.nodes.readiness.model import ImageReadiness
from registry_sync.oci.reference import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDamage:
    """An image that is damaged at a registry.

    :ivar registry: its name in the mirrors file.
    :ivar repository: without the host.
    :ivar problem: what was seen, when, and what to do.
    """

    registry: str
    repository: str
    digest: Digest
    problem: str


def fault_damaged(results: Iterable[ImageReadiness], known: Sequence[KnownDamage]) -> list[ImageReadiness]:
    """Mark images as damaged that look ready by the bytes that were read, and are known to be damaged."""
    problems = {(damage.registry, damage.repository, damage.digest): damage.problem for damage in known}
    return [_fault(result, problems) if result.is_ready else result for result in results]


def _fault(result: ImageReadiness, problems: dict[tuple[str, str, Digest], str]) -> ImageReadiness:
    repository = result.image.partition("@")[0].rpartition(":")[0]
    problem = problems.get((result.registry, repository, result.digest)) if result.digest else None
    return replace(result, fault="damaged", problem=problem) if problem else result
