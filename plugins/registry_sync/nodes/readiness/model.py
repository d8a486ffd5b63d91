"""Readiness checks and their results, as values that cross XCom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from registry_sync.config.as_json import as_json, registry_as_json
from registry_sync.config.entries.from_json import registry_from_json
from registry_sync.config.registry import Registry
from registry_sync.oci.reference import Digest, Repository
from registry_sync.tags.overwrite_policy import FOLLOW, OverwritePolicies, parse_policies

Fault = Literal["absent", "silent", "handshake", "incomplete", "unreadable", "damaged", "wrong", "slow", "unchecked"]
"""A fault of an image at a registry. Runtimes react differently to each.

absent: the registry quickly returns an error, or refuses the connection. silent: it neither accepts nor refuses the
connection (packets dropped). handshake: it accepts the connection, and never answers the TLS handshake (a load
balancer without living servers). incomplete: a platform or a blob is missing. unreadable: it returns something other
than a manifest, such as a log-in page. damaged: bytes do not match their digest or size. wrong: the tag names another
image. slow: a response takes too long, even if it is an error. unchecked: the check had no result.
"""

PoolRole = Literal["mirror", "fallback", "sole"]
"""The role of a registry in a pool.

mirror: nodes try it before the pool's own registry. fallback: it is the pool's own registry, behind at least one mirror
that is trusted with tags. sole: it is the pool's own registry and the only one that is trusted with tags.
"""


PIN_LENGTH = len("sha256:") + 12
"""Characters of a digest in tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A tag that nodes need, and the digest that it should have.

    ``digest`` is ``None`` when it cannot be compared; ``not_compared`` is then the reason. ``said_by`` is the registry
    that the digest is from, and when. ``is_pinned``: nodes pull the digest, whatever the tag names. ``problem``, if not
    empty, is the reason that the tag cannot be checked at all, such as a tag that its source does not have; ``advice``
    is the end of that text, as in :class:`ImageReadiness`.
    """

    tag: str
    digest: Digest | None = None
    said_by: str = ""
    not_compared: str = ""
    problem: str = ""
    advice: str = ""
    is_pinned: bool = False

    @classmethod
    def unknown(cls, tag: str, seen: str, advice: str) -> Self:
        """A tag that cannot be checked."""
        return cls(tag=tag, problem=f"{seen}; {advice}", advice=advice)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "digest": _to_text(self.digest)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the output of :meth:`to_json`."""
        return cls(**{**document, "digest": _parse_optional(document["digest"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCheck:
    """A bootstrap image of a pool, to be checked at one registry that the pool pulls from, by one mapped task.

    ``resolves``: nodes take tags from the registry, and not only bytes whose digest they know. ``copied_by`` is the
    mirror that copies the image there, ``None`` where it is pushed. ``on_moved_tag`` is that mirror's policy for tags
    that name another image at its destination.
    """

    pool: str
    registry: Registry
    repository: Repository
    tags: tuple[Expected, ...]
    resolves: bool = True
    copied_by: str | None = None
    on_moved_tag: OverwritePolicies = FOLLOW
    role: PoolRole = "mirror"

    @property
    def label(self) -> str:
        """The name of the check in Airflow's UI: ``outside_china: giantswarm/pause from acr``."""
        return f"{self.pool}: {self.repository.name} from {self.registry.name}"

    def image(self, expected: Expected) -> str:
        """The name of an image in tables: without its registry, because every registry should have the same image.

        A pinned one has the beginning of its digest: nodes may run several images of one tag.
        """
        pin = f"@{str(expected.digest)[:PIN_LENGTH]}" if expected.is_pinned else ""
        return f"{self.repository.name}:{expected.tag}{pin}"

    def to_json(self) -> dict[str, Any]:
        """The check as JSON-simple values, for XCom."""
        return {
            "label": self.label,
            "pool": self.pool,
            "registry": registry_as_json(self.registry),
            "repository": self.repository.name,
            "tags": [expected.to_json() for expected in self.tags],
            "resolves": self.resolves,
            "copied_by": self.copied_by,
            "on_moved_tag": as_json(self.on_moved_tag),
            "role": self.role,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the output of :meth:`to_json`."""
        registry = registry_from_json(document["registry"])
        return cls(
            pool=document["pool"],
            registry=registry,
            repository=Repository(registry.host, document["repository"]),
            tags=tuple(map(Expected.from_json, document["tags"])),
            resolves=document["resolves"],
            copied_by=document["copied_by"],
            on_moved_tag=parse_policies(dict(document["on_moved_tag"])),
            role=document["role"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReadiness:
    """The result for one image at one registry: ready, or the first fault that was found.

    ``problem`` says what was seen and what to do, and is empty when the image is ready. It ends with ``advice``, which
    a report prints once for several images. ``note`` says what could not be compared. ``size_bytes`` counts all blobs
    of the image; ``read_bytes`` of them were downloaded and hashed.
    """

    pool: str
    image: str
    registry: str
    fault: Fault | None = None
    problem: str = ""
    advice: str = ""
    note: str = ""
    digest: Digest | None = None
    platforms: tuple[str, ...] = ()
    blobs: int = 0
    size_bytes: int = 0
    read_bytes: int = 0
    slowest_seconds: float = 0.0

    @property
    def is_ready(self) -> bool:
        return self.fault is None

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-simple values, for XCom and programs."""
        return {**asdict(self), "digest": _to_text(self.digest), "platforms": list(self.platforms)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the output of :meth:`to_json`."""
        parsed = {"digest": _parse_optional(document["digest"]), "platforms": tuple(document["platforms"])}
        return cls(**{**document, **parsed})

    @classmethod
    def unchecked(cls, check: EndpointCheck, expected: Expected, problem: str, advice: str = "") -> Self:
        """An image that was not checked."""
        return cls(
            pool=check.pool,
            image=check.image(expected),
            registry=check.registry.name,
            fault="unchecked",
            problem=problem,
            advice=advice,
        )


def _to_text(digest: Digest | None) -> str | None:
    return None if digest is None else str(digest)


def _parse_optional(text: str | None) -> Digest | None:
    return None if text is None else Digest.parse(text)
