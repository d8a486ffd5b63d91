"""The value of one copy by digest."""

from __future__ import annotations

from dataclasses import dataclass

from registry_sync.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCopy:
    """A copy of an image, or of an index with all its images.

    :ivar format: format of an index, ``oci`` or ``v2s2``.
    :ivar enforces_policy: apply the route's policy, to every image of an index. False for signatures, which are not
        signed themselves.
    """

    source: Reference
    destination: Reference
    is_index: bool
    format: str
    enforces_policy: bool = True

    def __str__(self) -> str:
        return f"{self.source} to {self.destination.repository}"
