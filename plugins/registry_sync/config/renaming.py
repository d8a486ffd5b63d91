"""Repository names at a destination: the same name, the name that ``rename`` gives, or one with another prefix.

The templates are those of ``tags/templates.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import parse_repository_name
from registry_sync.text import quoted

if TYPE_CHECKING:
    from registry_sync.tags.templates import BoundedTemplate

VARIABLES = ("repository", "namespace", "name", "registry", "destination", "mirror")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """``rename`` is the whole name or its template. Without it ``strip_prefix`` is removed and ``prefix`` is added."""

    rename: str | None = None
    prefix: str = ""
    strip_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Variables of templates: a source repository, and the names of source, destination and mirror."""

    repository: str
    registry: str
    destination: str
    mirror: str

    @property
    def namespace(self) -> str:
        """All of the repository before its last part; empty when it has one part only."""
        return self.repository.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The repository's last part."""
        return self.repository.rpartition("/")[2]


def check_rename(text: str) -> str:
    """Return ``text`` if it is a name or the template of one.

    :raises ConfigurationError: when it is neither, or a template with unknown variables.
    """
    if not is_template(text):
        return parse_repository_name(text)
    _template(text)
    return text


def check_name_part(text: str) -> str:
    """Return ``text`` if a repository name may contain it. :raises ConfigurationError: when not."""
    if re.fullmatch(r"[a-z0-9._/-]*", text):
        return text
    raise ConfigurationError(f"{quoted(text)} is not part of a repository name; write a-z, 0-9, '.', '_', '-' and '/'")


def is_template(text: str) -> bool:
    """Return whether it is a template and not a name: names have no braces."""
    return "{" in text


def destination_name(naming: Naming, names: Names) -> str:
    """The name at the destination.

    >>> names = Names(repository="a/app", registry="quay", destination="hub", mirror="m")
    >>> destination_name(Naming(rename="copies/{{ namespace }}-{{ name }}"), names)
    'copies/a-app'
    >>> destination_name(Naming(strip_prefix="a/", prefix="mirror/"), names)
    'mirror/app'

    :raises ConfigurationError: when it is not a valid name, or the repository does not begin with ``strip_prefix``.
    """
    if naming.rename and not is_template(naming.rename):
        return naming.rename
    if naming.rename:
        return _check(_render(naming.rename, names), f"rename {quoted(naming.rename)}", names)
    if not names.repository.startswith(naming.strip_prefix):
        advice = 'fix it, or write strip_prefix: "" for this one'
        raise ConfigurationError(
            f"{quoted(names.repository)} does not begin with strip_prefix {quoted(naming.strip_prefix)}; {advice}"
        )
    made = naming.prefix + names.repository.removeprefix(naming.strip_prefix)
    return _check(made, f"prefix {quoted(naming.prefix)} with strip_prefix {quoted(naming.strip_prefix)}", names)


def _check(made: str, how: str, names: Names) -> str:
    try:
        return parse_repository_name(made)
    except ConfigurationError as error:
        raise ConfigurationError(f"{how} gives no valid name for {quoted(names.repository)}: {error}") from error


def _render(text: str, names: Names) -> str:
    try:
        return _template(text).render({variable: getattr(names, variable) for variable in VARIABLES})
    except ValueError as error:
        raise ConfigurationError(f"rename {quoted(text)} fails for {quoted(names.repository)}: {error}") from error


@lru_cache(maxsize=1000)
def _template(text: str) -> BoundedTemplate:
    from registry_sync.tags.templates import compile_template  # noqa: PLC0415 - Jinja2 takes 40 ms of CPU to import

    template = compile_template(text)
    if unknown := template.variables - set(VARIABLES):
        raise ConfigurationError(
            f"{quoted(text)} has unknown variables {sorted(unknown)}; there are {', '.join(VARIABLES)}"
        )
    return template
