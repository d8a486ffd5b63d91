"""Deep checks: which images of a route a run verifies, and how many bytes of them it reads whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from registry_sync.config.deep_check import DeepCheckRules
from registry_sync.config.schedule import last_ticks
from registry_sync.oci.reference import Digest
from registry_sync.sync.verification.damaged_images import DamagedImage
from registry_sync.sync.window import RunInterval

DAY_SECONDS = 24 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A span of time in which a share of all images is due.

    Each digest is due at one moment of a cycle, by its own bits. A cycle of ``1 / share`` days repeats for ever. Spans
    that follow each other therefore reach every digest once per cycle, whatever their lengths, and without any state.

    :ivar start: exclusive, aware UTC.
    :ivar end: inclusive, aware UTC.
    :ivar share: part of the images that are due per day, above 0 and at most 1.
    """

    start: datetime
    end: datetime
    share: float

    def includes(self, digest: Digest) -> bool:
        """Return whether the digest's moment is in the span."""
        cycle_seconds = DAY_SECONDS / self.share
        moment = int(digest.encoded[:16], 16) / 16**16 * cycle_seconds
        first, last = ((time.timestamp() - moment) // cycle_seconds for time in (self.start, self.end))
        return last > first


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepCheck:
    """The images of a route that a run verifies at the destination.

    :ivar reason: the origin of the check, for people.
    :ivar read_bytes: limit of the bytes to read whole and hash.
    :ivar rotation: selects a share of the images; ``None`` selects all.
    :ivar suspects: images that earlier runs found damaged, with their damaged parts. They are always verified, and
        these parts are read whole.
    """

    reason: str
    read_bytes: int
    rotation: Rotation | None = None
    suspects: Mapping[Digest, tuple[Digest, ...]] = field(default_factory=dict)

    def includes(self, digest: Digest) -> bool:
        """Return whether the image with this digest is to be verified."""
        return self.rotation is None or digest in self.suspects or self.rotation.includes(digest)

    def to_json(self) -> dict[str, Any]:
        """The deep check as JSON-simple values, for XCom."""
        rotation = self.rotation
        return {
            "reason": self.reason,
            "read_bytes": self.read_bytes,
            "rotation": rotation
            and {"start": rotation.start.isoformat(), "end": rotation.end.isoformat(), "share": rotation.share},
            "suspects": {str(image): list(map(str, parts)) for image, parts in self.suspects.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        rotation = document["rotation"]
        return cls(
            reason=document["reason"],
            read_bytes=document["read_bytes"],
            rotation=rotation
            and Rotation(
                start=datetime.fromisoformat(rotation["start"]),
                end=datetime.fromisoformat(rotation["end"]),
                share=rotation["share"],
            ),
            suspects={
                Digest.parse(image): tuple(map(Digest.parse, parts)) for image, parts in document["suspects"].items()
            },
        )


def rotation_of_run(run: RunInterval, rules: DeepCheckRules | None, since: datetime | None) -> Rotation | None:
    """The rotation of a scheduled run with a tick of ``deep_check`` in its data interval; ``None`` for other runs.

    :param since: the time that earlier scheduled runs reached. The ticks of missed runs count too.
    """
    if rules is None or rules.schedule is None or run.run_type != "scheduled" or run.start is None or run.end is None:
        return None
    start = min(run.start, since or run.start)
    span = last_ticks(rules.schedule, start.astimezone(UTC), run.end.astimezone(UTC))
    return Rotation(start=span[0], end=span[1], share=rules.share) if span else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepCheckRequest:
    """The deep check that one run asks of all routes.

    :ivar is_requested: by the run's parameters: all images.
    :ivar rotation: the share that is due by ``schedule``.
    """

    read_bytes: int
    is_requested: bool = False
    rotation: Rotation | None = None
    schedule: str | None = None


def deep_check_of_route(request: DeepCheckRequest, damaged: Sequence[DamagedImage]) -> DeepCheck | None:
    """The deep check of one route; ``None`` when there is nothing to verify.

    :param damaged: images of its destination repository that earlier runs found damaged.
    """
    suspects = {image.digest: image.parts for image in damaged}
    if request.is_requested:
        return DeepCheck(reason="requested", read_bytes=request.read_bytes, suspects=suspects)
    if request.rotation:
        return DeepCheck(
            reason=request.schedule or "",
            read_bytes=request.read_bytes,
            rotation=request.rotation,
            suspects=suspects,
        )
    if suspects:
        reason = "found damaged by an earlier run"
        return DeepCheck(reason=reason, read_bytes=0, rotation=_NOTHING, suspects=suspects)
    return None


_NOTHING = Rotation(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 1, tzinfo=UTC), share=1.0)
"""An empty span, in which no image is due."""
