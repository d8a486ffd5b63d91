"""``nodes:`` of a mirrors file: pools of machines with the same pull configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from registry_sync.config.fields import RepositoryName, Strict, checked_by
from registry_sync.config.images.image_lists import split_image
from registry_sync.config.notify import Notifier, WrittenNotifiers
from registry_sync.config.rules import or_list
from registry_sync.config.runtime_versions import Versions, check_versions
from registry_sync.config.tag_rules import WrittenTags
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


class PoolMirrorEntry(Strict):
    """A registry that machines try before the registry of an image's name."""

    registry: str = Field(description="Name of the registry; it must have private: true, and allow anonymous pulls")
    trust: MirrorTrust = Field(
        "pull+resolve",
        description="pull+resolve: the mirror also resolves tags to digests; pull: it only serves content by digest",
    )


class BootstrapImageEntry(Strict):
    """An image that a machine needs to start."""

    repository: RepositoryName = Field(
        description="Name of the repository at the pool's registry, such as giantswarm/hyperkube"
    )
    tags: WrittenTags | None = Field(None, description="Tags that machines need; default: all")


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


class NamedImageEntry(Strict):
    """An image that a machine needs to start, as manifests name it."""

    image: Annotated[str, checked_by(check_image)] = Field(
        description="Name with registry and tag, such as quay.io/giantswarm/pause:3.9; routes give its name at the "
        "pool's registry"
    )


def _image_form(written: Any) -> str | None:
    if isinstance(written, NamedImageEntry) or (isinstance(written, Mapping) and "image" in written):
        return "image"
    return _form(written)


def _form(written: Any) -> str | None:
    """The form of an entry of ``mirrors:`` or ``bootstrap_images:``: a bare name, or a mapping."""
    match written:
        case str():
            return "name"
        case Mapping() | BaseModel():
            return "mapping"
    return None


WrittenMirror = Annotated[
    Annotated[str, Tag("name")] | Annotated[PoolMirrorEntry, Tag("mapping")],
    Discriminator(_form, "form", "expected a registry's name, or a mapping with registry:"),
]

WrittenImage = Annotated[
    Annotated[RepositoryName, Tag("name")]
    | Annotated[BootstrapImageEntry, Tag("mapping")]
    | Annotated[NamedImageEntry, Tag("image")],
    Discriminator(_image_form, "form", "expected a repository name, or a mapping with repository: or image:"),
]


class NodePoolEntry(Strict):
    """A pool of machines, under its name in ``nodes:``."""

    description: str = Field("", description="The machines of this pool")
    registry: str = Field(description="Name of the registry in the image names; machines try it after the mirrors")
    mirrors: tuple[WrittenMirror, ...] = Field(
        (), description="Registries that machines try first, in this order; default: none"
    )
    bootstrap_images: tuple[WrittenImage, ...] = Field(
        (),
        description="Images that a machine needs to start; each must be mirrored to every registry that serves it",
        json_schema_extra=or_list("from"),
    )
    runtime: Runtime | None = Field(None, description="Container runtime of the machines")
    version: Annotated[str, checked_by(check_versions)] | None = Field(
        None, description="Versions of the runtime on the machines, such as '>=1.7' or '>=1.7, <2'"
    )
    image_store: ImageStore | None = Field(
        None,
        description="Image store of runtime: docker: containerd, if its features have containerd-snapshotter: true, or "
        "classic; default: containerd if the machines may have Docker 29 or later",
    )
    notify: WrittenNotifiers | None = Field(
        None,
        description="Notifiers that get a message when machines would not start, when that is unknown, and when "
        "they would again; default: those of defaults:",
    )

    def parse(self, name: str, notify: WrittenNotifiers | None = None) -> NodePool:
        """The pool as a value. ``notify`` are the notifiers of ``defaults:``."""
        notifiers = self.notify if "notify" in self.model_fields_set else notify
        return NodePool(
            name=name,
            description=self.description,
            registry=self.registry,
            pool_mirrors=tuple(map(_parse_mirror, self.mirrors)),
            images=tuple(
                _parse_image(image) for image in self.bootstrap_images if not isinstance(image, NamedImageEntry)
            ),
            named_images=tuple(
                parse_image(image.image) for image in self.bootstrap_images if isinstance(image, NamedImageEntry)
            ),
            runtime=self.runtime,
            version=self.version,
            versions=Versions.parse(self.version) if self.version else Versions(),
            image_store=self.image_store,
            notify=tuple(entry.parse() for entry in notifiers or ()),
        )


def _parse_mirror(written: str | PoolMirrorEntry) -> PoolMirror:
    """A bare name is a mirror that may resolve tags."""
    if isinstance(written, str):
        return PoolMirror(registry=written)
    return PoolMirror(registry=written.registry, trust=written.trust)


def _parse_image(written: str | BootstrapImageEntry) -> BootstrapImage:
    """A bare name is an image with all its tags."""
    if isinstance(written, str):
        return BootstrapImage(repository=written)
    return BootstrapImage(repository=written.repository, tags=written.tags)
