"""An entry of ``repositories:``: one repository, or a namespace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from registry_sync.config.entries.fields import NamespaceName, Rename, RepositoryName
from registry_sync.config.entries.settings import RouteOptions, resolve_settings, written_options
from registry_sync.config.entries.tag_rules import Patterns
from registry_sync.config.rules import NamespaceRule, RepositoryRule
from registry_sync.text import quoted


def or_list(key: str) -> Callable[[dict[str, Any]], None]:
    """Add to the schema of a list that a mapping with ``key`` may name files with images instead."""

    def extend(schema: dict[str, Any]) -> None:
        files = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
        described = {**files, "description": "File with images, beside the mirrors file; or several"}
        entries = {name: schema.pop(name) for name in ("items", "minItems", "type") if name in schema}
        mapping = {"type": "object", "required": [key], "properties": {key: described}}
        schema |= {"if": {"type": "object"}, "then": mapping, "else": entries}

    return extend


class RepositoryEntry(RouteOptions):
    """One repository to mirror. It keeps its name at the destination unless renamed."""

    repository: RepositoryName = Field(description="Name without the registry, such as giantswarm/hyperkube")
    rename: Rename | None = Field(
        None, description="Whole name at the destinations, or a Jinja2 template such as copies/{{ name }}"
    )

    def parse(self, outer: tuple[RouteOptions, ...] = ()) -> RepositoryRule:
        """The rule within its outer levels."""
        return RepositoryRule(
            repository=self.repository,
            rename=self.rename,
            settings=resolve_settings(*outer, self),
            written_options=written_options(self),
        )


class NamespaceEntry(RouteOptions):
    """All repositories of a namespace, which is listed when a run starts."""

    namespace: NamespaceName = Field(description="First part of the names, such as giantswarm")
    include: Patterns | None = Field(
        None,
        description="Patterns of names within the namespace to mirror: globs, or /regular expressions/; default: all",
    )
    exclude: Patterns | None = Field(None, description="Patterns of names within the namespace to exclude")
    include_private: bool = Field(False, description="true: also mirror repositories that are not public")
    rename: Rename | None = Field(
        None, description="Jinja2 template for the names at the destinations, such as copies/{{ name }}"
    )

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        """Refuse patterns of whole names: in ``exclude`` they would silently exclude nothing."""
        start = f"{self.namespace}/"
        texts = (pattern.text for pattern in (*(self.include or ()), *(self.exclude or ())))
        if whole := next((text for text in texts if text.startswith(start)), None):
            advice = f"patterns match the name within the namespace; write {quoted(whole.removeprefix(start))}"
            raise ValueError(f"{quoted(whole)} begins with the namespace, but {advice}")
        return self

    def parse(self, outer: tuple[RouteOptions, ...] = ()) -> NamespaceRule:
        """The rule within its outer levels."""
        return NamespaceRule(
            namespace=self.namespace,
            include=self.include,
            exclude=self.exclude,
            include_private=self.include_private,
            rename=self.rename,
            settings=resolve_settings(*outer, self),
            written_options=written_options(self),
        )


def _form_of_rule(written: Any) -> str | None:
    """The form of an entry of ``repositories:``: a bare name, or a mapping with one of two keys."""
    match written:
        case str():
            return "name"
        case RepositoryEntry():
            return "repository"
        case NamespaceEntry():
            return "namespace"
        case Mapping() if ("repository" in written) != ("namespace" in written):
            return "repository" if "repository" in written else "namespace"
    return None


WrittenRule = Annotated[
    Annotated[RepositoryName, Tag("name")]
    | Annotated[RepositoryEntry, Tag("repository")]
    | Annotated[NamespaceEntry, Tag("namespace")],
    Discriminator(_form_of_rule),
]
