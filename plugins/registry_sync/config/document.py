"""A whole mirrors file: as it may be written, and its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from registry_sync.config.fields import (
    Slug,
    VariableName,
)
from registry_sync.config.mirror import Mirror, MirrorEntry, MirrorHeader, MirrorOptions
from registry_sync.config.node_pools import NodePool, NodePoolEntry
from registry_sync.config.registry import Registry, RegistryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorsFile:
    """A whole mirrors file, checked; names are unique and every name that is used exists.

    :ivar note: says that this is an earlier text of the file, because the present one cannot be read; else empty.
    :ivar path: of the file, or of the folder with several.
    :ivar mirror_files: the file of each mirror.
    :ivar problems: mistakes in the file, each as ``file:line: message``. Mirrors and node pools with one are left out.
    """

    path: Path
    registries: Mapping[str, Registry]
    mirrors: Mapping[str, Mirror]
    node_pools: Mapping[str, NodePool] = field(default_factory=dict)
    note: str = ""
    problems: tuple[str, ...] = ()
    mirror_files: Mapping[str, Path] = field(default_factory=dict)


class MirrorsDocument(BaseModel):
    """Container registries, and the mirrors that keep them in sync."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        title="Mirrors file of registry_sync",
        json_schema_extra={"patternProperties": {"^x-": {"description": "Values for YAML anchors; ignored"}}},
    )

    env: tuple[VariableName, ...] = Field(
        (), description="Variables of the environment that replace ${NAME} in values; not for secrets"
    )

    registries: Mapping[Slug, RegistryEntry] = Field(
        description="Registries, by a name of your choice", json_schema_extra={"additionalProperties": False}
    )
    defaults: MirrorOptions = Field(MirrorOptions(), description="Default options of all mirrors")
    mirrors: Mapping[Slug, MirrorEntry] = Field(
        description="Mirrors; each becomes the DAG mirror_NAME",
        json_schema_extra={"additionalProperties": False},
    )
    nodes: Mapping[Slug, NodePoolEntry] = Field(
        {},
        description="Pools of machines, and the registries that they pull from",
        json_schema_extra={"additionalProperties": False},
    )


class HeadersDocument(MirrorsDocument):
    """A mirrors file without the rules of its mirrors."""

    mirrors: Mapping[Slug, MirrorHeader]  # type: ignore[assignment]
