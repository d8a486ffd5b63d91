"""Steps of regsync's files: the items of ``sync:``, with the defaults that they inherit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from registry_sync.errors import ConfigurationError
from registry_sync.importing.model import ALL_TAGS, Entry, Remark, Rule, Value
from registry_sync.importing.names import ImageName, parse_image, parse_place, tag_for
from registry_sync.importing.namespaces import pattern_within, split_namespace, whole_name_pattern
from registry_sync.importing.reading import Section, shown, unread_remarks
from registry_sync.importing.schedules import parse_cron, parse_go_duration, schedule_of_interval
from registry_sync.importing.tools.regsync_filters import part, read_filter, refuse_unknown
from registry_sync.oci.platforms import parse_platform
from registry_sync.oci.reference import Repository
from registry_sync.text import quoted

TEMPLATE = "is a template, which is not evaluated here; 'regsync config' prints the file without templates: import that"

_UNSAID: Mapping[str, str] = {
    "hooks": "runs a command around each copy; use notify: for messages, or a DAG that the mirror's asset starts",
    "referrerFilters": "copies some types of artifacts only; all are copied, or none with signatures: false",
    "referrerSource": "reads artifacts from another repository; they are read from the image's own repository",
    "referrerTarget": "writes artifacts to another repository; they are written beside the image",
    "includeExternal": "copies layers that are stored elsewhere; docs/transfer.md#windows-images has what happens here",
}
"""Keys of a step that a mirrors file does not have."""

_NEEDLESS: Mapping[str, str] = {
    "fastCheck": "is not needed: tags in sync cost a HEAD or a share of a listing",
    "forceRecursive": "is not needed: deep_check: verifies all content, and repairs it",
    "referrerSlow": "is not needed: artifacts are found by the referrers API and by cosign's tags",
}

STEP_DEFAULTS = (
    *("backup", "interval", "schedule", "ratelimit", "mediaTypes", "digestTags", "referrers"),
    *_UNSAID,
    *_NEEDLESS,
)
"""Keys under ``defaults:`` that steps inherit, and that are read there."""


_MEDIA_TYPES = frozenset(
    f"application/vnd.{name}"
    for name in (
        "docker.distribution.manifest.v2+json",
        "docker.distribution.manifest.list.v2+json",
        "oci.image.manifest.v1+json",
        "oci.image.index.v1+json",
    )
)


@dataclass(frozen=True, slots=True)
class Step:
    """An item of ``sync:``, with the defaults."""

    step: Section
    defaults: Section

    def read(self) -> Entry:
        """The entry of a step. :raises NoCounterpart: when a mirrors file cannot have it."""
        step = self.step
        source, target = (self._name(key) for key in ("source", "target"))
        schedule, remarks = self._schedule()
        options, about_options = self._options()
        about_keys = tuple(self._about_keys())
        readers: dict[str, Callable[[str, str], Entry]] = {
            "image": self._image,
            "repository": self._repository,
            "registry": self._namespace,
        }
        kind = step.text("type")
        if kind not in readers:
            raise step.no_counterpart(f"expected image, repository or registry, got {shown(kind)}", "type")
        entry = readers[kind](source, target)
        return replace(
            entry,
            schedule=schedule,
            options=options,
            remarks=(*remarks, *about_options, *about_keys, *entry.remarks, *unread_remarks(step)),
        )

    def _from(self, key: str) -> Section:
        """The step if it has a key, else the defaults."""
        return self.step if self.step.has(key) or not self.defaults.has(key) else self.defaults

    def _name(self, key: str) -> str:
        text = self.step.required(key)
        if "{{" in text:
            raise self.step.no_counterpart(TEMPLATE, key)
        if text.startswith(("ocidir://", "ocifile://")):
            raise self.step.no_counterpart("is a folder; a mirror reads and writes registries only", key)
        return text

    def _entry(self, source: Repository, destination: Repository) -> Entry:
        return Entry(file=self.step.document.name, line=self.step.line, source=source, destination=destination)

    def _image(self, source: str, target: str) -> Entry:
        """One tag, or one digest under a tag."""
        line = self.step.line
        image, copy = parse_image(source, line), parse_image(target, line)
        entry = self._entry(image.repository, copy.repository)
        tag, wanted = image.tag or "latest", copy.tag or "latest"
        if image.digest:
            wanted = copy.tag or (tag_for(image.digest) if copy.digest else "latest")
            return replace(entry, rules=(Rule(names=((wanted, image.digest),)),))
        if tag == wanted and not copy.digest:
            return replace(entry, rules=(Rule(names=((tag, None),)),))
        return replace(entry, is_left_out=True, remarks=(self._renamed(image, tag, wanted),))

    def _renamed(self, image: ImageName, tag: str, wanted: str) -> Remark:
        return self.step.remark(
            f"{image.repository}:{tag} becomes the tag {quoted(wanted)}; tags keep their names here: pin it as "
            f"names: ['{wanted}@sha256:…'], with the digest that {quoted(tag)} has"
        )

    def _repository(self, source: str, target: str) -> Entry:
        line = self.step.line
        image, copy = parse_image(source, line), parse_image(target, line)
        rules, remarks = self._rules()
        return replace(self._entry(image.repository, copy.repository), rules=rules, remarks=remarks)

    def _rules(self) -> tuple[tuple[Rule, ...], tuple[Remark, ...]]:
        """The rules of ``tags`` and ``tagSets``, of which a tag needs one; without any, all tags."""
        sections = [*self.step.sections("tagSets"), *([self.step.section("tags")] if self.step.has("tags") else [])]
        read = [read_filter(section) for section in sections]
        rules = tuple(rule for rule, _ in read) or (ALL_TAGS,)
        remarks = tuple(remark for _, about in read for remark in about)
        if ALL_TAGS in rules:
            remarks = (*remarks, self.step.remark("has no filter of tags, so all tags are mirrored", is_lost=False))
        return rules, remarks

    def _namespace(self, source: str, target: str) -> Entry:
        """A whole registry: a mirrors file can have the namespaces that ``repos`` allows."""
        place, to = parse_place(source, self.step.line), parse_place(target, self.step.line)
        repos = self.step.section("repos")
        namespaces = {pattern: split_namespace(pattern) for pattern in repos.texts("allow")}
        names = {namespace for namespace, _ in namespaces.values()}
        if len(names) != 1 or "" in names or place.name:
            text = "a whole registry cannot be mirrored; write an entry {namespace: NAME} for each namespace"
            raise self.step.no_counterpart(text, "type")
        namespace = names.pop()
        rules, remarks = self._rules()
        entry = self._entry(Repository(place.host, namespace), Repository(to.host, to.name))
        include = tuple(_name_pattern(pattern, repos) for _, pattern in namespaces.values())
        exclude = tuple(self._denied(pattern, namespace, repos) for pattern in repos.texts("deny"))
        refuse_unknown(repos)
        return replace(
            entry,
            is_namespace=True,
            include=() if any(pattern == ".*" for _, pattern in namespaces.values()) else include,
            exclude=exclude,
            rules=rules,
            remarks=remarks,
        )

    def _denied(self, pattern: str, namespace: str, repos: Section) -> str:
        if (within := pattern_within(namespace, pattern)) is None:
            raise repos.no_counterpart(f"{shown(pattern)} is not a pattern within the namespace {namespace}", "deny")
        return _name_pattern(within, repos, "deny")

    def _schedule(self) -> tuple[str | None, tuple[Remark, ...]]:
        """The schedule of a step: its own, or that of the defaults."""
        own = self.step if self.step.has("schedule") or self.step.has("interval") else self.defaults
        written, interval = own.text("schedule"), own.text("interval")
        if written:
            schedule, differs = parse_cron(written)
            if not schedule:
                text = f"{shown(written)} is not a schedule here; write schedule: with five fields of cron"
                return None, (own.remark(text, "schedule"),)
            zone = differs or "the hours are in UTC here, and in the time zone of regsync's process there"
            is_same = not differs and re.match(r"(@hourly|\S+ \* \* \* \*)$", schedule)
            return schedule, () if is_same else (own.remark(zone, "schedule", is_lost=bool(differs)),)
        if not interval:
            return None, ()
        return _interval(own, interval)

    def _options(self) -> tuple[tuple[tuple[str, Value], ...], tuple[Remark, ...]]:
        options: dict[str, Value] = {}
        remarks: list[Remark] = []
        self._read_platforms(options, remarks)
        self._read_backup(options, remarks)
        flags = [self._from(key).flag(key) for key in ("digestTags", "referrers")]
        if False in flags and True not in flags:
            options["signatures"] = False
        return tuple(options.items()), tuple(remarks)

    def _read_platforms(self, options: dict[str, Value], remarks: list[Remark]) -> None:
        written = [*self.step.texts("platforms"), *([self.step.text("platform")] if self.step.has("platform") else [])]
        if not written:
            return
        try:
            options["platforms"] = tuple(dict.fromkeys(map(parse_platform, written)))
        except ConfigurationError as error:
            raise self.step.no_counterpart(str(error), "platform") from error
        text = (
            "the destination gets an index of these platforms, whose digest differs from what regsync wrote; "
            "an image that has none of them fails"
        )
        remarks.append(self.step.remark(text, "platform" if self.step.has("platform") else "platforms", is_lost=False))

    def _read_backup(self, options: dict[str, Value], remarks: list[Remark]) -> None:
        section = self._from("backup")
        if not (written := section.text("backup")):
            return
        template = re.sub(r"\{\{-?\s*\.Ref\.Tag\s*-?\}\}", "{{ tag }}", written)
        is_tag = re.fullmatch(r"(?:[\w.-]|\{\{ tag \}\})+", template) and "{{ tag }}" in template
        if not is_tag:
            text = f"{shown(written)} has no counterpart; backups are tags of the same repository: write backup_tag:"
            remarks.append(section.remark(text, "backup"))
            return
        options["backup_tag"] = f"{template}-{{{{ digest_short }}}}"
        text = "the backup's tag has the digest in it too, so that no backup overwrites another"
        remarks.append(section.remark(text, "backup", is_lost=False))

    def _about_keys(self) -> Iterator[Remark]:
        """Remarks for keys that have no counterpart, where they are written."""
        for key, text in _UNSAID.items():
            if self._from(key).has(key) and self._from(key).value.get(key) is not False:
                yield self._from(key).remark(text, key)
        for key, text in _NEEDLESS.items():
            if self._from(key).has(key):
                yield self._from(key).remark(text, key, is_lost=False)
        yield from self._about_rate_limit()
        yield from self._about_media_types()

    def _about_rate_limit(self) -> Iterator[Remark]:
        section = self._from("ratelimit")
        if section.section("ratelimit").has("min"):
            text = (
                "keeps that many pulls for others; runs here wait when a registry answers 429, and requests_per_second "
                "slows them"
            )
            yield section.remark(text, "ratelimit")

    def _about_media_types(self) -> Iterator[Remark]:
        section = self._from("mediaTypes")
        types = section.texts("mediaTypes")
        if types and not types_of_images(types):
            yield section.remark("copies some media types only; tags of all types are copied", "mediaTypes")


def types_of_images(types: tuple[str, ...]) -> bool:
    """Return whether all media types of images are among these."""
    return set(types) >= _MEDIA_TYPES


def _interval(section: Section, interval: str) -> tuple[str | None, tuple[Remark, ...]]:
    length = parse_go_duration(interval)
    if length is None:
        text = f"{shown(interval)} is not a duration such as 60m; write schedule:"
        return None, (section.remark(text, "interval"),)
    schedule, is_same = schedule_of_interval(length)
    text = f"no schedule runs every {shown(interval)}; {quoted(schedule)} is the nearest"
    return schedule, () if is_same else (section.remark(text, "interval", is_lost=False),)


def _name_pattern(expression: str, section: Section, key: str = "allow") -> str:
    return part(section, key, lambda: whole_name_pattern(expression))
