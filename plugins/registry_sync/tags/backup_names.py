"""Names of backups: the tag under which an image stays that is about to be overwritten."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment
from pydantic import AfterValidator, Field

from registry_sync.oci.reference import Digest, is_tag


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
        except RecursionError as error:  # macros can call themselves
            raise ValueError(f"{self.text!r} cannot be made for {tag!r}: it is nested too deeply") from error
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
    except RecursionError as error:
        raise ValueError(f"{text!r} is no Jinja2 template: it is nested too deeply") from error
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


def reject_backup_tags(tags: Collection[str], backup_tag: str | None) -> dict[str, str]:
    """The tags that are backups, which are never mirrored, each with that for a reason."""
    if backup_tag is None:
        return {}
    template = backup_template(backup_tag)
    return {tag: f"a backup, by its name (backup_tag {backup_tag!r})" for tag in tags if template.is_backup(tag)}
