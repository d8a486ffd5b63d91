"""Mirrors with a mistake, and pruning where they may write.

Nobody knows which repositories they write once they are correct. Pruning such a repository would delete their tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from registry_sync.config.document import MirrorsFile
from registry_sync.config.entries.mirror import MirrorEntry
from registry_sync.config.mirror import Mirror
from registry_sync.config.reading.explain_errors import Problem
from registry_sync.config.reading.yaml_source import Document
from registry_sync.config.registry import Registry
from registry_sync.config.rules import Rule
from registry_sync.registry.same_registry import registry_key, storage_key


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadMirror:
    """A mirror with a mistake, or the mirrors of a file that is not read.

    :ivar remedy: ends it, such as ``mirrors.a is correct``.
    :ivar hosts: those of its destinations, by :func:`storage_key`; ``None`` where they are unknown.
    """

    remedy: str
    hosts: frozenset[str] | None

    def may_write(self, registry: Registry) -> bool:
        """True unless all of its destinations are known to be other registries."""
        return self.hosts is None or storage_key(registry.host) in self.hosts


def stop_pruning(
    file: MirrorsFile, built: MirrorsFile, document: Document, unread_files: Sequence[str]
) -> tuple[MirrorsFile, list[Problem]]:
    """The file without pruning to registries that unread mirrors may write, and a problem for each mirror concerned.

    :param file: the healthy mirrors.
    :param built: the file with all mirrors that could be read.
    """
    unread = [*_find_unread(file, built, document)]
    unread += (UnreadMirror(remedy=f"{name} is renamed or removed", hosts=None) for name in unread_files)
    mirrors, problems = dict(file.mirrors), list[Problem]()
    for name, mirror in file.mirrors.items():
        if _prunes(mirror) and (writer := _first_writer(mirror, unread, file.registries)):
            mirrors[name] = replace(mirror, rules=tuple(map(_without_pruning, mirror.rules)))
            text = f"nothing is pruned until {writer.remedy}, because it may write the same repositories"
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


def _find_unread(file: MirrorsFile, built: MirrorsFile, document: Document) -> Iterator[UnreadMirror]:
    """The mirrors of a document that are not healthy. One that is written twice has two sets of rules."""
    twice = {place for place, _ in document.problems}
    for name, written in document.value["mirrors"].items():
        if twice & {("mirrors", name), ("mirrors", name, "destinations")}:
            yield UnreadMirror(remedy=f"mirrors.{name} is correct", hosts=None)
        elif name not in file.mirrors:
            hosts = _hosts(written, built.registries, document.value.get("defaults"))
            yield UnreadMirror(remedy=f"mirrors.{name} is correct", hosts=hosts)


def _hosts(written: Any, registries: Mapping[str, Registry], defaults: Any) -> frozenset[str] | None:
    """The hosts that the destinations of an entry name, or those that it inherits; ``None`` where one is unknown.

    Destinations that are the same registry, or the source's, are a mistake themselves: another one was meant.
    """
    names = _destinations(written, defaults)
    if not isinstance(names, tuple | list) or not names:
        return None
    known = [registries[name].host for name in names if isinstance(name, str) and name in registries]
    source = registries.get(str(written.get("source"))) if isinstance(written, Mapping) else None
    distinct = {registry_key(host) for host in (*known, *([source.host] if source else []))}
    is_sensible = len(known) == len(names) and len(distinct) == len(known) + bool(source)
    return frozenset(map(storage_key, known)) if is_sensible else None


def _destinations(written: Any, defaults: Any) -> Any:
    """The destinations of an entry as they are written. One with an unknown key may have meant that, and inherits none.

    A misspelt ``destinations: [acr]`` beside ``defaults: {destinations: [other]}`` is such an entry.
    """
    if not isinstance(written, Mapping):
        return None
    if "destinations" in written:
        return written["destinations"]
    inherits = isinstance(defaults, Mapping) and written.keys() <= MirrorEntry.model_fields.keys()
    return defaults.get("destinations") if inherits else None
