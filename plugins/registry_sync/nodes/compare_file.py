"""Compare a configuration file from a machine with the rendered one, key by key.

Runtimes silently ignore unknown keys, so a typo stays hidden until the mirror is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.reading.yaml_source import Place, show_place
from registry_sync.config.runtime_versions import Versions
from registry_sync.nodes.containerd_config import advise_on_config_path, advise_on_configs, choose_form
from registry_sync.nodes.image_store import FEATURE, feature_of, possible_store, written_store
from registry_sync.nodes.render import render_pool
from registry_sync.nodes.runtime_files import FORMATS, choose_talos_versions, read_document
from registry_sync.nodes.shown_values import hide_users, show_value

Verdict = Literal["unknown", "missing", "different", "unexpected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A key that is not as rendered. ``found`` and ``expected`` are its values as JSON, empty where it is absent."""

    key: str
    verdict: Verdict
    found: str = ""
    expected: str = ""
    advice: str = ""


KNOWN_KEYS: Mapping[str, frozenset[str]] = {
    runtime: frozenset(keys.split())
    for runtime, keys in {
        "docker": "registry-mirrors max-download-attempts insecure-registries",
        "containerd": "server host capabilities ca client skip_verify header override_path dial_timeout "
        "version plugins registry config_path mirrors configs auths headers",
        "crio": "registry prefix location insecure blocked mirror mirror-by-digest-only pull-from-mirror",
        "k3s": "mirrors endpoint rewrite",
        "talos": "machine registries mirrors endpoints overridePath skipFallback apiVersion kind name url "
        "RegistryMirrorConfig",
    }.items()
}
"""The keys that each runtime knows in the compared parts of its files. It silently ignores any other key there.

https://github.com/containerd/containerd/blob/main/docs/hosts.md,
https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md,
https://docs.k3s.io/installation/private-registry,
https://docs.siderolabs.com/talos/v1.12/reference/configuration/cri/registrymirrorconfig
"""

EFFECTS: Mapping[str, str] = {
    "*": "it applies to every registry: images of others are pulled from this one's mirrors; remove it",
    "blocked": "machines never fall back; remove it",
    "headers": "they are sent to every registry, also to mirrors",
    "max-download-attempts": "dockerd before 20.10 does not start with it; give --version if all are later",
    "insecure-registries": "anyone on the network path can pose as the registry; remove it",
    "io.containerd.cri.v1.images": "only version = 3 and 4 read it, from containerd 2 on: no mirror is used",
    "io.containerd.grpc.v1.cri": "only version = 2 reads it: no mirror is used",
    "mirrors": "with config_path, containerd does not load its CRI plugin and the node is NotReady; remove it",
    "rewrite": "images are pulled under other names than those that mirrors copy them to; remove it",
    "skipFallback": "machines never fall back; remove it",
    "skip_verify": "anyone on the network path can pose as the mirror; remove it",
}
"""The effect of keys that a runtime knows, and that are not rendered."""

TABLES_OF_NAMES: frozenset[Place] = frozenset(
    {
        ("host",),
        ("plugins",),
        ("registry",),
        ("mirrors",),
        ("machine", "registries", "mirrors"),
        ("RegistryMirrorConfig",),
    }
)
"""The tables whose keys are names of hosts, plugins and registries."""


def compare_file(
    file: MirrorsFile, pool: NodePool, runtime: Runtime, versions: Versions, path: Path
) -> list[Difference]:
    """The differences between the file at ``path`` and the rendered one. Keys unrelated to mirrors are ignored.

    :raises ConfigurationError: when the file cannot be read, or the runtime does not support the pool's configuration.
    """
    document = read_document(path, runtime)
    is_hosts = runtime == "containerd" and _is_hosts(document, path)
    return compare_document(file, pool, runtime, versions, document, is_hosts=is_hosts)


def compare_document(
    file: MirrorsFile, pool: NodePool, runtime: Runtime, versions: Versions, document: Any, *, is_hosts: bool = False
) -> list[Difference]:
    """The same for a parsed file, or several that the runtime reads as one.

    :param is_hosts: it is a hosts.toml of containerd, not a config.toml.
    :raises ConfigurationError: when the runtime does not support the pool's configuration.
    """
    host = file.registries[pool.registry].host
    format = FORMATS[runtime]
    is_config = runtime == "containerd" and not is_hosts
    if is_config:
        rendered_for = choose_form(document, versions).versions
    elif runtime == "talos":
        rendered_for = choose_talos_versions(document, versions, host)
    else:
        rendered_for = versions
    texts = {written.path.name: written.text for written in render_pool(file, pool, runtime, rendered_for)}
    name = "hosts.toml" if is_hosts else format.name
    rendered = format.parse(texts[name], Path(name))
    expected, found = (
        (rendered, document) if is_hosts else (format.relevant(rendered, host), format.relevant(document, host))
    )
    if runtime == "docker" and not pool.pool_mirrors:
        found.pop("max-download-attempts", None)  # without mirrors any value is fine
    differences = list(_compare(expected, found, (), KNOWN_KEYS[runtime]))
    if is_config:
        return _with_advice_on_config(differences, document, versions)
    if runtime == "docker":
        differences += _compare_store(pool, document, versions)
    return differences


def _with_advice_on_config(differences: list[Difference], document: Any, versions: Versions) -> list[Difference]:
    """Add advice to differences in ``config_path``, also where a table around it is missing, and in ``configs``."""
    form = choose_form(document, versions)
    registry = ("plugins", form.plugin, "registry")
    place = (*registry, "config_path")
    on_path, on_configs = (advise(document, form, versions) for advise in (advise_on_config_path, advise_on_configs))
    keys = {show_place(place[: depth + 1]) for depth in range(len(place))}
    advice = {(key, verdict): on_path for key in keys for verdict in ("different", "missing")}
    advice[show_place((*registry, "configs")), "unexpected"] = on_configs
    return [
        replace(difference, advice=advice.get((difference.key, difference.verdict), difference.advice))
        for difference in differences
    ]


def _compare_store(pool: NodePool, document: Any, versions: Versions) -> Iterator[Difference]:
    """A difference where dockerd pulls in another way than ``nodes check`` predicts."""
    expected, found = possible_store(pool, versions), written_store(document, versions)
    if found in (None, expected) or (found == "classic" and pool.image_store is None):
        return  # what holds for containerd's store holds for both
    value = feature_of(document)
    yield Difference(
        key=f"features.{FEATURE}",
        verdict="unexpected" if found == "containerd" else "missing" if value is None else "different",
        found="" if value is None else show_value(FEATURE, value),
        expected="" if found == "containerd" else "true",
        advice=f"dockerd has the {found} store, which falls back in its own way: set image_store: {found} at the pool",
    )


def _is_hosts(document: Any, path: Path) -> bool:
    return path.name == "hosts.toml" or bool(document.keys() & {"server", "host"})


def _compare(expected: Any, found: Any, place: Place, known: frozenset[str]) -> Iterator[Difference]:
    match expected, found:
        case dict(), dict():
            yield from _compare_keys(expected, found, place, known)
        case [dict(), *_], [dict(), *_]:
            for index in range(max(len(expected), len(found))):
                tables = [{index: side[index]} if index < len(side) else {} for side in (expected, found)]
                yield from _compare_keys(tables[0], tables[1], place, known)
        case _ if _normalize(expected) != _normalize(found):
            yield _difference(place, "different", found=found, expected=expected)


def _compare_keys(expected: Any, found: Any, place: Place, known: frozenset[str]) -> Iterator[Difference]:
    found = {_normalize(key): value for key, value in found.items()}
    missing = [key for key in expected if key not in found]
    for key in expected:
        if key in missing:
            yield _difference((*place, key), "missing", expected=expected[key])
        else:
            yield from _compare(expected[key], found[key], (*place, key), known)
    for key in (key for key in found if key not in expected):
        yield _extra_key(key, found[key], place, missing, known)
    ordered = [key for key in found if key in expected]
    if place == ("host",) and not missing and ordered != list(expected):
        advice = "put them in the expected order: containerd tries them in the order of the file"
        yield _difference(place, "different", found=ordered, expected=list(expected), advice=advice)


def _extra_key(key: Any, value: Any, place: Place, missing: list[Any], known: frozenset[str]) -> Difference:
    """A key that is not rendered: the runtime ignores it, or it changes the runtime's behaviour."""
    if key in known or place in TABLES_OF_NAMES or isinstance(key, int):
        return _difference((*place, key), "unexpected", found=value, advice=_effect(key, place))
    close = get_close_matches(str(key), [*missing, *sorted(known)], n=1)
    advice = f"did you mean {close[0]!r}?" if close else "the runtime ignores it; remove it"
    return _difference((*place, key), "unknown", found=value, advice=advice)


_NOTHING = object()


def _difference(
    place: Place, verdict: Verdict, *, found: Any = _NOTHING, expected: Any = _NOTHING, advice: str = ""
) -> Difference:
    """A difference at ``place``, without the secrets of the machine's file."""
    shown = {
        side: show_value(place[-1] if place else "", value)
        for side, value in (("found", found), ("expected", expected))
        if value is not _NOTHING
    }
    return Difference(key=hide_users(show_place(place)), verdict=verdict, advice=advice, **shown)


def _effect(key: Any, place: Place) -> str:
    """The effect of a key that is not rendered; empty where it is obvious."""
    if place == ("registry",) and re.search(r" \([0-9]+\)$", str(key)):
        return "this prefix has several tables, of which only the first counts; keep one"
    if place == ("registry",) and str(key).startswith("*."):
        return "it matches this registry too, and every other one with such a name; narrow it"
    return EFFECTS.get(key, "")


def _normalize(value: Any) -> Any:
    """The value in the form in which runtimes see it: capabilities sorted, URLs without a slash at the end."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return value.rstrip("/")
    if isinstance(value, list | tuple):
        values = [_normalize(item) for item in value]
        return sorted(values) if {"pull", "resolve", "push"} >= set(map(str, values)) else values
    return value
