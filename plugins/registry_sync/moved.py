"""Tags that name another image at the destination: overwritten, kept or failed, and under what tag the old one stays.

Pure. The templates of ``backup_tag`` are Jinja2 in its sandbox: https://jinja.palletsprojects.com/en/stable/sandbox/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Annotated, Any, Literal, get_args

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from registry_sync.errors import ConfigurationError
from registry_sync.patterns import check_pattern, matches
from registry_sync.reference import Digest, is_tag

MovedTagPolicy = Literal["follow", "keep", "fail"]
_POLICIES: tuple[str, ...] = get_args(MovedTagPolicy)
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

MovedTagPolicies = Annotated[
    tuple[tuple[str, MovedTagPolicy], ...],
    BeforeValidator(_parse_policies),
    WithJsonSchema(
        {"anyOf": [_POLICY_SCHEMA, {"type": "object", "minProperties": 1, "additionalProperties": _POLICY_SCHEMA}]}
    ),
]
"""Patterns with a policy each. The first that matches a tag counts; one that none matches is followed."""

FOLLOW: tuple[tuple[str, MovedTagPolicy], ...] = (("*", "follow"),)


def policy_of(tag: str, policies: Iterable[tuple[str, MovedTagPolicy]]) -> tuple[MovedTagPolicy, str]:
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


def _check_backup_tag(text: str) -> str:
    """:raises ValueError: when it is no template, or one whose tags are invalid or not distinct."""
    _check_examples(backup_template(text))
    return text


BackupTag = Annotated[str, Field(min_length=1), AfterValidator(_check_backup_tag)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupTemplate:
    """A ``backup_tag``: the tag under which an image stays that is about to be overwritten.

    ``form`` matches every tag that the template can give. It is what backups are known by, and may match others too.
    """

    text: str
    compiled: Template
    form: re.Pattern[str]

    def name(self, tag: str, digest: Digest, moment: datetime) -> str:
        """The backup's tag, for what ``tag`` names at the destination.

        :raises ValueError: when that is no tag, or the tag itself.
        """
        values = {
            "tag": tag,
            "digest": str(digest),
            "digest_short": digest.encoded[:12],
            "date": f"{moment.astimezone(UTC):%Y-%m-%d}",
            "time": f"{moment.astimezone(UTC):%H%M%S}",
        }
        try:
            name = self.compiled.render(values)
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{self.text!r} cannot be made for {tag!r}: {error}") from error
        if not is_tag(name):
            raise ValueError(f"{self.text!r} gives {name!r} for {tag!r}, which is no tag")
        if name == tag:
            raise ValueError(f"{self.text!r} gives {name!r} itself; write more into it")
        return name

    def is_backup(self, tag: str) -> bool:
        """Whether ``tag`` may be one of its backups."""
        return self.form.fullmatch(tag) is not None


@cache
def backup_template(text: str) -> BackupTemplate:
    """Compile a ``backup_tag``.

    >>> template = backup_template("{{ tag }}-was-{{ digest_short }}")
    >>> template.is_backup("v1-was-0123456789ab"), template.is_backup("v1")
    (True, False)

    :raises ValueError: when it is no template, or has a variable that there is not.
    """
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    try:
        tree = environment.parse(text)
        compiled = environment.from_string(text)
    except TemplateSyntaxError as error:
        raise ValueError(f"{text!r} is no Jinja2 template: {error.message}") from error
    if unknown := sorted(meta.find_undeclared_variables(tree) - _FORMS.keys()):
        raise ValueError(f"{text!r}: there is no {unknown[0]!r}; there are {', '.join(_FORMS)}")
    return BackupTemplate(text=text, compiled=compiled, form=re.compile("".join(_forms(tree))))


_ANYTHING = r"[A-Za-z0-9._-]*"
_FORMS = {
    "tag": r"[A-Za-z0-9_][A-Za-z0-9._-]*",
    "digest": r"sha(?:256|512):[0-9a-f]+",
    "digest_short": r"[0-9a-f]{12}",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "time": r"[0-9]{6}",
}
"""The variables of a template, and what each looks like where it stands alone."""


def _forms(tree: nodes.Template) -> Iterable[str]:
    """A regular expression for each part of a template; what is computed can be anything."""
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            yield _ANYTHING
            continue
        for part in statement.nodes:
            match part:
                case nodes.TemplateData(data=text):
                    yield re.escape(text)
                case nodes.Name(name=name):
                    yield _FORMS.get(name, _ANYTHING)
                case _:
                    yield _ANYTHING


_ORDINARY = (
    *("latest", "main", "stable", "v1", "1.2.3", "v1.2.3-rc.1", "20260131", "2026-01-31", "v1.2.3-0123456789ab"),
    *("v1.2.3-0123456789abcdef0123456789abcdef01234567", f"sha256-{64 * '0'}.sig"),
)


def _check_examples(template: BackupTemplate) -> None:
    """What can be told of a template before there is an image: by the names that it gives.

    :raises ValueError: when those cannot be told from each other, or from tags that are no backups.
    """
    one, other = Digest("sha256", 64 * "1"), Digest("sha256", 64 * "2")
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    name = template.name("latest", one, moment)
    if template.name("latest", other, moment + timedelta(seconds=1)) == name:
        problem = "so that a second backup would overwrite the first; write {{ digest_short }} into it"
        raise ValueError(f"{template.text!r} gives {name!r} for every image of that tag, {problem}")
    if template.name("v1.2.3", other, moment) == name:
        raise ValueError(f"{template.text!r} gives {name!r} for every tag; write {{{{ tag }}}} into it")
    if ordinary := next((each for each in _ORDINARY if template.is_backup(each)), None):
        problem = "so that backups could not be told from them; write a word of its own into it, such as -was-"
        raise ValueError(f"{template.text!r} has the form of ordinary tags such as {ordinary!r}, {problem}")


def set_aside_backups(tags: Collection[str], backup_tag: str | None) -> dict[str, str]:
    """The tags that are backups, which are never mirrored, each with that for a reason."""
    if backup_tag is None:
        return {}
    template = backup_template(backup_tag)
    return {tag: f"a backup, by its name (backup_tag {backup_tag!r})" for tag in tags if template.is_backup(tag)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overwriting:
    """What is done with a tag that names another digest at the destination.

    ``locked`` are the tags that the destination lists as such. ``backup_name`` gives a backup's tag for a tag and what
    it names there, and raises ValueError when it cannot; ``None``: nothing is kept.
    """

    policies: tuple[tuple[str, MovedTagPolicy], ...] = FOLLOW
    locked: frozenset[str] = frozenset()
    backup_name: Callable[[str, Digest], str] | None = None


OVERWRITE = Overwriting()
"""Every tag that has moved is overwritten, and nothing is kept."""


def overwriting(
    policies: tuple[tuple[str, MovedTagPolicy], ...], backup_tag: str | None, locked: frozenset[str], now: datetime
) -> Overwriting:
    """The rules of a route, as of ``now``."""
    name = partial(backup_template(backup_tag).name, moment=now) if backup_tag else None
    return Overwriting(policies=policies, locked=locked, backup_name=name)
