"""Rules of ``repositories:``: one repository, or a namespace."""

from __future__ import annotations

from dataclasses import dataclass

from registry_sync.config.settings import RouteSettings
from registry_sync.tags.patterns import Pattern, first_match

MAX_PATTERNS = 10
"""Patterns of a namespace that its summary names."""


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
