"""``backup_tag``: names for the backup of a tag that is about to be overwritten.

The templates are those of ``tags/templates.py``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.text import quoted

if TYPE_CHECKING:
    from jinja2 import nodes

    from registry_sync.tags.templates import BoundedTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupTemplate:
    """A compiled ``backup_tag``. ``form`` matches every tag that the template can produce, and may match others."""

    text: str
    _compiled: BoundedTemplate = field(compare=False, repr=False)
    form: re.Pattern[str] = field(compare=False, repr=False)

    def name(self, tag: str, digest: Digest, now: datetime) -> str:
        """The backup's tag for ``digest``, which ``tag`` names at the destination.

        :raises ValueError: when the result is not a valid tag, or is ``tag`` itself.
        """
        values = {
            "tag": tag,
            "digest": str(digest),
            "digest_short": digest.encoded[:12],
            "date": f"{now.astimezone(UTC):%Y-%m-%d}",
            "time": f"{now.astimezone(UTC):%H%M%S}",
        }
        try:
            name = self._compiled.render(values)
        except ValueError as error:
            raise ValueError(f"{quoted(self.text)} fails for {quoted(tag)}: {error}") from error
        if not is_tag(name):
            raise ValueError(f"{quoted(self.text)} gives {quoted(name)} for {quoted(tag)}, which is not a valid tag")
        if name == tag:
            raise ValueError(
                f"{quoted(self.text)} gives the tag itself; add a suffix such as -was-{{{{ digest_short }}}}"
            )
        return name

    def is_backup(self, tag: str) -> bool:
        """Return whether ``tag`` may be one of its backups."""
        return self.form.fullmatch(tag) is not None

    def __reduce__(self) -> tuple[Any, ...]:
        """Compile again where it is copied or unpickled: Airflow copies operators with all their arguments."""
        return parse_backup_tag, (self.text,)


@cache
def parse_backup_tag(text: str) -> BackupTemplate:
    """Compile a ``backup_tag``.

    >>> template = parse_backup_tag("{{ tag }}-was-{{ digest_short }}")
    >>> template.is_backup("v1-was-0123456789ab"), template.is_backup("v1")
    (True, False)

    :raises ConfigurationError: when it is not a template, or its tags are invalid or not distinct.
    """
    from registry_sync.tags.templates import compile_template  # noqa: PLC0415 - Jinja2 takes 40 ms of CPU to import

    compiled = compile_template(text)
    if unknown := sorted(compiled.variables - _FORMS.keys()):
        raise ConfigurationError(
            f"{quoted(text)}: unknown variable {quoted(unknown[0])}; there are {', '.join(_FORMS)}"
        )
    form = re.compile("".join(_forms(compiled.tree)))
    template = BackupTemplate(text=text, _compiled=compiled, form=form)
    try:
        _check_examples(template)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return template


_ANYTHING = r"[A-Za-z0-9._-]*"

_FORMS = {
    "tag": r"[A-Za-z0-9_][A-Za-z0-9._-]*",
    "digest": r"sha(?:256|512):[0-9a-f]+",
    "digest_short": r"[0-9a-f]{12}",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "time": r"[0-9]{6}",
}
"""The variables of a template, each with the form of its values."""


def _forms(tree: nodes.Template) -> Iterable[str]:
    """A regular expression for each part of a template; computed parts can be anything."""
    from jinja2 import nodes  # noqa: PLC0415 - as above

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


_ORDINARY_TAGS = (
    *("latest", "main", "stable", "v1", "1.2.3", "v1.2.3-rc.1", "20260131", "2026-01-31", "v1.2.3-0123456789ab"),
    *("v1.2.3-0123456789abcdef0123456789abcdef01234567", f"sha256-{64 * '0'}.sig"),
)


def _check_examples(template: BackupTemplate) -> None:
    """Check the names that the template gives to examples.

    :raises ValueError: when backups cannot be distinguished from each other, or from ordinary tags.
    """
    first, second = Digest("sha256", 64 * "1"), Digest("sha256", 64 * "2")
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    name = template.name("latest", first, now)
    if template.name("latest", second, now + timedelta(seconds=1)) == name:
        problem = "a second backup would overwrite the first; write {{ digest_short }} into it"
        raise ValueError(f"{quoted(template.text)} gives {quoted(name)} for every image of that tag: {problem}")
    if template.name("v1.2.3", second, now) == name:
        raise ValueError(f"{quoted(template.text)} gives {quoted(name)} for every tag; write {{{{ tag }}}} into it")
    if ordinary := next((tag for tag in _ORDINARY_TAGS if template.is_backup(tag)), None):
        problem = "such tags would be mistaken for backups; add a distinctive word, such as -was-"
        raise ValueError(f"{quoted(template.text)} has the form of ordinary tags such as {quoted(ordinary)}: {problem}")


def reject_backup_tags(tags: Collection[str], backup_tag: BackupTemplate | None) -> dict[str, str]:
    """The tags that are backups, which are never mirrored, with the reason for each."""
    if backup_tag is None:
        return {}
    reason = f"a backup, by its name (backup_tag {quoted(backup_tag.text)})"
    return dict.fromkeys(filter(backup_tag.is_backup, tags), reason)
