"""Write imported values as the text of a mirrors file, with a comment at each line whose meaning differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry_sync.config.connection_type import add_command
from registry_sync.importing.grouping import MirrorDraft, group_entries
from registry_sync.importing.model import Entry, Imported, ImportedRegistry, Remark, Rule
from registry_sync.importing.names import registry_name
from registry_sync.importing.remarks import grouped_lines
from registry_sync.importing.yaml_text import block, flow, list_item, scalar
from registry_sync.text import one_line


@dataclass(frozen=True, slots=True)
class Written:
    """A text, and the entries that its lines belong to. Line numbers begin with 1."""

    text: str
    entries: Mapping[int, Entry]
    """The entry of each line: its first line and all others."""
    mirrors: Mapping[int, MirrorDraft]


def write_mirrors(imported: Imported) -> Written:
    """The text of a mirrors file."""
    lines = list(_head(imported))
    owners: dict[int, Entry] = {}
    mirror_owners: dict[int, MirrorDraft] = {}
    drafts = group_entries(imported.entries)
    registries = list(_registries(imported))
    lines += ["", "registries:" if registries else "registries: {}", *registries]
    if imported.defaults:
        lines += ["", "defaults:", *block(dict(imported.defaults), "  ")]
    lines += ["", "mirrors:" if _has_written(drafts) else "mirrors: {}"]
    for draft in drafts:
        has_entries = not all(entry.is_left_out for entry in draft.entries)
        start = len(lines)
        lines += _mirror_head(draft) if has_entries else []
        mirror_owners |= dict.fromkeys(range(start + 1, len(lines) + 1), draft)
        for entry in draft.entries:
            start = len(lines)
            lines += _entry(entry)
            owners |= dict.fromkeys(range(start + 1, len(lines) + 1), entry)
    return Written("\n".join(lines) + "\n", owners, mirror_owners)


def _has_written(drafts: Iterable[MirrorDraft]) -> bool:
    return any(not entry.is_left_out for draft in drafts for entry in draft.entries)


def _head(imported: Imported) -> Iterator[str]:
    yield f"# Made by registry-sync import from {one_line(', '.join(imported.files))} ({imported.tool})."
    if remarks := tuple(remark for remark in imported.remarks):
        yield "#"
        yield from _comments(remarks, "")
    if commands := connection_commands(imported):
        yield "#"
        yield "# Create these Connections first; the variables hold the passwords:"
        yield from (f"#   {command}" for command in commands)


def connection_commands(imported: Imported) -> list[str]:
    """The commands that create the Connections which the registries name."""
    return [
        add_command(connection_of(registry), registry.host, login.user, login.password)
        for registry in used_registries(imported)
        if (login := registry.login)
    ]


def connection_of(registry: ImportedRegistry) -> str:
    """The id of the Connection of a registry."""
    return f"registry_{registry_name(registry.host)}"


def used_registries(imported: Imported) -> list[ImportedRegistry]:
    """The registries that the file describes, and those that only its entries name, in their order there."""
    described = {registry.host: registry for registry in imported.registries}
    hosts = [host for entry in imported.entries for host in (entry.source.host, entry.destination.host)]
    return [described.get(host) or ImportedRegistry(host=host) for host in dict.fromkeys((*described, *hosts))]


def _registries(imported: Imported) -> Iterator[str]:
    for registry in used_registries(imported):
        yield from _comments(registry.remarks, "  ")
        connection = {"connection": connection_of(registry)} if registry.login else {}
        value = {"host": registry.host, **connection, **dict(registry.options)}
        yield f"  {registry_name(registry.host)}: {flow(value)}"


def _mirror_head(draft: MirrorDraft) -> Iterator[str]:
    yield f"  {draft.name}:"
    yield f"    source: {registry_name(draft.source)}"
    yield f"    destinations: {flow([registry_name(host) for host in draft.destinations])}"
    if draft.schedule:
        yield f"    schedule: {scalar(draft.schedule)}"
    yield "    repositories:"


def _entry(entry: Entry) -> Iterator[str]:
    yield from _comments(entry.remarks, "      ")
    lines = list_item(_value(entry), "      ")
    yield from (f"      # {line.removeprefix('      ')}" for line in lines) if entry.is_left_out else lines


def _value(entry: Entry) -> Any:
    """The entry of ``repositories:``, with the keys in the order of the documentation."""
    options: dict[str, Any] = {}
    if rules := [_rule(rule) for rule in entry.rules if rule != Rule()]:
        options["tags"] = rules[0] if len(rules) == 1 else rules
    options |= dict(entry.options)
    if entry.is_namespace:
        return {"namespace": entry.source.name, **_namespace(entry), **options}
    name, target = entry.source.name, entry.destination.name
    if target != name:
        options = {"rename": target, **options}
    return {"repository": name, **options} if options else name


def _namespace(entry: Entry) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "include": entry.include,
        "exclude": entry.exclude,
        "include_private": entry.include_private,
    }
    prefix = {"prefix": f"{entry.destination.name}/"} if entry.destination.name else {}
    return {key: value for key, value in keys.items() if value} | prefix


def _rule(rule: Rule) -> dict[str, Any]:
    names = tuple(f"{tag}@{digest}" if digest else tag for tag, digest in rule.names)
    keys: dict[str, Any] = {
        "names": names,
        "include": rule.include,
        "exclude": rule.exclude,
        "version": rule.version,
        "semver": rule.semver,
        "prereleases": rule.prereleases,
        "newest": rule.newest,
        "newest_by": rule.newest_by,
    }
    return {key: value for key, value in keys.items() if value}


def _comments(remarks: Sequence[Remark], indent: str) -> Iterator[str]:
    """Remarks as comments. A remark about several lines is written once."""
    for line in grouped_lines(remarks, lost_mark="NOT IMPORTED: "):
        yield f"{indent}# {line}"
