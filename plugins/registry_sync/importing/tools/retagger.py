"""Files of retagger with images to rename. Its other files are those of skopeo sync.

https://github.com/giantswarm/retagger
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from registry_sync.config.reading.yaml_source import Document
from registry_sync.errors import ConfigurationError
from registry_sync.importing.expressions import found_pattern, version_part
from registry_sync.importing.model import Entry, Imported, Remark, Rule, Wish
from registry_sync.importing.names import below, parse_image
from registry_sync.importing.ranges import range_rule
from registry_sync.importing.reading import NoCounterpart, Section, items, shown, unread_remarks
from registry_sync.importing.tools.skopeo_sync import NUMBERS
from registry_sync.oci.reference import Digest, Repository, is_tag

DESTINATIONS = (
    Repository("gsoci.azurecr.io", "giantswarm"),
    Repository("giantswarm-registry.cn-shanghai.cr.aliyuncs.com", "giantswarm"),
)
"""Destinations that stand in retagger's code, not in its files."""


def read_retagger(documents: tuple[Document, ...], wish: Wish) -> Imported:
    """Read retagger's files. :raises NoCounterpart: when a file is not a list of images."""
    entries, remarks = list[Entry](), list[Remark]()
    for document in documents:
        if not isinstance(document.value, tuple):
            raise NoCounterpart(1, "expected a list of images, got something else")
        for section in items(document, (), document.value):
            try:
                entries += _entries(section, wish.destinations or DESTINATIONS)
            except NoCounterpart as error:
                text = f"{error.text}; the entry is left out"
                remarks.append(Remark(file=document.name, line=error.line, text=text))
        remarks += [Remark(file=document.name, line=1, text=text, is_lost=False) for text in _general(wish, entries)]
    names = tuple(document.name for document in documents)
    return Imported(tool="retagger", files=names, entries=tuple(entries), remarks=tuple(remarks))


def _general(wish: Wish, entries: list[Entry]) -> Iterator[str]:
    yield "the file has no schedule, so the mirrors run only by hand; write schedule:"
    if not wish.destinations:
        hosts = " and ".join(str(place) for place in DESTINATIONS)
        yield f"the destinations are those of retagger's code, {hosts}; import with --to HOST/PATH for others"
    if any(rule.semver for entry in entries for rule in entry.rules):
        yield NUMBERS


def _entries(section: Section, destinations: tuple[Repository, ...]) -> list[Entry]:
    """The entries of an image, one for each destination. :raises NoCounterpart: when its tags have no counterpart."""
    image = parse_image(section.required("image"), section.line)
    name = section.text("override_repo_name") or image.repository.name.rpartition("/")[2]
    rule, is_renamed = _rule(section)
    remarks = unread_remarks(section)
    if is_renamed:
        text = (
            "changes the names of tags, which stay the same here: pin each as names: ['NEW_TAG@sha256:…'], with the "
            "digest of the tag"
        )
        key = "add_tag_suffix" if section.has("add_tag_suffix") else "strip_semver_prefix"
        remarks = (*remarks, section.remark(text, key))
    entry = Entry(
        file=section.document.name,
        line=section.line,
        source=image.repository,
        destination=image.repository,
        rules=(rule,),
        remarks=remarks,
        is_left_out=is_renamed,
    )
    return [replace(entry, destination=below(place, name)) for place in destinations]


def _rule(section: Section) -> tuple[Rule, bool]:
    """The rule of an image, and whether its tags get other names."""
    suffix = section.text("add_tag_suffix")
    strips = section.flag("strip_semver_prefix") is True
    pattern, sha, semver = (section.text(key) for key in ("tag_or_pattern", "sha", "semver"))
    try:
        if sha:
            return Rule(names=(_pin(section, pattern, suffix, sha),)), False
        rule = _by_version(section, semver) if semver else _by_pattern(section, pattern)
    except ConfigurationError as error:
        raise section.no_counterpart(str(error), "semver" if semver else "tag_or_pattern") from error
    return rule, bool(suffix or strips)


def _pin(section: Section, tag: str, suffix: str, sha: str) -> tuple[str, Digest]:
    """The tag that a digest gets, with its suffix."""
    name = f"{tag}-{suffix}" if suffix else tag
    if not is_tag(name):
        raise section.no_counterpart(f"{shown(name)} is not a tag", "tag_or_pattern")
    try:
        return name, Digest.parse(f"sha256:{sha.removeprefix('sha256:')}")
    except ValueError as error:
        raise section.no_counterpart("is not the 64 digits of a sha256 digest", "sha") from error


def _by_version(section: Section, semver: str) -> Rule:
    rule = range_rule(semver)
    if not (expression := section.text("filter")):
        return rule
    part = version_part(expression)
    return replace(rule, version="" if re.fullmatch(r"\(\.[*+]\)", part) else part)


def _by_pattern(section: Section, expression: str) -> Rule:
    if not expression:
        raise section.no_counterpart("has none of tag_or_pattern, sha and semver")
    if re.fullmatch(r"\^?\(?\.[*+]\)?\$?", expression):
        return Rule()
    return Rule(include=(found_pattern(expression),))
