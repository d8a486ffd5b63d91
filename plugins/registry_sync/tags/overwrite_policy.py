"""Tags that name another image at the destination: overwritten, kept or failed, and under what tag the old one stays.

Pure. The templates of ``backup_tag`` are Jinja2 in its sandbox: https://jinja.palletsprojects.com/en/stable/sandbox/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, WithJsonSchema

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest
from registry_sync.tags.backup_names import (
    backup_template,
)
from registry_sync.tags.patterns import check_pattern, matches

OverwritePolicy = Literal["follow", "keep", "fail"]

_POLICIES: tuple[str, ...] = get_args(OverwritePolicy)

_ONE_OF_THEM = "'follow', 'keep' or 'fail'"


def _parse_policies(written: Any) -> Any:
    """Pairs of a pattern and a policy, in the order in which they count; JSON objects do not keep an order."""
    match written:
        case str():
            return (("*", _policy(written)),)
        case Mapping() if written:
            if idle := list(written)[list(written).index("*") + 1 :] if "*" in written else []:
                raise ValueError(f"{idle[0]!r} never counts, since '*' before it matches every tag; write '*' last")
            return tuple((_pattern(each), _policy(policy, f" for {each!r}")) for each, policy in written.items())
        case tuple() | list() if written and all(isinstance(each, tuple | list) for each in written):
            return tuple(map(tuple, written))
    raise ValueError(f"expected {_ONE_OF_THEM}, or patterns of tags with one of these each, got {written!r}")


def _policy(written: Any, where: str = "") -> str:
    if written in _POLICIES:
        return str(written)
    raise ValueError(f"expected {_ONE_OF_THEM}{where}, got {written!r}")


def _pattern(written: Any) -> str:
    if not isinstance(written, str):
        raise ValueError(f"expected patterns of tags, got {written!r} (quote it)")
    try:
        return check_pattern(written)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


_POLICY_SCHEMA = {"type": "string", "enum": list(_POLICIES)}

OverwritePolicies = Annotated[
    tuple[tuple[str, OverwritePolicy], ...],
    BeforeValidator(_parse_policies),
    WithJsonSchema(
        {"anyOf": [_POLICY_SCHEMA, {"type": "object", "minProperties": 1, "additionalProperties": _POLICY_SCHEMA}]}
    ),
]
"""Patterns with a policy each. The first that matches a tag counts; one that none matches is followed."""

FOLLOW: tuple[tuple[str, OverwritePolicy], ...] = (("*", "follow"),)


def policy_of(tag: str, policies: Iterable[tuple[str, OverwritePolicy]]) -> tuple[OverwritePolicy, str]:
    """What is done with ``tag`` when it has moved, and in words where that is written.

    >>> policy_of("v1", (("latest", "follow"), ("v*", "fail")))
    ('fail', "on_moved_tag is fail for 'v*'")
    """
    pattern, policy = next((each for each in policies if matches(each[0], tag)), FOLLOW[0])
    return policy, f"on_moved_tag is {policy}" + ("" if pattern == "*" else f" for {pattern!r}")


def as_written(policies: Iterable[tuple[str, str]]) -> str | dict[str, str]:
    """As a mirrors file has it: one word for all tags, or patterns with one each.

    >>> as_written([("*", "keep")]), as_written([("v*", "fail"), ("*", "keep")])
    ('keep', {'v*': 'fail', '*': 'keep'})
    """
    written = dict(policies)
    return written["*"] if list(written) == ["*"] else written


@dataclass(frozen=True, slots=True, kw_only=True)
class OverwriteRules:
    """What is done with a tag that names another digest at the destination.

    ``locked`` are the tags that the destination lists as such. ``backup_name`` gives a backup's tag for a tag and what
    it names there, and raises ValueError when it cannot; ``None``: nothing is kept.
    """

    policies: tuple[tuple[str, OverwritePolicy], ...] = FOLLOW
    locked: frozenset[str] = frozenset()
    backup_name: Callable[[str, Digest], str] | None = None


OVERWRITE_ALL = OverwriteRules()
"""Every tag that has moved is overwritten, and nothing is kept."""


def overwriting(
    policies: tuple[tuple[str, OverwritePolicy], ...], backup_tag: str | None, locked: frozenset[str], now: datetime
) -> OverwriteRules:
    """The rules of a route, as of ``now``."""
    name = partial(backup_template(backup_tag).name, moment=now) if backup_tag else None
    return OverwriteRules(policies=policies, locked=locked, backup_name=name)
