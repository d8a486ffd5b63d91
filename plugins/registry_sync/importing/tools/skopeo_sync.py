"""Files of ``skopeo sync --src yaml``: https://github.com/containers/skopeo/blob/main/docs/skopeo-sync.1.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from registry_sync.config.reading.yaml_source import Document
from registry_sync.errors import ConfigurationError
from registry_sync.importing.expressions import found_pattern
from registry_sync.importing.logins import read_login
from registry_sync.importing.model import ALL_TAGS, Entry, Imported, ImportedRegistry, Remark, Rule, Wish
from registry_sync.importing.names import below, parse_place, parse_repository, tag_for
from registry_sync.importing.ranges import range_rule
from registry_sync.importing.reading import NoCounterpart, Section, shown, unread_remarks, whole
from registry_sync.oci.reference import Digest, Repository, is_tag

PLACEHOLDER = Repository("registry.example.com", "")

NUMBERS = (
    "a tag that is a number alone, such as 2 or 20261124, is not read as a version here; add version: '(.+)' where it "
    "is one"
)


def read_skopeo_sync(documents: tuple[Document, ...], wish: Wish) -> Imported:
    """Read files of skopeo sync. :raises NoCounterpart: when a file as a whole has another form."""
    registries, entries, remarks = list[ImportedRegistry](), list[Entry](), list[Remark]()
    for document in documents:
        top = whole(document)
        for key in top.value:
            host = top.section(key)
            place = parse_place(key, host.line)
            registries.append(_registry(host, place))
            entries += _entries(host, place, wish.destinations or (PLACEHOLDER,), wish, remarks)
            remarks += unread_remarks(host)
        if not wish.destinations:
            remarks.append(top.remark(no_destination("skopeo sync names it on its command line")))
        remarks += [top.remark(text, is_lost=False) for text in _general(top)]
    names = tuple(document.name for document in documents)
    return Imported(
        tool="skopeo", files=names, registries=tuple(registries), entries=tuple(entries), remarks=tuple(remarks)
    )


def no_destination(why: str) -> str:
    """The remark for a file that names no destination."""
    return f"the file has no destination: {why}; import it with --to HOST/PATH, or replace {PLACEHOLDER.host} below"


def _general(top: Section) -> Iterator[str]:
    yield "the file has no schedule, so the mirrors run only by hand; write schedule:"
    yield "images are mirrored with all their platforms; skopeo sync copies one without its option --all"
    if any("images-by-semver" in host for host in top.value.values()):
        yield NUMBERS


def _registry(section: Section, place: Repository) -> ImportedRegistry:
    credentials = section.section("credentials")
    user, password = credentials.text("username"), credentials.text("password")
    remarks = [section.remark("names a folder of certificates; write ca_file: with its authority", "cert-dir")]
    remarks = remarks if section.has("cert-dir") else []
    if section.flag("tls-verify") is False:
        text = "turns off verification, or TLS itself; write ca_file: with its authority, or tls: false for plain HTTP"
        remarks.append(section.remark(text, "tls-verify"))
    login = read_login(place.host, user, password) if user or password else None
    return ImportedRegistry(host=place.host, login=login, remarks=(*remarks, *unread_remarks(credentials)))


def _entries(
    section: Section, place: Repository, destinations: tuple[Repository, ...], wish: Wish, remarks: list[Remark]
) -> Iterator[Entry]:
    """The entries of a registry, one for each of its images and each destination."""
    readers: dict[str, Callable[[Section, str], Rule]] = {
        "images": _listed,
        "images-by-tag-regex": lambda images, name: Rule(include=(found_pattern(images.text(name)),)),
        "images-by-semver": lambda images, name: range_rule(images.text(name)),
    }
    for key, read in readers.items():
        images = section.section(key)
        for name in images.value:
            try:
                yield from _entry(images, name, place, destinations, wish, _read_rule(read, images, name))
            except NoCounterpart as error:
                text = f"{error.text}; the entry is left out"
                remarks.append(Remark(file=section.document.name, line=error.line, text=text))


def _read_rule(read: Callable[[Section, str], Rule], images: Section, name: str) -> Rule:
    try:
        return read(images, name)
    except ConfigurationError as error:
        raise images.no_counterpart(str(error), name) from error


def _entry(
    images: Section, name: str, place: Repository, destinations: tuple[Repository, ...], wish: Wish, rule: Rule
) -> Iterator[Entry]:
    """An entry for each destination, where skopeo puts an image under the last part of its name, or under all of it."""
    line = images.line_of(name)
    source = parse_repository("/".join(filter(None, (place.name, name))), line, place.host)
    target = f"{source.host}/{source.name}" if wish.scoped else source.name.rpartition("/")[2]
    remarks = []
    if rule == ALL_TAGS:
        remarks.append(images.remark("has no list of tags, so all tags are mirrored", name, is_lost=False))
    if pinned := [tag for tag, digest in rule.names if digest]:
        text = f"a digest has no tag there; it gets {', '.join(pinned)}, because it has none"
        remarks.append(images.remark(text, name, is_lost=False))
    entry = Entry(
        file=images.document.name,
        line=line,
        source=source,
        destination=source,
        rules=(rule,),
        remarks=tuple(remarks),
    )
    for destination in destinations:
        yield replace(entry, destination=below(destination, target))


def _listed(images: Section, name: str) -> Rule:
    """A list of tags and digests; an empty one is all tags."""
    names = tuple(_named(text, images, name) for text in images.texts(name))
    return Rule(names=tuple(dict.fromkeys(names)))


def _named(text: str, images: Section, name: str) -> tuple[str, Digest | None]:
    if is_tag(text):
        return text, None
    try:
        digest = Digest.parse(text)
    except ValueError as error:
        raise images.no_counterpart(f"{shown(text)} is neither a tag nor a digest", name) from error
    return tag_for(digest), digest
