"""What a mirrors file says under ``nodes:``, as values: pools of machines that pull alike, and what they pull by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from registry_sync.config.fields import RepositoryName, Strict, Word, raising_value_error
from registry_sync.config.runtime_versions import Versions, check_versions
from registry_sync.tags.rules import TagRules

Runtime = Literal["docker", "containerd", "crio", "k3s", "talos"]

MirrorTrust = Literal["pull+resolve", "pull"]
"""What a machine believes a mirror: which digest a tag names as well (``pull+resolve``), or only bytes whose digest it
knows from the registry itself (``pull``). https://github.com/containerd/containerd/blob/main/docs/hosts.md#capabilities
"""


class PoolMirror(Strict):
    """A registry that machines ask before the one that an image's name stands for."""

    registry: str = Field(description="Name of the registry; it has to be private: true, and readable anonymously")
    trust: MirrorTrust = Field(
        "pull+resolve",
        description="pull: only for bytes whose digest the registry itself has named, so that no tag is taken from it",
    )


class BootstrapImage(Strict):
    """An image without which a machine does not start."""

    repository: RepositoryName = Field(description="Its name at the pool's registry, such as giantswarm/hyperkube")
    tags: TagRules | None = Field(None, description="Which of its tags; without it all")


def _form(written: Any) -> str | None:
    """Which form an entry of ``mirrors:`` or ``bootstrap_images:`` has: a bare name, or a mapping."""
    match written:
        case str():
            return "name"
        case Mapping() | BaseModel():
            return "mapping"
    return None


WrittenMirror = Annotated[
    Annotated[str, Tag("name")] | Annotated[PoolMirror, Tag("mapping")],
    Discriminator(_form, "form", "expected a registry's name, or a mapping with registry:"),
]

WrittenImage = Annotated[
    Annotated[RepositoryName, Tag("name")] | Annotated[BootstrapImage, Tag("mapping")],
    Discriminator(_form, "form", "expected a repository name, or a mapping with repository:"),
]


class NodePoolEntry(Strict):
    """An entry of ``nodes:`` as it is written."""

    description: str = Field("", description="Which machines these are")
    registry: str = Field(
        description="Name of the registry that image names stand for, and that machines fall back to from the mirrors"
    )
    mirrors: tuple[WrittenMirror, ...] = Field(
        (), description="What machines ask before it, in order; without it they pull from the registry outright"
    )
    bootstrap_images: tuple[WrittenImage, ...] = Field(
        (), description="What a machine needs to start; each has to be mirrored to all that it is pulled from"
    )
    runtime: Runtime | None = Field(None, description="What pulls on these machines")
    version: Annotated[str, raising_value_error(check_versions)] | None = Field(
        None, description="Versions of it on these machines, such as '>=1.7' or '>=1.7, <2'"
    )


class NodePool(NodePoolEntry):
    """A pool by its name in the mirrors file."""

    name: Word

    @property
    def pool_mirrors(self) -> tuple[PoolMirror, ...]:
        """The entries of ``mirrors``; a bare name is one that is trusted with tags."""
        return tuple(PoolMirror(registry=each) if isinstance(each, str) else each for each in self.mirrors)

    @property
    def images(self) -> tuple[BootstrapImage, ...]:
        """The entries of ``bootstrap_images``; a bare name is one with all its tags."""
        return tuple(
            BootstrapImage(repository=each) if isinstance(each, str) else each for each in self.bootstrap_images
        )

    @property
    def versions(self) -> Versions:
        """The versions of the runtime; without ``version`` any."""
        return Versions.parse(self.version) if self.version else Versions()
