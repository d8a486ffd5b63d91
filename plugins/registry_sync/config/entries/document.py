"""A whole mirrors file, as it may be written."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from registry_sync.config.entries.fields import Slug, VariableName
from registry_sync.config.entries.mirror import MirrorEntry, MirrorHeader, MirrorOptions
from registry_sync.config.entries.node_pools import NodePoolEntry
from registry_sync.config.entries.registry import RegistryEntry


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
