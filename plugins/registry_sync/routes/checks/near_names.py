"""Rules whose names at a destination begin alike: only these are compared, so that many mirrors cost little."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from registry_sync.registry.same_registry import repository_key
from registry_sync.routes.destination_forms import DestinationForms, destination_forms, literal_start
from registry_sync.routes.graph import PlacedRoute, RouteMap
from registry_sync.routes.namespace_routes import NamespaceRoutes


@dataclass(frozen=True, slots=True, kw_only=True)
class NearNames:
    """The rules that may write a name which a namespace rule writes, in the order of the file.

    Namespace rules are numbered by their place in ``RouteMap.namespaces``, listed repositories by that in ``listed``.

    :ivar namespaces: the namespace rules of other mirrors that are near each namespace rule.
    :ivar listed: the listed repositories that are near each namespace rule.
    :ivar of_listed: the namespace rules that are near each listed repository.
    """

    namespaces: Mapping[int, Sequence[int]]
    listed: Mapping[int, Sequence[int]]
    of_listed: Mapping[int, Sequence[int]]

    @classmethod
    def of(cls, routes: RouteMap, *, with_nested: bool = False) -> Self:
        """Find the near rules of a mirrors file.

        :param with_nested: see :func:`~registry_sync.routes.destination_forms.destination_forms`.
        """
        forms = [destination_forms(namespace, with_nested=with_nested) for namespace in routes.namespaces]
        namespaces, listed, of_listed = (defaultdict[int, set[int]](set) for _ in range(3))
        for outer, inner in _beginning_alike(_named(forms, routes.listed)):
            if inner.is_listed:
                listed[outer.number].add(inner.number)
                of_listed[inner.number].add(outer.number)
            elif _may_meet(routes.namespaces, forms, outer.number, inner.number):
                namespaces[outer.number].add(inner.number)
                namespaces[inner.number].add(outer.number)
        return cls(namespaces=_sorted(namespaces), listed=_sorted(listed), of_listed=_sorted(of_listed))


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Named:
    """A text with which names of one rule begin: of a listed repository, its whole name."""

    registry: str
    start: str
    is_listed: bool
    number: int


def _named(forms: Sequence[DestinationForms], listed: Sequence[PlacedRoute]) -> Iterator[_Named]:
    for number, own in enumerate(forms):
        for start in {literal_start(form) for form in own.included}:
            yield _Named(registry=own.registry, start=start, is_listed=False, number=number)
    for number, entry in enumerate(listed):
        key = repository_key(entry.route.destination_repository)
        yield _Named(registry=key.host, start=key.name, is_listed=True, number=number)


def _beginning_alike(names: Iterator[_Named]) -> Iterator[tuple[_Named, _Named]]:
    """Each pair of a namespace rule and another rule, the start of one of which begins with that of the other.

    In alphabetical order, texts stand behind those that they begin with.
    """
    outer: list[_Named] = []
    for inner in sorted(names):
        while outer and not (outer[-1].registry == inner.registry and inner.start.startswith(outer[-1].start)):
            outer.pop()
        yield from ((other, inner) for other in outer)
        if not inner.is_listed:
            outer.append(inner)


def _may_meet(namespaces: Sequence[NamespaceRoutes], forms: Sequence[DestinationForms], one: int, two: int) -> bool:
    return namespaces[one].mirror.name != namespaces[two].mirror.name and forms[one].may_meet(forms[two])


def _sorted(found: Mapping[int, set[int]]) -> dict[int, Sequence[int]]:
    return {number: sorted(others) for number, others in found.items()}
