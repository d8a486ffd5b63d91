"""Registries that a mirror names: those that do not exist, or are the same twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches

from registry_sync.config.reading.explain_errors import Problem
from registry_sync.config.reading.yaml_source import Place
from registry_sync.config.registry import Registry
from registry_sync.registry.kinds import ECR_PUBLIC_HOSTS
from registry_sync.registry.same_registry import same_registry
from registry_sync.routes.checks.checked_file import CheckedFile, option_place


def check_registry_names(checked: CheckedFile) -> Iterator[Problem]:
    """Registries that the file does not have."""
    for mirror in checked.file.mirrors.values():
        places = [(option_place(mirror, "source"), mirror.source)]
        places += [
            ((*option_place(mirror, "destinations"), index), name) for index, name in enumerate(mirror.destinations)
        ]
        yield from unknown_registries(places, checked.registry_names)


def unknown_registries(places: Iterable[tuple[Place, str]], names: Collection[str]) -> Iterator[Problem]:
    """A problem for each place that names a registry outside ``names``."""
    for place, name in places:
        if name not in names:
            close = get_close_matches(name, names, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"the file has {', '.join(names) or 'none'}"
            yield Problem(place, f"no registry named {name!r}; {advice}")


def check_destinations_differ(checked: CheckedFile) -> Iterator[Problem]:
    """Destinations that are the same registry."""
    for mirror in checked.file.mirrors.values():
        for index, name in enumerate(mirror.destinations):
            place = (*option_place(mirror, "destinations"), index)
            earlier = mirror.destinations[:index]
            if name in earlier:
                yield Problem(place, f"{name!r} is listed twice; keep one")
            elif other := _same_host(name, earlier, checked.file.registries):
                hosts = " and ".join(dict.fromkeys(checked.file.registries[each].host for each in (other, name)))
                yield Problem(place, f"{other!r} and {name!r} are the same registry, {hosts}; keep one")


def check_public_destinations(checked: CheckedFile) -> Iterator[Problem]:
    """Destinations at ECR Public without a login. Everybody may pull there, and nobody push anonymously."""
    for mirror in checked.usable_mirrors():
        for index, name in enumerate(mirror.destinations):
            registry = checked.file.registries[name]
            if registry.host in ECR_PUBLIC_HOSTS and not (registry.connection or registry.identity):
                place = (*option_place(mirror, "destinations"), index)
                advice = "write identity: ambient, or connection: with the id of a Connection of type aws"
                yield Problem(place, f"{name!r} is {registry.host}, where nobody can push anonymously; {advice}")


def _same_host(name: str, others: Iterable[str], registries: Mapping[str, Registry]) -> str | None:
    """The first of ``others`` that is another name of the registry ``name``."""
    valid = (other for other in others if {name, other} <= registries.keys())
    return next((other for other in valid if same_registry(registries[other].host, registries[name].host)), None)


def check_default_destinations(checked: CheckedFile) -> Iterator[Problem]:
    """Destinations of ``defaults`` that are the source of a mirror."""
    for mirror in checked.usable_mirrors():
        if mirror.inherits("destinations") and (
            name := _same_host(mirror.source, mirror.destinations, checked.file.registries)
        ):
            line = checked.line(("defaults", "destinations", mirror.destinations.index(name)))
            problem = f"the source is also a destination in defaults: ({line}); write destinations: here"
            yield Problem(("mirrors", mirror.name), f"{mirror.source!r}: {problem}")
