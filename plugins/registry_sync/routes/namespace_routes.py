"""The routes that a namespace rule may give, for whatever repositories the source has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice, takewhile

from registry_sync.config.mirror import Mirror
from registry_sync.config.reading.yaml_source import Place
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule
from registry_sync.errors import ConfigurationError
from registry_sync.registry.same_registry import name_at, same_registry, same_repository
from registry_sync.routes.route import Route, route_of
from registry_sync.tags.name_forms import (
    ANY_TEXT,
    FILLINGS,
    Form,
    NamePattern,
    example_names,
    forms_meet,
    literal_form,
    may_begin_with,
    may_share_name,
)
from registry_sync.tags.patterns import Pattern, parse_pattern

Forms = tuple[Form, ...]
"""Forms of names that all have to hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRoutes:
    """The routes of a namespace rule to one destination, for whatever repositories the source has.

    ``listed``: source repositories that the mirror lists by name; the rule does not apply to them.
    ``earlier``: namespace rules before this one in the mirror; the first rule that finds a repository applies.
    """

    place: Place
    mirror: Mirror
    rule: NamespaceRule
    source: Registry
    destination: Registry
    listed: frozenset[str]
    earlier: tuple[NamespaceRule, ...] = ()

    def make_route(self, name: str) -> Route:
        """The route of the source repository ``name``, without a look at the rule's patterns.

        :raises ConfigurationError: when it gets no valid name at the destination.
        """
        return replace(route_of(self.mirror, self.rule, self.source, self.destination, name), is_discovered=True)

    def route(self, name: str) -> Route | None:
        """The route of the source repository ``name``, if this is the rule that applies to it."""
        is_taken = name in self.listed or any(_finds(rule, name) for rule in self.earlier)
        return None if is_taken else self.route_by_rule(name)

    def route_by_rule(self, name: str) -> Route | None:
        """The route of the source repository ``name``, as if the mirror had no other rule."""
        try:
            return self.make_route(name) if _finds(self.rule, name) else None
        except ConfigurationError:  # it gets no valid name at the destination, which the run reports
            return None

    def route_into(self, name: str) -> Route | None:
        """The route that writes the destination repository ``name``."""
        routes = map(self.route, self._possible_sources(name))
        return next((route for route in routes if route and route.destination_repository.name == name), None)

    def may_write(self, other: Route) -> bool:
        """True if the rule may find a repository that goes to the destination of ``other`` too."""
        repository = other.destination_repository
        if (name := name_at(repository, self.destination.host)) is None:
            return False
        sources = (other.source_repository.name, *self._possible_sources(name))
        routes = map(self.route_by_rule, sources)
        return any(route.destination_repository.name == name for route in routes if route)

    def meets(self, other: NamespaceRoutes) -> bool:
        """True if both rules would write the same repository: an example shows it."""
        return self._writes_example_of(other) or other._writes_example_of(self)

    def _writes_example_of(self, other: NamespaceRoutes) -> bool:
        return any(map(self.may_write, other.examples_of_routes()))

    def examples_of_routes(self) -> Iterator[Route]:
        """The routes of :meth:`examples`."""
        return filter(None, map(self.route_by_rule, self.examples()))

    def is_beside(self, other: NamespaceRoutes) -> bool:
        """True if both rules have one destination, and one namespace is the other or within it."""
        outer, inner = sorted((f"{self.rule.namespace}/", f"{other.rule.namespace}/"), key=len)
        return same_registry(self.destination.host, other.destination.host) and inner.startswith(outer)

    def may_meet(self, other: NamespaceRoutes) -> bool:
        """True unless the patterns of both rules rule out that they write the same repository.

        The forms of their names at the destination meet; rules with the same naming have to find the same name, too.
        """
        if not self.names_like(other):
            return True
        excluded = (*self.excluded(), *other.excluded())
        return may_share_name(self.included(), other.included(), excluded)

    def names_like(self, other: NamespaceRoutes) -> bool:
        """True if both rules give one repository of both namespaces the same name at the destination."""
        return self.is_beside(other) and self._names_alike(other)

    def included(self) -> Iterator[NamePattern]:
        """The patterns that choose source repositories, by their whole names."""
        return self._patterns(self.rule.include or _EVERY_NAME)

    def excluded(self) -> Iterator[NamePattern]:
        """The patterns that exclude source repositories, by their whole names."""
        return self._patterns(self.rule.exclude or ())

    def _patterns(self, patterns: Iterable[Pattern]) -> Iterator[NamePattern]:
        return (NamePattern(base=f"{self.rule.namespace}/", pattern=pattern) for pattern in patterns)

    def examples(self) -> list[str]:
        """Source repositories that the rule would find, some for each of its patterns."""
        return [name for pattern in self.included() for name in self.examples_of(pattern)]

    def examples_of(self, pattern: NamePattern) -> list[str]:
        """A few source repositories that the rule would find by ``pattern``."""
        return list(islice(self.examples_with(pattern, FILLINGS), MAX_EXAMPLES))

    def examples_with(self, pattern: NamePattern, fillings: tuple[str, ...]) -> Iterator[str]:
        """The same with certain texts in place of wildcards, without a limit."""
        names = (f"{pattern.base}{name}" for name in example_names(pattern.pattern, fillings))
        return filter(self.rule.chooses, names)

    def maps_onto_itself(self) -> bool:
        """True if the rule would write a repository that it reads, as far as a sample and the examples show."""
        routes: list[Route] = []
        for name in (f"{self.rule.namespace}/{_SAMPLE}", *self.examples()):
            with suppress(ConfigurationError):  # no valid name at the destination, which is reported elsewhere
                routes.append(self.make_route(name))
        return any(same_repository(route.source_repository, route.destination_repository) for route in routes)

    def copied_forms(self, forms: Forms) -> Iterator[Forms]:
        """The forms at the destination of repositories that have all of ``forms`` at the source.

        Once for each pattern that may choose such a repository; with the form of that pattern.
        """
        if not all(may_begin_with(form, f"{self.rule.namespace}/") for form in forms):
            return
        excluded = tuple(self.excluded())
        base = literal_form(f"{self.rule.namespace}/")
        for chosen in chain.from_iterable(pattern.forms() for pattern in self.included()):
            is_chosen = all(forms_meet(form, chosen) for form in forms)
            if is_chosen and not any(pattern.covers(form) for pattern in excluded for form in (*forms, chosen)):
                within = [form[len(base) :] for form in (*forms, chosen) if form[: len(base)] == base]
                yield tuple(dict.fromkeys(map(self._rename, within)))

    def _rename(self, within: Form) -> Form:
        """The form at the destination of a form within the namespace.

        Templates see single parts of a name. Where a nested name is not kept as a whole, the form is any text between
        the beginning and the end that the names of samples have in common.
        """
        try:
            first, second = (self._name_of_copy(sample) for sample in (_SAMPLE, _NESTED_SAMPLE))
        except ConfigurationError:  # no valid name at the destination, which is reported elsewhere
            return (ANY_TEXT,)
        start, found, end = first.partition(_SAMPLE)
        if found and second == f"{start}{_NESTED_SAMPLE}{end}":
            return literal_form(start) + within + literal_form(end)
        start, end = _common_start(first, second), _common_start(first[::-1], second[::-1])[::-1]
        return (*literal_form(start), ANY_TEXT, *literal_form(end))

    def _name_of_copy(self, name: str) -> str:
        """:raises ConfigurationError: when ``name``, within the namespace, gets no valid name at the destination."""
        return self.make_route(f"{self.rule.namespace}/{name}").destination_repository.name

    def _names_alike(self, other: NamespaceRoutes) -> bool:
        """True if both rules would give one repository of both namespaces the same name at the destination."""
        sample = f"{max(self.rule.namespace, other.rule.namespace, key=len)}/{_SAMPLE}"
        try:
            return _write_the_same(self.make_route(sample), other.make_route(sample))
        except ConfigurationError:  # no valid name at the destination, which is reported elsewhere
            return False

    def _possible_sources(self, name: str) -> Iterator[str]:
        """Names at the source that may become ``name`` at the destination; the caller checks each.

        A sample does not show all: Docker Hub adds ``library/`` to short names, and templates may have filters.
        """
        if source := self._invert(name):
            yield source
        settings = self.rule.settings
        yield settings.strip_prefix + name.removeprefix(settings.prefix)
        yield name
        yield f"{self.rule.namespace}/{name.rpartition('/')[2]}"

    def _invert(self, name: str) -> str | None:
        """The source name of ``name``, read off from what becomes of a sample."""
        try:
            made = self._name_of_copy(_SAMPLE)
        except ConfigurationError:
            return None
        before, *rest = map(re.escape, made.split(_SAMPLE))
        match = re.fullmatch(f"{before}(?P<name>.+){'(?P=name)'.join(rest)}", name) if rest else None
        return f"{self.rule.namespace}/{match['name']}" if match else None


_SAMPLE = "0sample0"
"""Stands for any name within a namespace, to see where it appears in the name at the destination."""

_NESTED_SAMPLE = "1nested1/2sample2"

_EVERY_NAME = (parse_pattern("*"),)


MAX_EXAMPLES = 6
"""Examples of one pattern. More would find little, and each is followed through all mirrors."""


def _common_start(first: str, second: str) -> str:
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


def _write_the_same(one: Route, two: Route) -> bool:
    return same_repository(one.destination_repository, two.destination_repository)


def _finds(rule: NamespaceRule, name: str) -> bool:
    return name.startswith(f"{rule.namespace}/") and rule.chooses(name)
