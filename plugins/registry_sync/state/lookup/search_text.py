"""Parse the text of a search: part of a name, a tag, a digest or the beginning of one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import DOCKER_HUB

MAX_SEARCH = 600
"""Characters of a search: a name, a tag and a digest of the greatest length."""

MIN_HEX = 6
"""Hexadecimal digits of a digest that are searched for. Fewer are in too many digests."""

_HEX = re.compile(rf"[0-9a-f]{{{MIN_HEX},128}}")
_DIGEST = re.compile(r"(?:sha256|sha512):([0-9a-f]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A parsed search.

    :ivar name: part of a repository's whole name, in lower case; empty for all.
    :ivar tag: beginning of tags; ``None`` for all.
    :ivar digest: first hexadecimal digits of digests; ``None`` for all.
    :ivar is_digest_or_name: the text may be either; ``name`` and ``digest`` are the same then.
    """

    name: str = ""
    tag: str | None = None
    digest: str | None = None
    is_digest_or_name: bool = False


def parse_search(text: str) -> Search:
    """Parse ``NAME``, ``NAME:TAG``, ``NAME@DIGEST``, ``:TAG``, ``sha256:HEX`` or ``HEX``.

    >>> parse_search("hyperkube:v1.31")
    Search(name='hyperkube', tag='v1.31', digest=None, is_digest_or_name=False)

    :raises ConfigurationError: when nothing can be searched for.
    """
    wanted = re.sub(r"^(docker://|https?://)", "", text.strip()).rstrip("/")
    if not wanted:
        raise ConfigurationError("nothing to search for; write part of a name, NAME:TAG, or a digest")
    if len(wanted) > MAX_SEARCH or not wanted.isprintable() or re.search(r"\s", wanted):
        problem = f"longer than {MAX_SEARCH} characters" if len(wanted) > MAX_SEARCH else "with white space in it"
        raise ConfigurationError(f"a search {problem} matches nothing; write part of a name, NAME:TAG, or a digest")
    if _DIGEST.fullmatch(wanted):
        return Search(digest=_digest(wanted))
    if _HEX.fullmatch(wanted):
        return Search(name=wanted, digest=wanted, is_digest_or_name=True)
    named, at, digest = wanted.partition("@")
    name, tag = _split_tag(named)
    return Search(name=_name(name), tag=tag, digest=_digest(digest) if at else None)


def _split_tag(text: str) -> tuple[str, str | None]:
    """Name and tag. The colon before a port is followed by a slash."""
    name, colon, tag = text.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (text, None)


def _name(text: str) -> str:
    """A name in lower case, with Docker Hub by the name that it has in states."""
    name = text.lower()
    for alias in ("index.docker.io/", "registry-1.docker.io/"):
        name = f"{DOCKER_HUB}/{name.removeprefix(alias)}" if name.startswith(alias) else name
    return name


def _digest(text: str) -> str:
    """The hexadecimal digits of a digest or the beginning of one. :raises ConfigurationError: for anything else."""
    match = _DIGEST.fullmatch(text)
    digits = match[1] if match else text
    if not _HEX.fullmatch(digits):
        raise ConfigurationError(
            f"{text!r} is not the beginning of a digest; write {MIN_HEX} of its digits or more, such as sha256:0123ab"
        )
    return digits
