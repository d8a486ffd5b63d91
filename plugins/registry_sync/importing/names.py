"""Parse names of images and registries as other tools write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry_sync.errors import ConfigurationError
from registry_sync.importing.reading import NoCounterpart, shown, without_login
from registry_sync.oci.reference import Digest, Repository, is_tag, parse_host, split_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """The name of a repository, with the tag and digest behind it."""

    repository: Repository
    tag: str = ""
    digest: Digest | None = None


def parse_image(text: str, line: int) -> ImageName:
    """Parse ``[host/]name[:tag][@digest]``. :raises NoCounterpart: when it is not one."""
    name, at, digest = text.partition("@")
    name, tag = split_tag(name)
    if tag is not None and not is_tag(tag):
        raise NoCounterpart(line, f"{shown(text)}: {shown(tag)} is not a tag")
    try:
        pin = Digest.parse(digest) if at else None
    except ValueError as error:
        raise NoCounterpart(line, f"{shown(text)} has no sha256 or sha512 digest behind its @") from error
    return ImageName(repository=parse_repository(name, line), tag=tag or "", digest=pin)


def parse_repository(text: str, line: int, host: str = "") -> Repository:
    """Parse ``[host/]name``, or the name of a repository at ``host``. :raises NoCounterpart: when it is not one."""
    try:
        return Repository.at(host, text) if host else Repository.parse(text)
    except ConfigurationError as error:
        raise NoCounterpart(line, without_login(str(error))) from error


def parse_place(text: str, line: int) -> Repository:
    """Parse ``host`` or ``host/path``; the name may be empty. :raises NoCounterpart: when it is not one."""
    host, _, path = text.strip("/").partition("/")
    try:
        return Repository(parse_host(host), Repository.at("registry.example", path).name if path else "")
    except ConfigurationError as error:
        raise NoCounterpart(line, without_login(str(error))) from error


def below(place: Repository, name: str) -> Repository:
    """The repository ``name`` within a place of a registry."""
    return Repository(place.host, "/".join(filter(None, (place.name, name))))


def tag_for(digest: Digest) -> str:
    """A tag for an image that has only a digest, because registries delete images without one."""
    return f"digest-{digest.encoded[:12]}"


def registry_name(host: str) -> str:
    """The name of a registry in a mirrors file, made of its host.

    >>> registry_name("registry.example.com:5000")
    'registry_example_com_5000'
    """
    return re.sub(r"[^a-z0-9-]+", "_", host.lower()).strip("_")[:80]
