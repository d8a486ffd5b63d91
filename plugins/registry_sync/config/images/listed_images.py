"""Read the lists of images that a mirrors file names: ``images_from:`` of a mirror, ``from:`` of bootstrap images.

The lists are files beside the mirrors file. Nothing is run and no network is used: DAG files are parsed often.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_sync.config.images.image_lists import split_image
from registry_sync.config.images.images_in_use import images_in_use
from registry_sync.config.node_pools import check_image
from registry_sync.config.reading.yaml_source import Document, Place
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository, parse_host, without_default_port
from registry_sync.registry.same_registry import same_registry
from registry_sync.text import quoted

MAX_LIST_BYTES = 2_000_000
"""Size of a list. Whole dumps of a cluster are collected into a short list first: they would be read at each parse."""


def expand_image_lists(document: Document, folder: Path) -> None:
    """Replace the lists of a document by rules of mirrors and images of pools. An unreadable list becomes a problem.

    :param folder: of the mirrors file, or of the folder with several.
    """
    if isinstance(document.value, dict):
        _Expander(document, folder).expand()


@dataclass(frozen=True, slots=True)
class _Expander:
    document: Document
    folder: Path

    def expand(self) -> None:
        self._expand_entries("mirrors", "repositories", "images_from")
        self._expand_entries("nodes", "bootstrap_images", "from")

    def _expand_entries(self, section: str, key: str, source: str) -> None:
        entries = self.document.value.get(section)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            written = entry.get(key) if isinstance(entry, dict) else None
            if isinstance(written, dict) and source in written:
                place = (section, name, key)
                try:
                    images = self._read(written[source], place)
                    entry[key] = (
                        self._rules(written, images, entry) if section == "mirrors" else _named(written, images)
                    )
                except ConfigurationError as error:
                    self.document.problems.append((place, str(error)))
                    entry[key] = ()

    def _read(self, written: Any, place: Place) -> Mapping[str, str]:
        """The images of one file, or of several, with their ``FILE:LINE``.

        :raises ConfigurationError: when one has none, or cannot be read.
        """
        files = (written,) if isinstance(written, str) else written
        if not files or not isinstance(files, tuple) or not all(isinstance(file, str) for file in files):
            raise ConfigurationError("expected the name of a file with images, or a list of them")
        base = (self.folder / self.document.file(place)).parent
        images: dict[str, str] = {}
        for file in files:
            images = {**images, **{image: at for image, at in _read_list(base, file).items() if image not in images}}
        return images

    def _rules(
        self, written: Mapping[str, Any], images: Mapping[str, str], entry: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        """A rule for each repository of the mirror's source. Images of other registries are for other mirrors."""
        options = {key: value for key, value in written.items() if key != "images_from"}
        if taken := sorted(options.keys() & {"tags", "repository", "namespace", "rename"}):
            raise ConfigurationError(f"{quoted(taken[0])} cannot be beside images_from:, which names images")
        host, tls = self._source(entry)
        pins: dict[str, dict[str, str]] = defaultdict(dict)
        repositories = {image: Repository.parse(split_image(image)[0]) for image in images}
        for image, repository in repositories.items():
            if same_registry(without_default_port(repository.host, tls=tls), host):
                _add_tag(pins[repository.name], image, images[image])
        if not pins and host:
            others = ", ".join(sorted({repository.host for repository in repositories.values()}))
            raise ConfigurationError(f"the list has no image of {host}, the source; it has images of {others}")
        return tuple(
            {
                **options,
                "repository": name,
                "tags": {"names": tuple(f"{tag}{pin and f'@{pin}'}" for tag, pin in tags.items())},
            }
            for name, tags in sorted(pins.items())
        )

    def _source(self, entry: Mapping[str, Any]) -> tuple[str, bool]:
        """The host of the mirror's source, and whether it has TLS.

        The host is empty where it is not written correctly, which is reported elsewhere.
        """
        value = self.document.value
        defaults, registries = value.get("defaults"), value.get("registries")
        source = entry.get("source", defaults.get("source") if isinstance(defaults, dict) else None)
        registry = registries.get(source) if isinstance(registries, dict) and isinstance(source, str) else None
        written = registry if isinstance(registry, dict) else {}
        try:
            return parse_host(str(written.get("host", ""))), written.get("tls") is not False
        except ConfigurationError:
            return "", True


def _named(written: Mapping[str, Any], images: Mapping[str, str]) -> tuple[Any, ...]:
    if others := sorted(written.keys() - {"from"}):
        raise ConfigurationError(f"unknown key {quoted(others[0])} beside from:")
    return tuple({"image": image} for image in images)


def _read_list(base: Path, name: str) -> Mapping[str, str]:
    if "://" in name:
        raise ConfigurationError(
            f"{quoted(name)} is not a file; render a chart by helm template into nodes collect, and name the list"
        )
    path = base / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the list of images {quoted(name)} ({error})") from error
    if len(content) > MAX_LIST_BYTES:
        raise ConfigurationError(
            f"{quoted(name)} has {len(content)} bytes, too many for a file that is read often; write its images into a "
            "list by nodes collect"
        )
    try:
        images = images_in_use(content.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{quoted(name)} is not UTF-8 text") from error
    if images.left_out:
        raise ConfigurationError(f"{next(iter(images.left_out.values()))}, and write a list by nodes collect")
    if not images.places:
        raise ConfigurationError(f"{quoted(name)} names no image")
    for image, at in images.places.items():
        _check(image, at)
    return images.places


def _check(image: str, at: str) -> None:
    try:
        check_image(image)
    except ConfigurationError as error:
        raise ConfigurationError(f"{at}: {error}") from error


def _add_tag(pins: dict[str, str], image: str, at: str) -> None:
    """Add the tag of an image to those of its repository, with the digest that pins it, empty if none does.

    :raises ConfigurationError: when it has no tag, or another digest than the same tag before.
    """
    name, suffix, tag = split_image(image)
    before, sign, digest = suffix.partition("@")
    if sign and not before:
        raise ConfigurationError(
            f"{at}: {quoted(image)} has a digest and no tag; write {name}:TAG@{digest}, with any TAG of your own, or "
            "remove it"
        )
    if digest and pins.get(tag, digest) not in ("", digest):
        raise ConfigurationError(
            f"{at}: {quoted(image)} has another digest than the same tag before, {pins[tag]}; a mirror copies one: "
            "remove the other"
        )
    pins[tag] = digest or pins.get(tag, "")
