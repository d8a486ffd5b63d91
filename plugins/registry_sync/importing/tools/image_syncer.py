"""Files of image-syncer, in YAML or JSON: https://github.com/AliyunContainerService/image-syncer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from registry_sync.config.reading.yaml_source import Document
from registry_sync.errors import ConfigurationError
from registry_sync.importing.expressions import found_pattern
from registry_sync.importing.logins import read_login
from registry_sync.importing.model import ALL_TAGS, Entry, Imported, ImportedRegistry, Remark, Rule, Value, Wish
from registry_sync.importing.names import ImageName, parse_image, parse_place, tag_for
from registry_sync.importing.reading import NoCounterpart, Section, shown, unread_remarks, whole
from registry_sync.oci.reference import is_tag
from registry_sync.text import quoted


def read_image_syncer(documents: tuple[Document, ...], _wish: Wish) -> Imported:
    """Read files of rules, of logins, or of both. :raises NoCounterpart: when a file has another form."""
    registries, entries, remarks = list[ImportedRegistry](), list[Entry](), list[Remark]()
    for document in documents:
        top = whole(document)
        rules, logins = _parts(top)
        for key in rules.value if rules else ():
            try:
                entries += _entries(rules, key) if rules else ()
            except NoCounterpart as error:
                text = f"{error.text}; the entry is left out"
                remarks.append(Remark(file=document.name, line=error.line, text=text))
        registries += _registries(logins, remarks) if logins else ()
    if entries:
        remarks += [replace(remark, line=entries[0].line) for remark in _general(entries[0].file)]
    names = tuple(document.name for document in documents)
    return Imported(
        tool="image-syncer", files=names, registries=tuple(registries), entries=tuple(entries), remarks=tuple(remarks)
    )


def _general(file: str) -> Iterator[Remark]:
    for text in (
        "the file has no schedule, so the mirrors run only by hand; write schedule:",
        "images are mirrored as they are; the options --os and --arch of image-syncer are platforms: here",
    ):
        yield Remark(file=file, line=1, text=text, is_lost=False)


def _parts(top: Section) -> tuple[Section | None, Section | None]:
    """The rules and the logins of a file: under ``images`` and ``auth``, or one of them alone."""
    if top.value.keys() <= {"images", "auth"}:
        return top.section("images"), top.section("auth")
    if any(isinstance(value, Mapping) for value in top.value.values()):
        return None, top
    return top, None


def _registries(logins: Section, remarks: list[Remark]) -> Iterator[ImportedRegistry]:
    """The registries by host. The first login for a part of a registry becomes that of the host, if it has none."""
    hosts: dict[str, ImportedRegistry] = {}
    for key in logins.value:
        try:
            place, registry = _registry(logins, key)
        except NoCounterpart as error:
            remarks.append(Remark(file=logins.document.name, line=error.line, text=error.text))
            continue
        if place and registry.host in {*hosts, *_whole_hosts(logins)}:
            text = "a registry has one login for all its repositories; this one is not used"
            remarks.append(Remark(file=logins.document.name, line=logins.line_of(key), text=f"{quoted(key)}: {text}"))
            continue
        if place:
            text = "is used for the whole registry, which has one login here"
            remark = Remark(
                file=logins.document.name, line=logins.line_of(key), text=f"{quoted(key)}: {text}", is_lost=False
            )
            remarks.append(remark)
        hosts[registry.host] = registry
    return iter(hosts.values())


def _whole_hosts(logins: Section) -> Iterator[str]:
    return (parse_place(key, 0).host for key in logins.value if "/" not in key)


def _registry(logins: Section, key: str) -> tuple[str, ImportedRegistry]:
    section = logins.section(key)
    place = parse_place(key, section.line)
    remarks = list(unread_remarks_of_login(section))
    options: dict[str, Value] = {}
    if section.flag("insecure"):
        options["tls"] = False
        text = "becomes tls: false, plain HTTP; for TLS with an authority of its own, write ca_file: in its place"
        remarks.append(section.remark(text, "insecure", is_lost=False))
    user, password = section.text("username"), section.text("password")
    login = read_login(place.host, user, password) if user or password else None
    registry = ImportedRegistry(host=place.host, login=login, options=tuple(options.items()), remarks=tuple(remarks))
    return place.name, registry


def unread_remarks_of_login(section: Section) -> tuple[Remark, ...]:
    """Remarks for unknown keys beside a login."""
    for key in ("username", "password", "insecure"):
        section.has(key)
    return unread_remarks(section)


def _entries(rules: Section, key: str) -> Iterator[Entry]:
    """The entries of a rule, one for each destination. :raises NoCounterpart: when one has no counterpart."""
    line = rules.line_of(key)
    if not (targets := rules.texts(key)):
        raise rules.no_counterpart("has no destination", key)
    name, rule = _source(key, line)
    for text in targets:
        target, wanted = _target(text, line)
        entry = Entry(
            file=rules.document.name, line=line, source=name.repository, destination=target.repository, rules=(rule,)
        )
        yield _with_tags(entry, name, wanted, rules.remark("", key))


def _source(text: str, line: int) -> tuple[ImageName, Rule]:
    """The source of a rule: a repository, and a list of tags, an expression between slashes, or a digest."""
    name, colon, expression = text.partition(":/")
    if colon and text.endswith("/"):
        try:
            return parse_image(name, line), Rule(include=(found_pattern(expression[:-1]),))
        except ConfigurationError as error:
            raise NoCounterpart(line, f"{shown(text)}: {error}") from error
    first, *others = text.split(",")
    image = parse_image(first, line)
    if wrong := [tag for tag in others if not is_tag(tag)]:
        raise NoCounterpart(line, f"{shown(text)}: {shown(wrong[0])} is not a tag")
    if image.digest:
        return image, Rule(names=((tag_for(image.digest), image.digest),))
    return image, Rule(names=tuple((tag, None) for tag in (image.tag, *others) if tag))


def _target(text: str, line: int) -> tuple[ImageName, tuple[str, ...]]:
    """A destination, and the tags that it names."""
    if "$" in text:
        raise NoCounterpart(line, f"{shown(text)} has a variable; write its value, and import the file again")
    first, *others = text.split(",")
    image = parse_image(first, line)
    return image, tuple(filter(None, (image.tag, *others)))


def _with_tags(entry: Entry, source: ImageName, wanted: tuple[str, ...], at: Remark) -> Entry:
    """The entry with the tags that the destination has."""
    (rule,) = entry.rules
    if source.digest and wanted:
        return replace(entry, rules=(Rule(names=((wanted[0], source.digest),)),))
    if source.digest:
        text = f"{at.text}a digest has no tag there; it gets {rule.names[0][0]}, because it has none"
        return replace(entry, remarks=(replace(at, text=text, is_lost=False),))
    if wanted and wanted != tuple(tag for tag, _ in rule.names):
        text = (
            f"{at.text}changes the names of tags, which stay the same here: pin each as names: "
            f"['{wanted[0]}@sha256:…'], with the digest of the tag"
        )
        return replace(entry, is_left_out=True, remarks=(replace(at, text=text),))
    if rule == ALL_TAGS:
        return replace(
            entry, remarks=(replace(at, text=f"{at.text}has no tag, so all tags are mirrored", is_lost=False),)
        )
    return entry
