"""``on_moved_tag``: overwrite, keep or fail a tag that names another digest at the destination. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal, get_args

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest
from registry_sync.tags.backup_names import BackupTemplate
from registry_sync.tags.patterns import Pattern, parse_pattern
from registry_sync.tags.tag_patterns import parse_tag_pattern
from registry_sync.text import quoted

OverwritePolicy = Literal["follow", "keep", "fail"]

POLICIES: tuple[OverwritePolicy, ...] = get_args(OverwritePolicy)

OverwritePolicies = tuple[tuple[Pattern, OverwritePolicy], ...]
"""Patterns with a policy each. The first pattern that matches a tag counts; without a match the tag is followed."""

_CHOICES = "'follow', 'keep' or 'fail'"


def parse_policies(written: Any) -> OverwritePolicies:
    """Read one policy for all tags, or a mapping of patterns to policies.

    >>> as_written(parse_policies("keep"))
    'keep'

    :raises ConfigurationError: when it is neither, or a pattern never counts.
    """
    match written:
        case str():
            return ((parse_pattern("*"), _policy(written)),)
        case Mapping() if written:
            _check_order(list(written))
            return tuple((_pattern(key), _policy(policy, f" for {quoted(key)}")) for key, policy in written.items())
    raise ConfigurationError(f"expected {_CHOICES}, or patterns of tags with one of these each, got {written!r}")


def _check_order(patterns: list[Any]) -> None:
    """:raises ConfigurationError: when patterns come after ``*``."""
    if unreachable := patterns[patterns.index("*") + 1 :] if "*" in patterns else []:
        raise ConfigurationError(
            f"{quoted(unreachable[0])} never counts, because '*' before it matches every tag; write '*' last"
        )


def _policy(written: Any, where: str = "") -> OverwritePolicy:
    policy = next((policy for policy in POLICIES if policy == written), None)
    if policy is None:
        raise ConfigurationError(f"expected {_CHOICES}{where}, got {written!r}")
    return policy


def _pattern(written: Any) -> Pattern:
    if isinstance(written, str):
        return parse_tag_pattern(written)
    raise ConfigurationError(f"expected patterns of tags, got {written!r} (quote it)")


FOLLOW: OverwritePolicies = parse_policies("follow")


def policy_of(tag: str, policies: OverwritePolicies) -> tuple[OverwritePolicy, str]:
    """The policy for ``tag``, and the setting that it comes from.

    >>> policy_of("v1", parse_policies({"latest": "follow", "v*": "fail"}))
    ('fail', "on_moved_tag is fail for 'v*'")
    """
    pattern, policy = next((pair for pair in policies if pair[0].matches(tag)), FOLLOW[0])
    return policy, f"on_moved_tag is {policy}" + ("" if pattern.text == "*" else f" for {quoted(pattern.text)}")


def as_written(policies: OverwritePolicies) -> str | dict[str, str]:
    """The policies as a mirrors file has them: one word for all tags, or a mapping."""
    written: dict[str, str] = {pattern.text: policy for pattern, policy in policies}
    return written["*"] if list(written) == ["*"] else written


@dataclass(frozen=True, slots=True, kw_only=True)
class OverwriteRules:
    """Rules for tags that name another digest at the destination.

    ``locked`` are the tags that the destination lists as immutable. ``backup_name`` returns the tag that keeps the old
    digest of a tag, and raises ValueError when it cannot; ``None``: no backup. ``accepted`` are digests that tags may
    move to whatever their policy is.
    """

    policies: OverwritePolicies = FOLLOW
    locked: frozenset[str] = frozenset()
    backup_name: Callable[[str, Digest], str] | None = None
    accepted: Mapping[str, Digest] = field(default_factory=dict, hash=False)


OVERWRITE_ALL = OverwriteRules()
"""Every changed tag is overwritten, without a backup."""


def overwriting(
    policies: OverwritePolicies,
    backup_tag: BackupTemplate | None,
    locked: Iterable[str],
    now: datetime,
    accepted: Mapping[str, Digest] | None = None,
) -> OverwriteRules:
    """The rules of a route at the time ``now``, which is in the names of backups."""
    name = partial(backup_tag.name, now=now) if backup_tag else None
    return OverwriteRules(policies=policies, locked=frozenset(locked), backup_name=name, accepted=accepted or {})
