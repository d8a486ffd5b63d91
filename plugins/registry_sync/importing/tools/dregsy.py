"""Files of dregsy: https://github.com/xelalexv/dregsy/blob/main/README.md. Expressions match whole tags there, too."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from registry_sync.config.reading.yaml_source import Document
from registry_sync.errors import ConfigurationError
from registry_sync.importing.expressions import whole_pattern
from registry_sync.importing.logins import read_login
from registry_sync.importing.model import ALL_TAGS, Entry, Imported, ImportedRegistry, Remark, Rule, Value, Wish
from registry_sync.importing.names import below, parse_place, parse_repository, tag_for
from registry_sync.importing.namespaces import split_namespace, whole_name_pattern
from registry_sync.importing.ranges import range_rule
from registry_sync.importing.reading import NoCounterpart, Section, shown, unread_remarks, whole
from registry_sync.importing.schedules import schedule_of_interval
from registry_sync.importing.tools.skopeo_sync import NUMBERS
from registry_sync.oci.platforms import parse_platform
from registry_sync.oci.reference import Digest, Repository, is_tag
from registry_sync.text import quoted

_PROCESS = ("relay", "watch", "docker", "skopeo", "lister", "dockerhost", "api-version")
"""Keys at the top, about dregsy's process."""


def read_dregsy(documents: tuple[Document, ...], _wish: Wish) -> Imported:
    """Read dregsy's files. :raises NoCounterpart: when a file as a whole has another form."""
    registries: dict[str, ImportedRegistry] = {}
    entries, remarks = list[Entry](), list[Remark]()
    for document in documents:
        top = whole(document)
        remarks += [
            top.remark("is a setting of dregsy's process and has no counterpart", key, is_lost=False)
            for key in _PROCESS
            if top.has(key)
        ]
        for task in top.sections("tasks"):
            try:
                entries += _task(task, registries, remarks)
            except NoCounterpart as error:
                text = f"{error.text}; the task is left out"
                remarks.append(Remark(file=document.name, line=error.line, text=text))
        remarks += unread_remarks(top)
    names = tuple(document.name for document in documents)
    return Imported(
        tool="dregsy",
        files=names,
        registries=tuple(registries.values()),
        entries=tuple(entries),
        remarks=tuple(remarks),
    )


def _task(task: Section, registries: dict[str, ImportedRegistry], remarks: list[Remark]) -> list[Entry]:
    places = []
    for key in ("source", "target"):
        place, registry = _location(task.section(key))
        places.append(place)
        registries[place.host] = _joined(registries.get(place.host), registry)
    schedule, about = _schedule(task)
    entries = []
    for mapping in task.sections("mappings"):
        try:
            entry = _mapping(mapping, *places)
            entries.append(replace(entry, schedule=schedule, remarks=(*about, *entry.remarks)))
        except NoCounterpart as error:
            text = f"{error.text}; the mapping is left out"
            remarks.append(Remark(file=task.document.name, line=error.line, text=text))
    task.text("name")
    task.flag("verbose")
    remarks += unread_remarks(task)
    return entries


def _schedule(task: Section) -> tuple[str | None, tuple[Remark, ...]]:
    seconds = task.number("interval")
    if not seconds or seconds <= 0:
        text = "has no interval: dregsy runs it once at its start, and here it runs only by hand; write schedule:"
        return None, (task.remark(text, is_lost=False),)
    schedule, is_same = schedule_of_interval(timedelta(seconds=seconds))
    text = f"no schedule runs every {seconds:g} seconds; {quoted(schedule)} is the nearest"
    return schedule, () if is_same else (task.remark(text, "interval", is_lost=False),)


def _location(section: Section) -> tuple[Repository, ImportedRegistry]:
    """A source or target. Its ``auth`` is a login in JSON, coded as base64; only the user's name is kept."""
    place = parse_place(section.required("registry").rpartition("@")[2], section.line)
    remarks = []
    login = None
    if (auth := section.text("auth")) and auth != "none":
        login = read_login(place.host, _user(auth), "")
    if section.has("auth-refresh"):
        text = "renews the login of ECR; docs/registries.md says how that works here"
        remarks.append(section.remark(text, "auth-refresh"))
        login = login or read_login(place.host, "AWS", "")
    if section.flag("skip-tls-verify"):
        remarks.append(
            section.remark("connects without verification; write ca_file: with its authority", "skip-tls-verify")
        )
    if section.has("lister"):
        text = "says how repositories are listed; namespaces are listed by the registry's own API"
        remarks.append(section.remark(text, "lister", is_lost=False))
    return place, ImportedRegistry(host=place.host, login=login, remarks=(*remarks, *unread_remarks(section)))


def _user(auth: str) -> str:
    """The user's name of a coded login; empty when it cannot be read."""
    try:
        login = json.loads(base64.b64decode(auth, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return ""
    user = login.get("username") if isinstance(login, dict) else None
    return user if isinstance(user, str) else ""


def _joined(first: ImportedRegistry | None, other: ImportedRegistry) -> ImportedRegistry:
    if first is None:
        return other
    remarks = tuple(dict.fromkeys((*first.remarks, *other.remarks)))
    return replace(first, login=first.login or other.login, remarks=remarks)


def _mapping(mapping: Section, source: Repository, target: Repository) -> Entry:
    origin, to = mapping.required("from"), mapping.text("to")
    if to.startswith("regex:"):
        text = f"{shown(to)} replaces by an expression; write rename:, a template such as 'copies/{{{{ name }}}}'"
        raise mapping.no_counterpart(text, "to")
    if origin.startswith("regex:"):
        entry = _namespace(mapping, origin.removeprefix("regex:"), source, below(target, to.strip("/")))
    else:
        name = origin.strip("/")
        place = parse_repository(below(source, name).name, mapping.line_of("from"), source.host)
        entry = Entry(
            file=mapping.document.name,
            line=mapping.line,
            source=place,
            destination=below(target, to.strip("/") or name),
        )
    rules, about_rules = _rules(mapping)
    options, about_platform = _platform(mapping)
    remarks = (*entry.remarks, *about_rules, *about_platform, *unread_remarks(mapping))
    return replace(entry, rules=rules, options=options, remarks=remarks)


def _namespace(mapping: Section, expression: str, source: Repository, target: Repository) -> Entry:
    namespace, rest = split_namespace(expression)
    if not namespace:
        text = f"{shown(expression)} begins with no namespace; write an entry {{namespace: NAME}} for each"
        raise mapping.no_counterpart(text, "from")
    try:
        include = () if rest in (".*", ".+") else (whole_name_pattern(rest),)
    except ConfigurationError as error:
        raise mapping.no_counterpart(str(error), "from") from error
    return Entry(
        file=mapping.document.name,
        line=mapping.line,
        source=below(source, namespace),
        destination=target,
        is_namespace=True,
        include=include,
    )


def _platform(mapping: Section) -> tuple[tuple[tuple[str, Value], ...], tuple[Remark, ...]]:
    platform = mapping.text("platform")
    if platform == "all":
        return (), ()
    if not platform:
        text = "images are mirrored with all their platforms; dregsy copies that of its own machine without platform:"
        return (), (replace(mapping.remark(text, is_lost=False), line=mapping.line),)
    try:
        options = (("platforms", (parse_platform(platform),)),)
    except ConfigurationError as error:
        raise mapping.no_counterpart(str(error), "platform") from error
    text = "the destination gets an index of this platform; an image that lacks it fails"
    return options, (mapping.remark(text, "platform", is_lost=False),)


def _rules(mapping: Section) -> tuple[tuple[Rule, ...], tuple[Remark, ...]]:
    """The rules of ``tags``. Filters are alternatives; ``keep:`` narrows all of them, but not tags by name."""
    written = [text.strip() for text in mapping.texts("tags")]
    if not written:
        return (ALL_TAGS,), (mapping.remark("has no tags, so all tags are mirrored", is_lost=False),)
    try:
        keeps, count = _keeps(written)
        filters = [rule for text in written if (rule := _filter(text))] or ([] if _names(written) else [ALL_TAGS])
        rules = [_narrowed(rule, keeps) for rule in filters]
    except (ConfigurationError, ValueError) as error:
        raise mapping.no_counterpart(str(error), "tags") from error
    remarks = list(_about_versions(mapping, rules))
    if count:
        remarks.append(_about_count(mapping, count, rules))
        rules = [replace(rules[0], newest=count, newest_by="semver")]
    names = _names(written)
    if generated := [tag for tag, digest in names if digest and tag == tag_for(digest)]:
        text = f"a digest has no tag there; it gets {', '.join(generated)}, because it has none"
        remarks.append(mapping.remark(text, "tags", is_lost=False))
    return (*rules, *((Rule(names=tuple(names)),) if names else ())), tuple(remarks)


def _about_versions(mapping: Section, rules: Sequence[Rule]) -> Iterator[Remark]:
    if any(rule.semver for rule in rules):
        yield mapping.remark(NUMBERS, "tags", is_lost=False)


def _about_count(mapping: Section, count: int, rules: Sequence[Rule]) -> Remark:
    """:raises NoCounterpart: when the number counts tags of several filters together: each alone would mirror more."""
    if len(rules) == 1:
        text = "becomes newest, which keeps no tags but versions; dregsy keeps all tags that are no versions"
        return mapping.remark(f"'keep: latest {count}' {text}", "tags", is_lost=False)
    text = "counts the tags of all items together; newest counts those of one rule: write it in each"
    raise mapping.no_counterpart(f"'keep: latest {count}' {text}", "tags")


def _filter(text: str) -> Rule | None:
    """The rule of a filter; ``None`` for tags by name and for ``keep:``."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "semver":
        return range_rule(rest.strip(), takes_prereleases=True)
    if colon and kind == "regex":
        return _expression(rest.strip())
    return None


def _expression(text: str) -> Rule:
    """An expression; one that begins with ! excludes."""
    if text.startswith("!"):
        return Rule(exclude=(whole_pattern(text[1:]),))
    return Rule() if text in (".*", ".+") else Rule(include=(whole_pattern(text),))


def _keeps(written: Sequence[str]) -> tuple[list[Rule], int]:
    """The expressions of ``keep:``, and the number of ``keep: latest``, of which the last counts."""
    keeps, count = [], 0
    for text in written:
        if match := re.fullmatch(r"keep:\s+latest\s+(\d{1,6})", text):
            count = int(match[1])
        elif text.startswith("keep:"):
            keeps.append(_expression(text.removeprefix("keep:").strip()))
    return keeps, count


def _narrowed(rule: Rule, keeps: Sequence[Rule]) -> Rule:
    """A rule narrowed by ``keep:``. :raises ValueError: when a tag would have to match two expressions."""
    for keep in keeps:
        if keep.include and rule.include:
            raise ValueError("keep: beside regex: or another keep: needs two expressions to match; write one for both")
        rule = replace(rule, include=(*rule.include, *keep.include), exclude=(*rule.exclude, *keep.exclude))
    return rule


def _names(written: Sequence[str]) -> list[tuple[str, Digest | None]]:
    """The tags by name, and those of digests. :raises ValueError: when one is neither."""
    names = list[tuple[str, Digest | None]]()
    for text in written:
        if text.startswith(("semver:", "regex:", "keep:")):
            continue
        tag, at, digest = text.partition("@") if "@" in text else ("", "sha256:" in text, text)
        if at:
            pin = Digest.parse(str(digest))
            names.append((tag or tag_for(pin), pin))
        elif is_tag(text):
            names.append((text, None))
        else:
            raise ValueError(f"{shown(text)} is neither a tag nor a filter")
    return names
