"""Repositories that earlier runs found in namespaces: those that the source does not list any more. Pure.

A repository disappears when it is deleted or renamed, and also when it becomes private, or when a token loses its
rights: the listing is shorter then, and nothing else shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule
from registry_sync.errors import ConfigurationError
from registry_sync.routes.discovery import Discovery, FailedRepository, failed_repository
from registry_sync.text import quoted

MAX_NAMES_IN_NOTE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneRepository:
    """A repository that a namespace rule would mirror, if the source listed it."""

    name: str
    rule: NamespaceRule


def find_gone(mirror: Mirror, earlier: Collection[str], found: Discovery) -> Iterator[GoneRepository]:
    """The repositories that an earlier run found and this one does not.

    Not those that the rules exclude now, and not those of a namespace that could not be listed.

    :param earlier: names of the source repositories that the earlier run found.
    """
    listed = {entry.route.source_repository.name for entry in found.routes}
    listed.update(failure.name for failure in found.failures)
    for name in sorted(set(earlier) - listed):
        rule = _namespace_of(mirror, name)
        if rule is not None and rule.namespace not in found.unlisted:
            yield GoneRepository(name=name, rule=rule)


def _namespace_of(mirror: Mirror, name: str) -> NamespaceRule | None:
    namespaces = (rule for rule in mirror.rules if isinstance(rule, NamespaceRule))
    return next((rule for rule in namespaces if name.startswith(f"{rule.namespace}/") and rule.chooses(name)), None)


def gone_failure(gone: GoneRepository, source: Registry) -> FailedRepository:
    """The failure of a repository that was found with ``include_private``, and must not vanish unnoticed."""
    namespace = gone.rule.namespace
    pattern = gone.name.removeprefix(f"{namespace}/")
    text = (
        f"an earlier run found it, and namespace {namespace!r} does not list it any more: it was deleted or renamed, "
        f"or the credentials lost their right to see it. Restore that right; if it is gone for good, "
        f"exclude {quoted(pattern)}"
    )
    return failed_repository(source, gone.name, ConfigurationError(text), gone.rule.settings)


def gone_note(gone: Sequence[GoneRepository]) -> str:
    """A note about repositories that are not listed any more, with the first names."""
    names = ", ".join(repository.name for repository in gone[:MAX_NAMES_IN_NOTE])
    more = f" and {len(gone) - MAX_NAMES_IN_NOTE} more" if len(gone) > MAX_NAMES_IN_NOTE else ""
    return (
        f"{len(gone)} repositories that an earlier run found are not listed by their namespace any more: {names}{more}"
    )


def repositories_to_remember(found: Discovery, earlier: Collection[str]) -> set[str]:
    """Names of the repositories that a run found in namespaces, and of those that it must not forget.

    Not forgotten are those of ``earlier`` that are written by name, fail now, or are in a namespace without a listing.
    A name that is only written may be a mistake: it is remembered after the first complete look at its repository.
    """
    discovered = {entry.route.source_repository.name for entry in found.routes if entry.route.is_discovered}
    written = {entry.route.source_repository.name for entry in found.routes} - discovered
    failed = {failure.name for failure in found.failures}
    unlisted = tuple(f"{namespace}/" for namespace in found.unlisted)
    return discovered | {name for name in earlier if name in written | failed or name.startswith(unlisted)}
