"""What a node would get from one registry: anonymously, every platform and every blob of an image, in good time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from typing import Any, Literal, Self, TypeVar

from registry_sync.config.model import Registry
from registry_sync.config.written import read_registry, written
from registry_sync.errors import (
    ConnectTimeout,
    DamagedContent,
    DeniedError,
    NotAManifest,
    NotFound,
    RefusedError,
    RegistrySyncError,
    ResponseTimeout,
)
from registry_sync.oci.manifest import Descriptor, Manifest
from registry_sync.oci.reference import Digest, Reference, Repository
from registry_sync.registry.client import PullClient
from registry_sync.tags.overwrite_policy import FOLLOW, OverwritePolicies, parse_policies, policy_of
from registry_sync.text_table import human_bytes

Fault = Literal["absent", "silent", "incomplete", "unreadable", "damaged", "wrong", "slow", "unchecked"]
"""What is wrong with an image at a registry, by what a runtime makes of it.

absent: the registry answers quickly with an error, or refuses the connection. silent: it takes no connection, and
refuses none. incomplete: a platform or a blob is absent. unreadable: it answers with something else than a manifest,
such as a log-in page. damaged: bytes are not what their digest or size says. wrong: the tag names another image. slow:
an answer takes too long, or an error does. unchecked: we could not tell.
"""

PoolPlace = Literal["mirror", "fallback", "sole"]
"""Where a registry stands in a pool: before another, behind mirrors that are trusted with tags, or without such."""

REQUEST_SECONDS = 6.0

READ_BYTES = 50_000_000

SLOWEST_BYTES_PER_SECOND = 100_000
"""A registry that sends blobs slower than that is slow: 100 MB would take a quarter of an hour."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``request_seconds``: how long a manifest or a look at a blob may take, log-in and redirects included.

    ``read_bytes``: how much of an image is read whole at one registry, besides its manifests; 0 is nothing.
    """

    request_seconds: float = REQUEST_SECONDS
    read_bytes: int = READ_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The digest that a tag should name, and who says so; ``None``: nobody could be asked.

    ``problem`` is why there is nothing to look for, such as a tag that its source does not have; otherwise empty.
    """

    tag: str
    digest: Digest | None
    said_by: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCheck:
    """A bootstrap image of a pool, to be looked at in one registry that the pool pulls from. One mapped task each.

    ``resolves``: nodes take tags from there, and not only bytes whose digest they know. ``copied_by`` is the mirror
    that brings the image there, ``None`` where it is pushed; ``on_moved_tag`` is what that does with moved tags.
    """

    pool: str
    registry: Registry
    repository: Repository
    tags: tuple[Expected, ...]
    resolves: bool = True
    copied_by: str | None = None
    on_moved_tag: OverwritePolicies = FOLLOW
    place: PoolPlace = "mirror"

    @property
    def label(self) -> str:
        """What people see: ``outside_china: giantswarm/pause from acr``."""
        return f"{self.pool}: {self.repository.name} from {self.registry.name}"

    def image(self, tag: str) -> str:
        """An image as tables name it: without its registry, since it is the same image at each."""
        return f"{self.repository.name}:{tag}"

    def to_json(self) -> dict[str, Any]:
        """The check as JSON-simple values, for XCom."""
        return {
            "label": self.label,
            "pool": self.pool,
            "registry": written(self.registry),
            "repository": self.repository.name,
            "tags": [{**asdict(each), "digest": str(each.digest) if each.digest else None} for each in self.tags],
            "resolves": self.resolves,
            "copied_by": self.copied_by,
            "on_moved_tag": written(self.on_moved_tag),
            "place": self.place,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        registry = read_registry(document["registry"])
        tags = (
            Expected(**{**each, "digest": Digest.parse(each["digest"]) if each["digest"] else None})
            for each in document["tags"]
        )
        return cls(
            pool=document["pool"],
            registry=registry,
            repository=Repository(registry.host, document["repository"]),
            tags=tuple(tags),
            resolves=document["resolves"],
            copied_by=document["copied_by"],
            on_moved_tag=parse_policies(dict(document["on_moved_tag"])),
            place=document["place"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReadiness:
    """One image at one registry: ready, or with the first fault that was met. JSON-simple, for XCom and programs.

    ``problem`` says what was seen and what to do, and is empty when the image is ready; ``note`` says what could not be
    looked at. ``size_bytes`` is that of all its blobs, of which ``read_bytes`` were read whole.
    """

    pool: str
    image: str
    registry: str
    fault: Fault | None = None
    problem: str = ""
    note: str = ""
    digest: str | None = None
    platforms: tuple[str, ...] = ()
    blobs: int = 0
    size_bytes: int = 0
    read_bytes: int = 0
    slowest_seconds: float = 0.0

    @property
    def is_ready(self) -> bool:
        return self.fault is None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "platforms": list(self.platforms)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(**{**document, "platforms": tuple(document["platforms"])})

    @classmethod
    def unchecked(cls, check: EndpointCheck, tag: str, problem: str) -> Self:
        """An image of which nothing is known."""
        return cls(
            pool=check.pool, image=check.image(tag), registry=check.registry.name, fault="unchecked", problem=problem
        )


def check_endpoint(check: EndpointCheck, client: PullClient, limits: Limits, today: date) -> list[ImageReadiness]:
    """Look at each tag of a bootstrap image in one registry; a fault of one does not hide the others.

    :param client: of that registry, without credentials.
    :param today: chooses which blobs are read whole.
    """
    return [_check_image(check, each, _Pull(client, check.repository, limits), today) for each in check.tags]


def _check_image(check: EndpointCheck, expected: Expected, pull: _Pull, today: date) -> ImageReadiness:
    if expected.problem:
        return ImageReadiness.unchecked(check, expected.tag, expected.problem)
    fault: Fault | None = None
    problem = ""
    try:
        pull.read_manifests(expected, by_tag=check.resolves)
        pull.look_at_blobs(today)
    except _FaultError as met:
        fault, problem = met.fault, f"{met}; {_advice(met, check, expected.tag)}"
    return ImageReadiness(
        pool=check.pool,
        image=check.image(expected.tag),
        registry=check.registry.name,
        fault=fault,
        problem=problem,
        note="" if expected.digest else f"its digest was compared with no other, {expected.said_by}",
        digest=str(pull.digest) if pull.digest else None,
        platforms=tuple(sorted(pull.platforms)),
        blobs=len(pull.sizes),
        size_bytes=sum(pull.sizes.values()),
        read_bytes=pull.read_bytes,
        slowest_seconds=round(pull.slowest_seconds, 3),
    )


class _FaultError(Exception):
    """The first thing that is wrong with an image; its cause, where it has one, is what the client raised."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault: Fault = fault


_FaultsByError = tuple[tuple[type[RegistrySyncError], Fault], ...]

_ALWAYS: _FaultsByError = (
    (NotAManifest, "unreadable"),
    (ResponseTimeout, "slow"),
    (ConnectTimeout, "silent"),
    (DamagedContent, "damaged"),
)

_OF_IMAGE: _FaultsByError = (*_ALWAYS, (RefusedError, "unreadable"), (RegistrySyncError, "absent"))

_OF_PLATFORM: _FaultsByError = (*_ALWAYS, (RefusedError, "unreadable"), (RegistrySyncError, "incomplete"))

_OF_BLOB: _FaultsByError = (*_ALWAYS, (RegistrySyncError, "incomplete"))
"""What an error means: for the manifest that a tag names, for those of its platforms, and for their blobs."""


class _Pull:
    """The requests for one image in the order in which a node sends them, each against the clock; what they showed."""

    def __init__(self, client: PullClient, repository: Repository, limits: Limits) -> None:
        self._client, self._repository, self._limits = client, repository, limits
        self.digest: Digest | None = None
        self.platforms: set[str] = set()
        self.sizes: dict[Digest, int] = {}
        self.read_bytes = 0
        self.slowest_seconds = 0.0

    def read_manifests(self, expected: Expected, *, by_tag: bool) -> None:
        """Resolve the tag, or look for the digest that another registry named, and read all manifests from there on.

        :raises _FaultError: as all methods here do.
        """
        target = expected.tag if by_tag or expected.digest is None else expected.digest
        head = partial(self._client.head_manifest, self._repository, target)
        digest = self._timed(f"a look at {Reference(self._repository, target)}", _OF_IMAGE, head)
        if digest is None:
            raise _FaultError("absent", f"{Reference(self._repository, target)} is not there")
        self.digest = digest
        manifest = self._get(digest, _OF_IMAGE)
        if expected.digest and digest != expected.digest:
            tag = Reference(self._repository, expected.tag)
            raise _FaultError("wrong", f"{tag} is {digest} there, and {expected.digest} by {expected.said_by}")
        self._descend(manifest)

    def look_at_blobs(self, today: date) -> None:
        """Ask for the size of every blob, and read some of them whole."""
        for digest, size_bytes in self.sizes.items():
            head = partial(self._client.head_blob, self._repository, digest)
            found = self._timed(f"a look at blob {digest}", _OF_BLOB, head)
            self._check_size(digest, size_bytes, found)
        for digest in choose_reads(self.sizes, self._limits.read_bytes, today):
            self.read_bytes += self._read(digest)

    def _read(self, digest: Digest) -> int:
        """A blob, whole, for which there is time by its size."""
        started = time.monotonic()
        try:
            size_bytes = self._client.read_blob(self._repository, digest)
        except RegistrySyncError as error:
            raise _FaultError(_fault_of(error, _OF_BLOB), str(error)) from error
        seconds = time.monotonic() - started
        allowed = self._limits.request_seconds + size_bytes / SLOWEST_BYTES_PER_SECOND
        if seconds > allowed:
            took = f"reading the {human_bytes(size_bytes)} of blob {digest} took {seconds:.1f} s"
            raise _FaultError("slow", f"{took}, more than {allowed:.1f} s")
        return size_bytes

    def _descend(self, manifest: Manifest) -> None:
        self.sizes |= {each.digest: each.size_bytes for each in manifest.blobs if not _is_elsewhere(each)}
        for child in manifest.children:
            if not _is_attestation(child):
                if child.platform:
                    self.platforms.add(str(child.platform))
                self._descend(self._get(child.digest, _OF_PLATFORM))

    def _get(self, digest: Digest, faults: _FaultsByError) -> Manifest:
        get = partial(self._client.get_manifest, self._repository, digest)
        return self._timed(f"reading {Reference(self._repository, digest)}", faults, get)

    def _check_size(self, digest: Digest, expected: int, found: int | None) -> None:
        if found not in (None, expected):
            blob = f"blob {digest} of {self._repository}"
            raise _FaultError("damaged", f"{blob} has {found} bytes there, and {expected} by its manifest")

    def _timed(self, what: str, faults: _FaultsByError, call: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            found = call()
        except RegistrySyncError as error:
            fault = _fault_of(error, faults)
            self._stop(what, started, fault, error)
            raise _FaultError(fault, f"{what}: {error}" if isinstance(error, RefusedError) else str(error)) from error
        self._stop(what, started)
        return found

    def _stop(
        self, what: str, started: float, fault: Fault | None = None, error: RegistrySyncError | None = None
    ) -> None:
        """:raises _FaultError: when it took too long; an error that comes late has been waited for as well."""
        seconds = time.monotonic() - started
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if seconds > self._limits.request_seconds and fault not in ("silent", "slow"):
            took = f"{what} took {seconds:.1f} s, more than {self._limits.request_seconds:g} s"
            raise _FaultError("slow", f"{took}, and ended with: {error}" if error else took) from error


def _fault_of(error: RegistrySyncError, faults: _FaultsByError) -> Fault:
    return next(fault for each, fault in faults if isinstance(error, each))


def _is_attestation(child: Descriptor) -> bool:
    """BuildKit's provenance, which no node pulls: https://docs.docker.com/build/metadata/attestations/storage/."""
    return child.platform is not None and child.platform.os == "unknown"


def _is_elsewhere(blob: Descriptor) -> bool:
    """A layer of Windows that nodes get from Microsoft, and that a registry need not have.

    https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#non-distributable-layers
    """
    return "foreign" in blob.media_type or "nondistributable" in blob.media_type


def choose_reads(sizes: Mapping[Digest, int], budget_bytes: int, today: date) -> list[Digest]:
    """The blobs to read whole today, as many as fit into the budget. The order is another every day, and never chance.

    >>> a = Digest.of(b"a")
    >>> choose_reads({a: 10}, 10, date(2026, 1, 1)) == [a], choose_reads({a: 10}, 9, date(2026, 1, 1))
    (True, [])
    """
    chosen, left = [], budget_bytes
    for digest in sorted(sizes, key=lambda each: hashlib.sha256(f"{today}{each}".encode()).digest()):
        if sizes[digest] <= left:
            chosen.append(digest)
            left -= sizes[digest]
    return chosen


def _advice(met: _FaultError, check: EndpointCheck, tag: str) -> str:
    match met.fault:
        case "absent" | "incomplete" | "damaged":
            return _advice_on_content(met, check)
        case "wrong":
            return _advice_on_wrong(check, tag)
        case "unreadable":
            return "find out what answers in the registry's place, such as the log-in page of a proxy"
        case "silent" | "slow":
            return _advice_on_waiting(met.fault, check)
        case "unchecked":
            raise AssertionError("what was not looked at has no first fault")


def _advice_on_content(met: _FaultError, check: EndpointCheck) -> str:
    """By what was seen: an image is deleted only where that is what mends it, and never for an outage."""
    name, again, cause = check.registry.name, _copy_again(check), met.__cause__
    anew = again if met.fault == "absent" else f"delete the image there, then {again}"
    if cause is None or isinstance(cause, NotFound):
        return anew
    if isinstance(cause, DamagedContent):
        return f"check again, and if it stays so, {anew}"  # it may come from the way
    if isinstance(cause, DeniedError):
        return f"nodes do not log in: let everybody pull from {name}, and if the image is not there, {again}"
    does = "is up" if met.fault == "absent" else "serves it"
    has = "pull no tag" if check.place == "sole" else "have only the other registries of their pool"
    return f"until {name} {does} again, nodes {has}"


def _advice_on_wrong(check: EndpointCheck, tag: str) -> str:
    policy, written = policy_of(tag, check.on_moved_tag)
    if check.copied_by and policy != "follow":
        return f"{check.copied_by!r} leaves it so, since {written}: find out which of them is right"
    return f"{_copy_again(check)}, and find out who else can push there"


def _advice_on_waiting(fault: Literal["silent", "slow"], check: EndpointCheck) -> str:
    """The registry that names stand for cannot be taken out of its pool."""
    name, better = check.registry.name, "answers" if fault == "silent" else "is fast"
    match check.place:
        case "sole":
            return f"nodes pull no tag until {name} {better}"
        case "fallback":
            return f"nodes do not get what the mirrors before {name} lack until it {better}"
        case "mirror" if fault == "silent":
            return (
                "nodes wait for that at each pull before they ask the next registry, dockerd 15 s, CRI-O 60 s, "
                f"containerd 150 s (10 s from 2.1 on, as rendered): take {name} out of the pool until it answers"
            )
        case "mirror":
            return f"no runtime goes on to the next registry from that: take {name} out of the pool until it is fast"


def _copy_again(check: EndpointCheck) -> str:
    return f"run the mirror {check.copied_by!r}" if check.copied_by else "push it again"
