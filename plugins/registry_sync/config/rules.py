"""An entry of ``repositories:``, one repository or a namespace: as it may be written, and its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from registry_sync.config.fields import (
    NamespaceName,
    Rename,
    RepositoryName,
)
from registry_sync.config.settings import RouteOptions, RouteSettings, written_options
from registry_sync.config.tag_rules import Patterns
from registry_sync.tags.patterns import Pattern, first_match
from registry_sync.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRule:
    """One repository to mirror. ``written_options`` are the options that the rule itself writes."""

    repository: str
    rename: str | None = None
    settings: RouteSettings = RouteSettings()
    written_options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRule:
    """All repositories of a namespace, which is listed when a run starts."""

    namespace: str
    include: tuple[Pattern, ...] | None = None
    exclude: tuple[Pattern, ...] | None = None
    include_private: bool = False
    rename: str | None = None
    settings: RouteSettings = RouteSettings()
    written_options: frozenset[str] = frozenset()

    def chooses(self, repository: str) -> bool:
        """Return whether the patterns choose ``repository``, the whole name of a repository in the namespace."""
        within = repository.removeprefix(f"{self.namespace}/")
        if self.include is not None and not first_match(self.include, within):
            return False
        return not first_match(self.exclude or (), within)

    def finds(self, repository: str) -> bool:
        """Return whether ``repository``, any whole name, is in the namespace and chosen."""
        return repository.startswith(f"{self.namespace}/") and self.chooses(repository)


Rule = RepositoryRule | NamespaceRule


def rule_summary(rule: Rule) -> str:
    """The rule in a few words of Markdown."""
    renamed = f" as `{rule.rename}`" if rule.rename else ""
    if isinstance(rule, RepositoryRule):
        return f"`{rule.repository}`{renamed}"
    which = f" matching {_code(rule.include)}" if rule.include else ""
    but = f" but {_code(rule.exclude)}" if rule.exclude else ""
    return f"all of `{rule.namespace}`{which}{but}{renamed}"


def _code(patterns: tuple[Pattern, ...]) -> str:
    others = f" and {len(patterns) - MAX_PATTERNS} more" if len(patterns) > MAX_PATTERNS else ""
    return ", ".join(f"`{pattern}`" for pattern in patterns[:MAX_PATTERNS]) + others


MAX_PATTERNS = 10
"""Patterns of a namespace that its summary names."""


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
            settings=RouteSettings.resolve(*outer, self),
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
            settings=RouteSettings.resolve(*outer, self),
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
