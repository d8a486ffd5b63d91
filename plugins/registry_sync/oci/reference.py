"""Digest, Repository and Reference of the OCI distribution spec, with the short names of Docker Hub.

Grammar: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests and
https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from registry_sync.errors import ConfigurationError

DOCKER_HUB = "docker.io"

DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
"""All hosts of Docker Hub's registry."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"

_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")

_DIGEST = re.compile(r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")

_HEX = re.compile(r"[0-9a-f]+")

_HEX_LENGTH = {"sha256": 64, "sha512": 128}

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"

_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::([1-9][0-9]{{0,4}}))?")

_IPV6 = re.compile(r"\[[0-9a-fA-F:.]+\](:[0-9]+)?|[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*")

MAX_NAME_LENGTH = 255


def parse_host(text: str) -> str:
    """Parse a registry's ``host`` or ``host:port`` to lower case, and Docker Hub's aliases to ``docker.io``.

    >>> parse_host("index.docker.io")
    'docker.io'

    :raises ConfigurationError: when it is not a host (a URL, for example), or not valid in image references.
    """
    if _IPV6.fullmatch(text):
        raise ConfigurationError(
            f"{text!r} is an IPv6 address, which skopeo's image references cannot hold; write a name that resolves to "
            "it"
        )
    match, host = _HOST.fullmatch(text), text.lower()
    if match is None or int(match[1] or 443) > 65535:
        raise ConfigurationError(
            f"{text!r} is not a registry host; write host or host:port, without https:// or a path"
        )
    if not _is_host(host):
        problem = "has neither a dot nor a port, so image names with it would mean Docker Hub"
        raise ConfigurationError(f"{text!r} {problem}; write the port too, such as {f'{text}:443'!r}")
    return DOCKER_HUB if host in DOCKER_HUB_HOSTS else host


def without_default_port(host: str, *, tls: bool) -> str:
    """``host`` without the default port of its scheme, so that a registry has one name.

    >>> without_default_port("quay.io:443", tls=True), without_default_port("registry:80", tls=False)
    ('quay.io', 'registry:80')
    """
    name = host.removesuffix(":443" if tls else ":80")
    return parse_host(name) if _is_host(name) else host


def _is_host(first: str) -> bool:
    """Return whether Docker and skopeo read the first part of an image's name as a host.

    https://github.com/distribution/reference/blob/v0.6.0/normalize.go#L140
    """
    return "." in first or ":" in first or first == "localhost"


def parse_repository_name(text: str) -> str:
    """Parse a repository name without its registry, such as ``giantswarm/hyperkube``.

    :raises ConfigurationError: when it is outside the OCI grammar; the message explains common mistakes.
    """
    if _NAME.fullmatch(text) and len(text) <= MAX_NAME_LENGTH:
        return text
    raise ConfigurationError(f"{text[: 2 * MAX_NAME_LENGTH]!r} is not a repository name: {_fault_of_name(text)}")


def _fault_of_name(text: str) -> str:
    if not text:
        return "it is empty"
    if len(text) > MAX_NAME_LENGTH:
        return f"it has {len(text)} characters, at most {MAX_NAME_LENGTH} are allowed"
    if "@" in text:
        return (
            "write it without registry, tag and digest; names: (below tags:) takes a digest as TAG@sha256:…, with any "
            "TAG of your own"
        )
    if ":" in text:
        return "write it without registry, tag and digest (tags have a key of their own)"
    if _NAME.fullmatch(text.lower()):
        return f"upper-case letters are not allowed; write {text.lower()!r}"
    return "only a-z, 0-9 and single '.', '_', '-' or '__' between them, in parts separated by '/'"


def is_tag(text: str) -> bool:
    """Return whether ``text`` is a valid OCI tag. Some registries also list invalid ones, such as digests."""
    return _TAG.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content digest, ``algorithm:hex``.

    >>> Digest.parse("sha256:" + 64 * "a").short
    'sha256:aaaaaaaaaaaa'
    """

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``algorithm:hex``. :raises ValueError: when it is not a valid sha256 or sha512 digest."""
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a digest")
        algorithm, encoded = match.groups()
        if _HEX_LENGTH.get(algorithm) != len(encoded) or not _HEX.fullmatch(encoded):
            raise ValueError(f"{text!r} is not a sha256 or sha512 digest")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """Compute the digest of ``content``."""
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    @property
    def short(self) -> str:
        """Short form for messages: algorithm and 12 hexadecimal digits."""
        return f"{self.algorithm}:{self.encoded[:12]}"

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository of one registry.

    >>> str(Repository.parse("alpine"))
    'docker.io/library/alpine'
    """

    host: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``host/name``, or a Docker Hub name without a host.

        :raises ConfigurationError: when host or name is outside the grammar.
        """
        first, slash, rest = text.partition("/")
        if slash and _is_host(first):
            return cls.at(first, rest)
        return cls.at(DOCKER_HUB, text)

    @classmethod
    def at(cls, host: str, name: str) -> Self:
        """The repository ``name`` at ``host``; ``alpine`` at Docker Hub is ``library/alpine``."""
        host, name = parse_host(host), parse_repository_name(name)
        if host == DOCKER_HUB and "/" not in name:
            name = f"library/{name}"
        return cls(host, name)

    @property
    def short_name(self) -> str:
        """The name as it is usually written: ``alpine`` for ``library/alpine`` of Docker Hub."""
        return self.name.removeprefix("library/") if self.host == DOCKER_HUB else self.name

    def __str__(self) -> str:
        return f"{self.host}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A manifest in a repository, by tag or by digest.

    >>> str(Reference(Repository.parse("quay.io/a/b"), "v1"))
    'quay.io/a/b:v1'
    """

    repository: Repository
    target: str | Digest

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``[host/]name[:tag]`` (``latest`` when absent) or ``[host/]name@digest``.

        :raises ConfigurationError: when a part is outside the grammar, or tag and digest are both given.
        """
        name, at, digest = text.partition("@")
        if at:
            if split_tag(name)[1] is not None:
                raise ConfigurationError(f"{text!r} has a tag and a digest; write one of them")
            try:
                return cls(Repository.parse(name), Digest.parse(digest))
            except ValueError as error:
                raise ConfigurationError(f"{text!r}: {error}") from error
        name, tag = split_tag(text)
        if tag is not None and not is_tag(tag):
            raise ConfigurationError(f"{text!r}: {tag!r} is not a tag")
        return cls(Repository.parse(name), tag or "latest")

    def __str__(self) -> str:
        separator = "@" if isinstance(self.target, Digest) else ":"
        return f"{self.repository}{separator}{self.target}"


def split_tag(text: str) -> tuple[str, str | None]:
    """Split ``host:port/name:tag`` into name and tag. The tag's colon is the last, with no slash after it."""
    name, colon, tag = text.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (text, None)
