"""Group entries into mirrors: each has one source, one schedule and the same destinations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from registry_sync.importing.model import ALL_TAGS, Entry, Remark, Rule
from registry_sync.importing.names import registry_name
from registry_sync.oci.reference import Digest

Group = tuple[str, str | None, tuple[str, ...]]
"""Fields that the entries of a mirror share: the source's host, the schedule, and the destinations' hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorDraft:
    """A mirror to write. ``entries`` go to all ``destinations``; the host in an entry's own destination is ignored."""

    name: str
    source: str
    destinations: tuple[str, ...]
    schedule: str | None
    entries: tuple[Entry, ...]


def group_entries(entries: Iterable[Entry]) -> tuple[MirrorDraft, ...]:
    """The mirrors that the entries form, in the order of the other tool's file."""
    groups: dict[Group, list[Entry]] = {}
    for entry, hosts in _by_destinations(_merged(entries)):
        groups.setdefault((entry.source.host, entry.schedule, hosts), []).append(entry)
    names = _names(groups)
    return tuple(
        MirrorDraft(name=names[key], source=key[0], destinations=key[2], schedule=key[1], entries=tuple(group))
        for key, group in groups.items()
    )


def _names(
    groups: Iterable[tuple[str, str | None, tuple[str, ...]]],
) -> dict[tuple[str, str | None, tuple[str, ...]], str]:
    """A name for each group: of its source, its destination if there is one, and a number if that is not enough."""
    names: dict[Group, str] = {}
    for key in groups:
        to = f"_to_{registry_name(key[2][0])}" if len(key[2]) == 1 else ""
        first = name = f"{registry_name(key[0])}{to}"[:90] if to else f"from_{registry_name(key[0])}"
        number = 2
        while name in names.values():
            name, number = f"{first}_{number}", number + 1
        names[key] = name
    return names


def _merged(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Entries of one repository to one name, with the same options, as one entry with the rules of all."""
    merged: dict[object, Entry] = {}
    for index, entry in enumerate(entries):
        key: object = index
        if not entry.is_left_out:
            key = (identity(entry), entry.destination.host)
        earlier = merged.get(key)
        merged[key] = _joined(earlier, entry) if earlier else entry
    for entry in merged.values():
        rules, remarks = _join_rules(entry)
        yield replace(entry, rules=rules, remarks=(*entry.remarks, *remarks))


def identity(entry: Entry) -> Entry:
    """The entry without the parts in which mergeable entries may differ: lines, rules, registries, remarks."""
    name = entry.destination if entry.is_alone else replace(entry.destination, host="")
    return replace(entry, file="", line=0, rules=(), remarks=(), destination=name, is_left_out=False)


def _joined(first: Entry, other: Entry) -> Entry:
    return replace(first, rules=(*first.rules, *other.rules), remarks=(*first.remarks, *other.remarks))


def _join_rules(entry: Entry) -> tuple[tuple[Rule, ...], tuple[Remark, ...]]:
    """The rules of an entry with all ``names`` in one, and a remark for each tag that is pinned twice."""
    names: dict[str, Digest | None] = {}
    remarks = []
    for tag, digest in (named for rule in entry.rules for named in rule.names):
        if names.setdefault(tag, digest) != digest:
            text = f"the tag {tag!r} of {entry.source} has two digests here; only {names[tag]} is written"
            remarks.append(Remark(file=entry.file, line=entry.line, text=text))
    others = tuple(dict.fromkeys(replace(rule, names=()) for rule in entry.rules if not rule.is_names_only))
    if ALL_TAGS in others:
        pins = tuple((tag, digest) for tag, digest in names.items() if digest)
        return (Rule(names=pins, include=("*",)) if pins else ALL_TAGS,), tuple(remarks)
    named = (Rule(names=tuple(names.items())),) if names else ()
    return (*others, *named), tuple(remarks)


def _by_destinations(entries: Iterable[Entry]) -> Iterator[tuple[Entry, tuple[str, ...]]]:
    """Entries that go to several registries under one name, once, with all of these registries."""
    hosts: dict[Entry, tuple[Entry, list[str]]] = {}
    for entry in entries:
        name = entry.destination if entry.is_alone else replace(entry.destination, host="")
        key = replace(entry, line=entry.line if entry.is_left_out else 0, destination=name, remarks=())
        first, known = hosts.setdefault(key, (entry, []))
        known.append(entry.destination.host)
        if first is not entry:
            remarks = tuple(dict.fromkeys((*first.remarks, *entry.remarks)))
            hosts[key] = (replace(first, remarks=remarks), known)
    for entry, known in hosts.values():
        yield entry, tuple(dict.fromkeys(known))
