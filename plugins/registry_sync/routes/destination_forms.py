"""Forms of the names that a namespace rule gives at the destination: they show whether two rules may write one name.

A form is wide where a template is more than texts and variables: it has what the copies of samples have in common.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product, takewhile

from registry_sync.config.renaming import is_template
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import DOCKER_HUB
from registry_sync.registry.same_registry import registry_key, storage_key
from registry_sync.routes.namespace_routes import NamespaceRoutes
from registry_sync.tags.name_forms import (
    ANY_TEXT,
    Form,
    NamePattern,
    form_covers,
    forms_meet,
    has_exact_forms,
    literal_form,
)

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")

_SAMPLES = ("kvkv9", "wjwjwjwj", "zqz/xhxh")
"""Texts in place of wildcards. They have no character in common, which would look like a part of the template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationForms:
    """Names of repositories at one registry.

    :ivar registry: the key of the registry that keeps them.
    :ivar included: forms that together have every name which the rule may write.
    :ivar excluded: forms all of whose names the rule never writes.
    """

    registry: str
    included: tuple[Form, ...]
    excluded: tuple[Form, ...] = ()

    def may_meet(self, other: DestinationForms) -> bool:
        """Return whether both rules may write one name."""
        unwanted = (*self.excluded, *other.excluded)
        return self.registry == other.registry and any(
            forms_meet(one, two) and not any(form_covers(form, side) for form in unwanted for side in (one, two))
            for one, two in product(self.included, other.included)
        )


def destination_forms(namespace: NamespaceRoutes, *, with_nested: bool = False) -> DestinationForms:
    """The forms of the copies of a namespace rule.

    :param with_nested: wildcards also stand for text with a slash, before which the template variable ``name`` has
        nothing: ``{{ name }}`` is ``b`` for ``team/a/b``.
    """
    host = namespace.destination.host
    included = dict.fromkeys(_copies(namespace, namespace.included(), with_nested=with_nested))
    exact = [pattern for pattern in namespace.excluded() if has_exact_forms(pattern.pattern)]
    has_slash = any(_has_slash(namespace, pattern) for pattern in (*namespace.included(), *exact))
    is_known = _keeps_names(namespace, ("repository",) if with_nested or has_slash else ("repository", "name"))
    excluded = _copies(namespace, exact) if is_known else ()
    return DestinationForms(
        registry=storage_key(host),
        included=tuple(_stored(form, host) for form in included),
        excluded=tuple(_stored(form, host) for form in excluded),
    )


def literal_start(form: Form) -> str:
    """The text that all names of a form begin with.

    >>> literal_start((*literal_form("a-"), ANY_TEXT))
    'a-'
    """
    texts: list[str] = []
    for part in form:
        if part is None or len(part) != 1:
            break
        texts.extend(part)
    return "".join(texts)


def _keeps_names(namespace: NamespaceRoutes, variables: Collection[str]) -> bool:
    """Return whether each name at the destination has one of these variables, and so tells the name at the source."""
    rename = namespace.rule.rename
    return rename is None or (_is_plain(rename) and not set(variables).isdisjoint(_VARIABLE.findall(rename)))


def _has_slash(namespace: NamespaceRoutes, pattern: NamePattern) -> bool:
    """Return whether a pattern names nested repositories: ``{{ name }}`` of ``s/a`` and of ``a`` is the same."""
    within = (form[len(f"{namespace.rule.namespace}/") :] for form in pattern.forms())
    return any(part is not None and "/" in part for form in within for part in form)


def _is_plain(rename: str) -> bool:
    return "{" not in _VARIABLE.sub("", rename)


def _copies(
    namespace: NamespaceRoutes, patterns: Iterable[NamePattern], *, with_nested: bool = False
) -> Iterator[Form]:
    for pattern in patterns:
        for form in pattern.forms():
            yield from _renamed(namespace, form[len(f"{namespace.rule.namespace}/") :], with_nested=with_nested)


def _renamed(namespace: NamespaceRoutes, within: Form, *, with_nested: bool) -> Iterator[Form]:
    """The forms at the destination of a form within the namespace."""
    rename, is_hub = namespace.rule.rename, registry_key(namespace.destination.host) == DOCKER_HUB
    made = [_prefixed(namespace, within)]
    if rename is not None:
        made = _by_rename(namespace, rename, within, with_nested=with_nested)
    for form in made:
        yield form
        if is_hub:
            yield literal_form("library/") + form


def _prefixed(namespace: NamespaceRoutes, within: Form) -> Form:
    settings, base = namespace.rule.settings, f"{namespace.rule.namespace}/"
    if base.startswith(settings.strip_prefix):
        return literal_form(settings.prefix + base.removeprefix(settings.strip_prefix)) + within
    return (*literal_form(settings.prefix), ANY_TEXT)


def _by_rename(namespace: NamespaceRoutes, rename: str, within: Form, *, with_nested: bool) -> list[Form]:
    if not is_template(rename):
        return [literal_form(rename)]
    if _is_plain(rename):
        return [_filled(rename, values) for values in _variables(namespace, within, with_nested=with_nested)]
    if "{%" in rename or " if " in rename:
        return [(*literal_form(rename.partition("{")[0]), ANY_TEXT, *literal_form(rename.rpartition("}")[2]))]
    return [_of_samples(namespace, within)]


def _variables(namespace: NamespaceRoutes, within: Form, *, with_nested: bool) -> Iterator[Mapping[str, Form]]:
    """The forms of the variables of templates: of the repositories that the form shows, and of nested ones."""
    base = literal_form(f"{namespace.rule.namespace}/")
    name_at = max((index + 1 for index, part in enumerate(within) if part == frozenset("/")), default=0)
    parent, name = (base + within[:name_at])[:-1], within[name_at:]
    fixed = {
        "registry": literal_form(namespace.source.name),
        "destination": literal_form(namespace.destination.name),
        "mirror": literal_form(namespace.mirror.name),
        "repository": base + within,
    }
    yield {**fixed, "namespace": parent, "name": name}
    slashes = [index for index, part in enumerate(name) if part is None or "/" in part]
    if slashes and with_nested:
        yield {**fixed, "namespace": (*base, ANY_TEXT), "name": (ANY_TEXT, *name[slashes[-1] + 1 :])}


def _filled(rename: str, values: Mapping[str, Form]) -> Form:
    parts = _VARIABLE.split(rename)
    return tuple(
        chain.from_iterable(values[part] if index % 2 else literal_form(part) for index, part in enumerate(parts))
    )


def _of_samples(namespace: NamespaceRoutes, within: Form) -> Form:
    """The beginning and the end that the copies of samples have in common, with any text between them."""
    names = []
    for number, sample in enumerate(_SAMPLES):
        parts = [sample if part is None else sorted(part)[-(number % 2)] for part in within if part is None or part]
        try:
            route = namespace.make_route(f"{namespace.rule.namespace}/{''.join(parts)}")
        except ConfigurationError:  # no valid name at the destination, which is reported elsewhere
            continue
        names.append(route.destination_repository.name)
    if len(set(names)) == 1:
        return literal_form(names[0]) if len(names) > 1 else (ANY_TEXT,)
    start, end = _common_start(names), _common_start([name[::-1] for name in names])[::-1]
    return (*literal_form(start), ANY_TEXT, *literal_form(end))


def _common_start(names: Sequence[str]) -> str:
    alike = takewhile(lambda characters: len(set(characters)) == 1, zip(*names, strict=False))
    return "".join(characters[0] for characters in alike)


def _stored(form: Form, host: str) -> Form:
    """The form of names at the registry that keeps them: of gcr.io's, in Artifact Registry, under their host.

    ``project/app`` of gcr.io is ``project/gcr.io/app`` there.
    """
    key = registry_key(host)
    if storage_key(host) == key:
        return form
    project, slash, _ = literal_start(form).partition("/")
    if not slash or "." in project:
        return (ANY_TEXT,)
    start = f"{project}/"
    return literal_form(f"{start}{key}/") + form[len(start) :]
