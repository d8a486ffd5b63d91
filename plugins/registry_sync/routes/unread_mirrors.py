"""Mirrors that could not be read because of a mistake, and pruning where they may write.

Their rules are unknown, so nobody knows which repositories they write. Pruning such a repository would delete their
tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from registry_sync.config.document import MirrorsFile
from registry_sync.config.explain_errors import Problem
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import Rule
from registry_sync.config.yaml_source import Document
from registry_sync.routes.graph import uses_known_registries


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadMirror:
    """A mirror with a mistake. ``hosts`` are those of its destinations; ``None`` where they are unknown."""

    name: str
    hosts: frozenset[str] | None

    def may_write(self, registry: Registry) -> bool:
        """True unless all of its destinations are known to be other registries."""
        return self.hosts is None or registry.host in self.hosts


def stop_pruning(file: MirrorsFile, built: MirrorsFile, document: Document) -> tuple[MirrorsFile, list[Problem]]:
    """The file without pruning to registries that unread mirrors may write, and a problem for each mirror concerned.

    :param built: the file with all mirrors that could be read.
    """
    unread = list(_find_unread(built, document))
    mirrors, problems = dict(file.mirrors), list[Problem]()
    for name, mirror in file.mirrors.items():
        if _prunes(mirror) and (writer := _first_writer(mirror, unread, file.registries)):
            mirrors[name] = replace(mirror, rules=tuple(map(_without_pruning, mirror.rules)))
            text = (
                f"nothing is pruned until mirrors.{writer.name} is correct, because it may write the same repositories"
            )
            problems.append(Problem(("mirrors", name), text))
    return replace(file, mirrors=mirrors), problems


def prunes(file: MirrorsFile, name: str) -> bool:
    """True if the file has the mirror ``name``, and a rule of it deletes tags."""
    return name in file.mirrors and _prunes(file.mirrors[name])


def _prunes(mirror: Mirror) -> bool:
    return any(rule.settings.deletes_tags for rule in mirror.rules)


def _without_pruning(rule: Rule) -> Rule:
    return replace(rule, settings=replace(rule.settings, prune=None))


def _first_writer(
    mirror: Mirror, unread: list[UnreadMirror], registries: Mapping[str, Registry]
) -> UnreadMirror | None:
    destinations = [registries[name] for name in mirror.destinations]
    return next((other for other in unread if any(map(other.may_write, destinations))), None)


def _find_unread(built: MirrorsFile, document: Document) -> Iterator[UnreadMirror]:
    """The mirrors of a document that have no routes in its graph. One that is written twice has two sets of rules."""
    twice = {place for place, _ in document.problems}
    for name, written in document.value["mirrors"].items():
        mirror = built.mirrors.get(name)
        if ("mirrors", name) in twice:
            yield UnreadMirror(name=name, hosts=None)
        elif mirror is None or not uses_known_registries(mirror, built.registries):
            yield UnreadMirror(name=name, hosts=_hosts(written, built.registries, document.value.get("defaults")))


def _hosts(written: Any, registries: Mapping[str, Registry], defaults: Any) -> frozenset[str] | None:
    """The hosts that the destinations of an entry name, or those that it inherits; ``None`` where one is unknown."""
    levels = (level for level in (written, defaults) if isinstance(level, Mapping) and "destinations" in level)
    names = next(levels, {}).get("destinations")
    if not isinstance(names, tuple | list) or not names:
        return None
    known = [registries[name].host for name in names if isinstance(name, str) and name in registries]
    return frozenset(known) if len(known) == len(names) else None
