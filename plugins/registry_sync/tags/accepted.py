"""Moved tags that a person accepts for one run: ``TAG@DIGEST``, or ``REPOSITORY:TAG@DIGEST``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.text import quoted

ACCEPTED_FORM = (
    r"([a-z0-9][a-z0-9._:/-]*:)?[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"
)
"""The form of an accepted tag, for checks before a run starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedTag:
    """A tag whose move to a digest is right, whatever ``on_moved_tag`` says. Any other digest is not accepted.

    :ivar text: the entry as it is written.
    :ivar repository: source repository, with or without its registry; ``None`` where it is not written.
    """

    text: str
    tag: str
    digest: Digest
    repository: str | None = None


def parse_accepted(text: str) -> AcceptedTag:
    """Parse an accepted tag.

    >>> parse_accepted(f"team/app:v1@sha256:{64 * 'a'}").repository
    'team/app'

    :raises ConfigurationError: when it is not a tag with a digest.
    """
    name, _, digest = text.rpartition("@")
    repository, _, tag = name.rpartition(":")
    if re.fullmatch(ACCEPTED_FORM, text) is None or not is_tag(tag):
        raise ConfigurationError(
            f"accept: {quoted(text)} is not a tag with its digest; write TAG@sha256: and 64 digits of 0-9 and a-f, or "
            "REPOSITORY:TAG@sha256:…"
        )
    return AcceptedTag(text=text, tag=tag, digest=Digest.parse(digest), repository=repository or None)
