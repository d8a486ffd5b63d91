"""Compare a configuration file from a machine with the rendered one, key by key.

Runtimes silently skip unknown keys, so a typo stays hidden until the day on which the mirror is needed.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Literal

from registry_sync.config.model import MirrorsFile
from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.config.yaml_source import Place, read_all_yaml, show_place
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.render import render_pool
from registry_sync.oci.reference import parse_host

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
    "configs": "with config_path, containerd does not load its CRI plugin and the node is NotReady; remove it",
    "max-download-attempts": "dockerd before 20.10 does not start with it; give --version if all are later",
    "insecure-registries": "anyone on the network path can pose as the registry; remove it",
    "io.containerd.cri.v1.images": "only version = 3 reads it: no mirror is used",
    "io.containerd.grpc.v1.cri": "version = 3 does not read it: no mirror is used",
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

PLUGINS = ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri")


def compare_file(
    file: MirrorsFile, pool: NodePool, runtime: Runtime, versions: Versions, path: Path
) -> list[Difference]:
    """The differences between the file at ``path`` and the rendered one. Keys unrelated to mirrors are ignored.

    :raises ConfigurationError: when the file cannot be read, or the runtime does not support the pool's configuration.
    """
    host = file.registries[pool.registry].host
    format = _FORMATS[runtime]
    document = format.parse(_read(path), path)
    if runtime == "containerd" and _is_version_3(document) and versions == Versions():
        versions = Versions(floor=(2,))
    texts = {rendered.path.name: rendered.text for rendered in render_pool(file, pool, runtime, versions)}
    name = "hosts.toml" if runtime == "containerd" and _is_hosts(document, path) else format.name
    expected = format.relevant(format.parse(texts[name], Path(name)), host)
    found = format.relevant(document, host)
    if runtime == "docker" and not pool.pool_mirrors:
        found.pop("max-download-attempts", None)  # without mirrors any value is fine
    return list(_compare(expected, found, (), KNOWN_KEYS[runtime]))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot read it ({error})") from error


def _is_version_3(document: Any) -> bool:
    return bool(document.get("version") == 3)


def _is_hosts(document: Any, path: Path) -> bool:
    return path.name == "hosts.toml" or bool(document.keys() & {"server", "host"})


def _parse_json(text: str, path: Path) -> Any:
    try:
        document = json.loads(text, object_pairs_hook=partial(_check_unique, path))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected a JSON object, {{...}}")
    return document


def _check_unique(path: Path, entries: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [key for key, count in Counter(key for key, _ in entries).items() if count > 1]
    if repeated:
        raise ConfigurationError(f"{path}: duplicate key {repeated[0]!r}, of which only one counts; keep one")
    return dict(entries)


def _parse_toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error


def _parse_yaml(text: str, path: Path) -> Any:
    return [document for document in read_all_yaml(text, str(path)) if isinstance(document, dict)]


def _docker(document: Any, host: str) -> Any:
    """Entries of ``insecure-registries`` for other registries are ignored."""
    keys = _similar(document, ("registry-mirrors", "max-download-attempts"))
    insecure = document.get("insecure-registries")
    is_insecure = isinstance(insecure, list) and host in insecure
    return {**keys, "insecure-registries": [host]} if is_insecure else keys


def _containerd(document: Any, _: str) -> Any:
    """The whole of a hosts.toml; the registry tables of a config.toml."""
    if "plugins" not in document and "version" not in document:
        return document
    keys = _similar(document, ("version", "plugins"))
    plugins = {
        name: _similar(plugin, ("registry",)) for name, plugin in _similar(document.get("plugins"), PLUGINS).items()
    }
    return {**keys, "plugins": {name: plugin for name, plugin in plugins.items() if plugin}}


def _crio(document: Any, host: str) -> Any:
    """The tables of one registry by their prefixes: its own, those of its namespaces, and those of matching patterns.

    The first table with a prefix counts (observed with skopeo 1.9). Further ones get a number.
    """
    tables = document.get("registry")
    relevant: dict[str, Any] = {}
    counts = Counter[str]()
    for table in (table for table in tables if isinstance(table, dict)) if isinstance(tables, list) else ():
        prefix = str(table.get("prefix", table.get("location")))
        if f"{prefix}/".startswith(f"{host}/") or _is_pattern_of(prefix, host):
            counts[prefix] += 1
            relevant[prefix if counts[prefix] == 1 else f"{prefix} ({counts[prefix]})"] = table
    return {**_similar(document, ("registry",)), "registry": relevant}


def _is_pattern_of(prefix: str, host: str) -> bool:
    """Return whether a prefix such as ``*.io`` matches ``host``. The star stands for any number of names."""
    return prefix.startswith("*.") and host.endswith(prefix.partition("/")[0].removeprefix("*"))


def _k3s(documents: Any, host: str) -> Any:
    merged = {key: value for document in documents for key, value in document.items()}
    return {**_similar(merged, ("mirrors",)), "mirrors": _of_host(merged.get("mirrors"), host)}


def _talos(documents: Any, host: str) -> Any:
    """The mirrors of one registry in a machine configuration, in both forms, by the registry's name.

    A registry without endpoints equals one that is not named at all.
    """
    configs: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    for document in documents:
        if document.get("kind") == "RegistryMirrorConfig" and document.get("endpoints"):
            configs |= _of_host({str(document.get("name")): document}, host)
        registries = _entries(_entries(document.get("machine")).get("registries"))
        machine |= _similar(registries, ("mirrors",))
        machine["mirrors"] = _of_host(registries.get("mirrors"), host)
    return {"RegistryMirrorConfig": configs, "machine": {"registries": machine}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileFormat:
    """A runtime's file: its name as rendered, its parser, and the selection of the keys for one registry."""

    name: str
    parse: Callable[[str, Path], Any]
    relevant: Callable[[Any, str], Any]


_FORMATS: Mapping[Runtime, _FileFormat] = {
    "docker": _FileFormat(name="daemon.json", parse=_parse_json, relevant=_docker),
    "containerd": _FileFormat(name="config.toml", parse=_parse_toml, relevant=_containerd),
    "crio": _FileFormat(name="registries.conf", parse=_parse_toml, relevant=_crio),
    "k3s": _FileFormat(name="registries.yaml", parse=_parse_yaml, relevant=_k3s),
    "talos": _FileFormat(name="registry-mirrors.yaml", parse=_parse_yaml, relevant=_talos),
}


def _entries(document: Any) -> Mapping[str, Any]:
    """The mapping itself; empty for a value that is not a mapping."""
    return document if isinstance(document, Mapping) else {}


def _similar(document: Any, keys: Iterable[str]) -> dict[str, Any]:
    """The entries under ``keys``, and under keys that look like a typo of one."""
    entries = _entries(document).items()
    return {key: value for key, value in entries if get_close_matches(key, list(keys), n=1, cutoff=0.8)}


def _of_host(document: Any, host: str) -> dict[str, Any]:
    """The entries of a registry under any of its names, those that look like a typo, and those for all registries."""
    return {
        name: value
        for name, value in _entries(document).items()
        if name == "*" or _normalize_host(name) == host or _similar({name: value}, (host,))
    }


def _normalize_host(name: str) -> str:
    try:
        return parse_host(name)
    except ConfigurationError:
        return name


def _compare(expected: Any, found: Any, place: Place, known: frozenset[str]) -> Iterator[Difference]:
    match expected, found:
        case dict(), dict():
            yield from _compare_keys(expected, found, place, known)
        case [dict(), *_], [dict(), *_]:
            for index in range(max(len(expected), len(found))):
                tables = [{index: side[index]} if index < len(side) else {} for side in (expected, found)]
                yield from _compare_keys(tables[0], tables[1], place, known)
        case _ if _normalize(expected) != _normalize(found):
            yield Difference(
                key=show_place(place), verdict="different", found=_as_json(found), expected=_as_json(expected)
            )


def _compare_keys(expected: Any, found: Any, place: Place, known: frozenset[str]) -> Iterator[Difference]:
    found = {_normalize(key): value for key, value in found.items()}
    missing = [key for key in expected if key not in found]
    for key in expected:
        if key in missing:
            yield Difference(key=show_place((*place, key)), verdict="missing", expected=_as_json(expected[key]))
        else:
            yield from _compare(expected[key], found[key], (*place, key), known)
    for key in (key for key in found if key not in expected):
        yield _extra_key(key, found[key], place, missing, known)
    if place == ("host",) and not missing and list(found) != list(expected) and found.keys() == expected.keys():
        yield Difference(
            key="host",
            verdict="different",
            found=_as_json(list(found)),
            expected=_as_json(list(expected)),
            advice="put them in the expected order: containerd tries them in the order of the file",
        )


def _extra_key(key: Any, value: Any, place: Place, missing: list[Any], known: frozenset[str]) -> Difference:
    """A key that is not rendered: the runtime ignores it, or it changes the runtime's behaviour."""
    full_key, text = show_place((*place, key)), _as_json(value)
    if key in known or place in TABLES_OF_NAMES or isinstance(key, int):
        return Difference(key=full_key, verdict="unexpected", found=text, advice=_effect(key, place))
    close = get_close_matches(str(key), [*missing, *sorted(known)], n=1)
    advice = f"did you mean {close[0]!r}?" if close else "the runtime ignores it; remove it"
    return Difference(key=full_key, verdict="unknown", found=text, advice=advice)


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


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
