"""Manifests of the Kubernetes image promoter.

https://github.com/kubernetes-sigs/promo-tools/blob/main/docs/image-promotion.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from registry_sync.config.reading.yaml_source import Document
from registry_sync.importing.logins import read_login
from registry_sync.importing.model import Entry, Imported, ImportedRegistry, Remark, Rule, Wish
from registry_sync.importing.names import below, parse_place, parse_repository, tag_for
from registry_sync.importing.reading import NoCounterpart, Section, items, shown, unread_remarks, whole
from registry_sync.oci.reference import Digest, Repository, is_tag


@dataclass(frozen=True, slots=True)
class _Places:
    """The registry that is read, and those that are written."""

    source: Repository
    destinations: tuple[Repository, ...]


def read_promoter(documents: tuple[Document, ...], wish: Wish) -> Imported:
    """Read a manifest, with the images of the same file or of others.

    :raises NoCounterpart: when no file has ``registries:``, or one has another form.
    """
    tops = [whole(document) for document in documents if isinstance(document.value, Mapping)]
    manifests = [top for top in tops if top.has("registries")]
    if not manifests:
        raise NoCounterpart(1, "has no registries:; import it together with its promoter-manifest.yaml")
    if len(manifests) > 1:
        raise NoCounterpart(1, "there are two manifests with registries:; import one at a time")
    registries = manifests[0].sections("registries")
    images = [image for top in tops for image in top.sections("images")]
    for document in documents:
        if isinstance(document.value, tuple):
            images += items(document, (), document.value)
    places = _places(registries, manifests[0], wish)
    described, remarks = tuple(_registries(registries)), list[Remark]()
    entries = _all_entries(images, places, remarks)
    remarks += [remark for section in (*tops, *registries) for remark in _unread(section)]
    return Imported(
        tool="promoter",
        files=tuple(document.name for document in documents),
        registries=described,
        entries=tuple(entries),
        defaults=(("on_moved_tag", "fail"),),
        remarks=(*_general(manifests[0]), *remarks),
    )


def _unread(section: Section) -> tuple[Remark, ...]:
    """Remarks for unknown keys. ``imagesPath`` is known, and has no effect there."""
    section.has("imagesPath")
    return unread_remarks(section)


def _general(manifest: Section) -> Iterator[Remark]:
    for text in (
        "a manifest has no schedule, so the mirrors run only by hand; write schedule:",
        "the promoter refuses to move a tag, so on_moved_tag is fail",
        "the promoter signs what it promotes, and verifies provenance; here signatures are copied: docs/signatures.md",
    ):
        yield manifest.remark(text, "registries", is_lost=False)


def _places(registries: tuple[Section, ...], manifest: Section, wish: Wish) -> _Places:
    sources = [parse_place(registry.required("name"), registry.line) for registry in registries if registry.flag("src")]
    others = tuple(
        parse_place(registry.required("name"), registry.line) for registry in registries if not registry.flag("src")
    )
    if len(sources) != 1 or not (others or wish.destinations):
        raise manifest.no_counterpart("expected one registry with src: true, and another one", "registries")
    return _Places(sources[0], wish.destinations or others)


def _registries(registries: tuple[Section, ...]) -> Iterator[ImportedRegistry]:
    """The registries by host, with a login where one has a service account."""
    hosts: dict[str, ImportedRegistry] = {}
    for section in registries:
        host = parse_place(section.required("name"), section.line).host
        account = section.text("service-account")
        login = read_login(host, "_json_key", "") if account else None
        remarks: tuple[Remark, ...] = ()
        if account:
            text = f"{shown(account)} needs a key of its own here, as the password of the Connection"
            remarks = (section.remark(text, "service-account", is_lost=False),)
        if login or host not in hosts:
            hosts[host] = ImportedRegistry(host=host, login=login, remarks=remarks)
    return iter(hosts.values())


def _all_entries(images: list[Section], places: _Places, remarks: list[Remark]) -> list[Entry]:
    entries = list[Entry]()
    for image in images:
        try:
            entries += _entries(image, places)
        except NoCounterpart as error:
            text = f"{error.text}; the entry is left out"
            remarks.append(Remark(file=image.document.name, line=error.line, text=text))
        remarks += unread_remarks(image)
    return entries


def _entries(image: Section, places: _Places) -> Iterator[Entry]:
    """An image, for each destination: every tag is pinned to its digest."""
    name = image.required("name")
    source = below(places.source, name)
    parse_repository(source.name, image.line_of("name"), source.host)
    dmap = image.section("dmap")
    names, notes = list[tuple[str, Digest | None]](), list[Remark]()
    for text in dmap.value:
        digest = _digest(text, dmap)
        tags = dmap.texts(text)
        if wrong := [tag for tag in tags if not is_tag(tag)]:
            raise dmap.no_counterpart(f"{shown(wrong[0])} is not a tag", text)
        if not tags:
            notes.append(
                dmap.remark(f"has no tag there; it gets {tag_for(digest)}, because it has none", text, is_lost=False)
            )
        names += [(tag, digest) for tag in tags or (tag_for(digest),)]
    if not names:
        raise image.no_counterpart("has no digests under dmap:")
    for place in places.destinations:
        yield Entry(
            file=image.document.name,
            line=image.line,
            source=source,
            destination=below(place, name),
            rules=(Rule(names=tuple(names)),),
            remarks=tuple(notes),
        )


def _digest(text: str, dmap: Section) -> Digest:
    try:
        return Digest.parse(text)
    except ValueError as error:
        raise dmap.no_counterpart(f"{shown(text)} is not a digest", text) from error
