"""``nodes:`` of a mirrors file: pools of machines with the same pull configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from registry_sync.config.images.image_lists import split_image
from registry_sync.config.notify import Notifier
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest, Reference
from registry_sync.tags.rules import TagRules
from registry_sync.text import quoted

Runtime = Literal["docker", "containerd", "crio", "k3s", "talos"]

ImageStore = Literal["classic", "containerd"]
"""The place where dockerd keeps images. With containerd's store it pulls, and falls back, as containerd does."""

MirrorTrust = Literal["pull+resolve", "pull"]
"""The trust of a machine in a mirror: to resolve tags to digests and serve content (``pull+resolve``), or only to serve
content by a digest that the registry itself returned (``pull``).
https://github.com/containerd/containerd/blob/main/docs/hosts.md#capabilities
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolMirror:
    """A registry that machines try before the registry of an image's name."""

    registry: str
    trust: MirrorTrust = "pull+resolve"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapImage:
    """An image that a machine needs to start. ``tags`` are the rules for its tags, ``None``: all of them.

    ``is_named``: it is named as manifests name it. A list has the images of other teams too: one that no route brings
    to a mirror is a finding of the audit and of the readiness checks, and does not make the file invalid.
    """

    repository: str
    tags: TagRules | None = None
    is_named: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedImage:
    """A bootstrap image by its whole name, at any registry. ``tag`` is empty where only a digest is written."""

    name: str
    tag: str
    digest: Digest | None = None

    def __str__(self) -> str:
        tag, digest = (f"{mark}{part}" if part else "" for mark, part in ((":", self.tag), ("@", self.digest)))
        return f"{self.name}{tag}{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePool:
    """A pool of machines.

    ``registry`` is the registry of image names. ``version`` is the text of ``versions``, if it is written. ``images``
    has the ``named_images`` too, by their names at ``registry``, except the ``unplaced`` ones: no route brings those
    there, or they have no tag. ``image_store`` is that of dockerd, if it is written. ``notify`` are the notifiers for
    machines that would not start. ``pull_order``: the registries in the order in which machines try them, each with
    whether it resolves tags.
    """

    name: str
    registry: str
    description: str = ""
    pool_mirrors: tuple[PoolMirror, ...] = ()
    images: tuple[BootstrapImage, ...] = ()
    named_images: tuple[NamedImage, ...] = ()
    unplaced: tuple[NamedImage, ...] = ()
    runtime: Runtime | None = None
    version: str | None = None
    versions: Versions = Versions()
    image_store: ImageStore | None = None
    notify: tuple[Notifier, ...] = ()
    pull_order: tuple[tuple[str, bool], ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        mirrors = [(mirror.registry, mirror.trust == "pull+resolve") for mirror in self.pool_mirrors]
        object.__setattr__(self, "pull_order", (*mirrors, (self.registry, True)))


def parse_image(text: str) -> NamedImage:
    """Read the name of an image. :raises ConfigurationError: when it is not one."""
    name, suffix, tag = split_image(text)
    before, at, digest = suffix.partition("@")
    Reference.parse(f"{name}:{tag}")
    try:
        return NamedImage(name=name, tag="" if at and not before else tag, digest=Digest.parse(digest) if at else None)
    except ValueError as error:
        raise ConfigurationError(
            f"{quoted(text)}: {error}; a digest is sha256: and 64 digits of 0-9 and a-f"
        ) from error


def check_image(text: str) -> str:
    """Return ``text`` if it is the name of an image. :raises ConfigurationError: when it is not."""
    parse_image(text)
    return text
