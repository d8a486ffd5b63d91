"""Entries of ``nodes:``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Field, Tag

from registry_sync.config.entries.fields import RepositoryName, Strict, checked_by
from registry_sync.config.entries.notify import WrittenNotifiers
from registry_sync.config.entries.rules import or_list
from registry_sync.config.entries.tag_rules import WrittenTags
from registry_sync.config.node_pools import (
    BootstrapImage,
    ImageStore,
    MirrorTrust,
    NodePool,
    PoolMirror,
    Runtime,
    check_image,
    parse_image,
)
from registry_sync.config.runtime_versions import Versions, check_versions


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
