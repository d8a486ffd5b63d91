"""Hold a file that was read back from a machine against what is rendered, key by key.

Runtimes skip keys that they do not know, so a typo is seen by nobody until the day on which the mirror is needed.
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
    """A key that is not as rendered. ``found`` and ``expected`` are its values as JSON, empty where it has none."""

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
"""The keys that each runtime knows where we look. Another one there does nothing, without a word.

https://github.com/containerd/containerd/blob/main/docs/hosts.md,
https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md,
https://docs.k3s.io/installation/private-registry,
https://docs.siderolabs.com/talos/v1.12/reference/configuration/cri/registrymirrorconfig
"""

TRAPS: Mapping[str, str] = {
    "*": "it holds for every registry, whose names are then taken for those of this one",
    "blocked": "machines never fall back",
    "configs": "beside config_path it keeps the CRI plugin from loading, and the node is NotReady",
    "max-download-attempts": "dockerd before 20.10 does not start with it; say --version when these are later",
    "insecure-registries": "whoever is on the way can answer in the registry's place",
    "io.containerd.cri.v1.images": "only version = 3 reads it; there is no mirror",
    "io.containerd.grpc.v1.cri": "version = 3 does not read it; there is no mirror",
    "mirrors": "beside config_path it keeps the CRI plugin from loading, and the node is NotReady",
    "rewrite": "images are asked for by other names than those that mirrors copy them to",
    "skipFallback": "machines never fall back",
    "skip_verify": "whoever is on the way can answer in the mirror's place",
}
"""What comes of keys that a runtime does know, and that are not rendered."""

NAMED: frozenset[Place] = frozenset(
    {
        ("host",),
        ("plugins",),
        ("registry",),
        ("mirrors",),
        ("machine", "registries", "mirrors"),
        ("RegistryMirrorConfig",),
    }
)
"""Where names stand for keys: of hosts, plugins and registries."""

PLUGINS = ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri")


def compare_file(
    file: MirrorsFile, pool: NodePool, runtime: Runtime, versions: Versions, path: Path
) -> list[Difference]:
    """Where the file at ``path`` is not what is rendered. Keys that have nothing to do with mirrors are left alone.

    :raises ConfigurationError: when it cannot be read, or the runtime cannot do what the pool says.
    """
    host = file.registries[pool.registry].host
    form = _FORMS[runtime]
    document = form.parse(_read(path), path)
    if runtime == "containerd" and _is_version_3(document) and versions == Versions():
        versions = Versions(floor=(2,))
    texts = {each.path.name: each.text for each in render_pool(file, pool, runtime, versions)}
    name = "hosts.toml" if runtime == "containerd" and _is_hosts(document, path) else form.name
    expected, found = form.ours(form.parse(texts[name], Path(name)), host), form.ours(document, host)
    if runtime == "docker" and not pool.pool_mirrors:
        found.pop("max-download-attempts", None)  # without mirrors it is no matter of ours
    return list(_compare(expected, found, (), KNOWN_KEYS[runtime]))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: it cannot be read ({error})") from error


def _is_version_3(document: Any) -> bool:
    return bool(document.get("version") == 3)


def _is_hosts(document: Any, path: Path) -> bool:
    return path.name == "hosts.toml" or bool(document.keys() & {"server", "host"})


def _parse_json(text: str, path: Path) -> Any:
    try:
        document = json.loads(text, object_pairs_hook=partial(_once_each, path))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: this is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected an object, {{...}}")
    return document


def _once_each(path: Path, entries: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in entries).items() if count > 1]
    if twice:
        raise ConfigurationError(f"{path}: {twice[0]!r} is written twice, and only one of them counts; keep one")
    return dict(entries)


def _parse_toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: this is not valid TOML: {error}") from error


def _parse_yaml(text: str, path: Path) -> Any:
    return [each for each in read_all_yaml(text, str(path)) if isinstance(each, dict)]


def _docker(document: Any, host: str) -> Any:
    """Of registries that are taken for insecure, only our own matters."""
    ours = _like(document, ("registry-mirrors", "max-download-attempts"))
    insecure = document.get("insecure-registries")
    named = [each for each in insecure if each == host] if isinstance(insecure, list) else []
    return {**ours, "insecure-registries": named[:1]} if named else ours


def _containerd(document: Any, _: str) -> Any:
    """All of a hosts.toml; of a config.toml what is about registries."""
    if "plugins" not in document and "version" not in document:
        return document
    ours = _like(document, ("version", "plugins"))
    plugins = {name: _like(each, ("registry",)) for name, each in _like(document.get("plugins"), PLUGINS).items()}
    return {**ours, "plugins": {name: each for name, each in plugins.items() if each}}


def _crio(document: Any, host: str) -> Any:
    """The tables of one registry, of namespaces in it, and of patterns that it matches, by their prefixes.

    Of several with one prefix, the first counts (seen with skopeo 1.9); the others get a number.
    """
    written = document.get("registry")
    tables = [each for each in written if isinstance(each, dict)] if isinstance(written, list) else []
    ours: dict[str, Any] = {}
    counts = Counter[str]()
    for table in tables:
        prefix = str(table.get("prefix", table.get("location")))
        if f"{prefix}/".startswith(f"{host}/") or _is_pattern_of(prefix, host):
            counts[prefix] += 1
            ours[prefix if counts[prefix] == 1 else f"{prefix} ({counts[prefix]})"] = table
    return {**_like(document, ("registry",)), "registry": ours}


def _is_pattern_of(prefix: str, host: str) -> bool:
    """Whether a prefix such as ``*.io`` is one of ``host`` too; the star stands for any number of names."""
    return prefix.startswith("*.") and host.endswith(prefix.partition("/")[0].removeprefix("*"))


def _k3s(documents: Any, host: str) -> Any:
    merged = {key: value for each in documents for key, value in each.items()}
    return {**_like(merged, ("mirrors",)), "mirrors": _of_host(merged.get("mirrors"), host)}


def _talos(documents: Any, host: str) -> Any:
    """Of a machine's whole configuration: the mirrors of one registry, in both forms, by its name.

    Where there are none, it does not matter whether the registry is named at all.
    """
    named: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    for document in documents:
        if document.get("kind") == "RegistryMirrorConfig" and document.get("endpoints"):
            named |= _of_host({str(document.get("name")): document}, host)
        registries = _entries(_entries(document.get("machine")).get("registries"))
        machine |= _like(registries, ("mirrors",))
        machine["mirrors"] = _of_host(registries.get("mirrors"), host)
    return {"RegistryMirrorConfig": named, "machine": {"registries": machine}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """A runtime's rendered file by its name, how to read it, and which part of it is about our registry."""

    name: str
    parse: Callable[[str, Path], Any]
    ours: Callable[[Any, str], Any]


_FORMS: Mapping[Runtime, _Form] = {
    "docker": _Form(name="daemon.json", parse=_parse_json, ours=_docker),
    "containerd": _Form(name="config.toml", parse=_parse_toml, ours=_containerd),
    "crio": _Form(name="registries.conf", parse=_parse_toml, ours=_crio),
    "k3s": _Form(name="registries.yaml", parse=_parse_yaml, ours=_k3s),
    "talos": _Form(name="registry-mirrors.yaml", parse=_parse_yaml, ours=_talos),
}


def _entries(document: Any) -> Mapping[str, Any]:
    """A mapping as it is, and something else as none."""
    return document if isinstance(document, Mapping) else {}


def _like(document: Any, wanted: Iterable[str]) -> dict[str, Any]:
    """The entries under keys that are wanted, or that seem to be meant for one."""
    entries = _entries(document).items()
    return {key: each for key, each in entries if get_close_matches(key, list(wanted), n=1, cutoff=0.8)}


def _of_host(document: Any, host: str) -> dict[str, Any]:
    """The entries of a registry by whatever name of it, and those that hold for all registries."""
    entries = _entries(document).items()
    return {key: each for key, each in entries if key == "*" or _host(key) == host or _like({key: each}, (host,))}


def _host(name: str) -> str:
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
                ours, theirs = ({index: side[index]} if index < len(side) else {} for side in (expected, found))
                yield from _compare_keys(ours, theirs, place, known)
        case _ if _normal(expected) != _normal(found):
            yield Difference(key=show_place(place), verdict="different", found=_shown(found), expected=_shown(expected))


def _compare_keys(expected: Any, found: Any, place: Place, known: frozenset[str]) -> Iterator[Difference]:
    found = {_normal(key): each for key, each in found.items()}
    missing = [key for key in expected if key not in found]
    for key in expected:
        if key in missing:
            yield Difference(key=show_place((*place, key)), verdict="missing", expected=_shown(expected[key]))
        else:
            yield from _compare(expected[key], found[key], (*place, key), known)
    for key in (each for each in found if each not in expected):
        yield _stray(key, found[key], place, missing, known)
    if place == ("host",) and not missing and list(found) != list(expected) and found.keys() == expected.keys():
        yield Difference(
            key="host",
            verdict="different",
            found=_shown(list(found)),
            expected=_shown(list(expected)),
            advice="their order counts",
        )


def _stray(key: Any, value: Any, place: Place, missing: list[Any], known: frozenset[str]) -> Difference:
    """A key that is not rendered: one that the runtime does not know, or one that changes what it does."""
    shown, text = show_place((*place, key)), _shown(value)
    if key in known or place in NAMED or isinstance(key, int):
        return Difference(key=shown, verdict="unexpected", found=text, advice=_trap(key, place))
    close = get_close_matches(str(key), [*missing, *sorted(known)], n=1)
    advice = f"did you mean {close[0]!r}?" if close else "it does nothing"
    return Difference(key=shown, verdict="unknown", found=text, advice=advice)


def _trap(key: Any, place: Place) -> str:
    """What comes of a key that is not rendered; empty where that is plain."""
    if place == ("registry",) and re.search(r" \([0-9]+\)$", str(key)):
        return "it is defined twice, and only the first table counts; keep one"
    if place == ("registry",) and str(key).startswith("*."):
        return "it holds for this registry too, and for every other of such a name"
    return TRAPS.get(key, "")


def _normal(value: Any) -> Any:
    """A value as runtimes take it: capabilities in any order, addresses with or without a slash at the end."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return value.rstrip("/")
    if isinstance(value, list | tuple):
        values = [_normal(each) for each in value]
        return sorted(values) if {"pull", "resolve", "push"} >= set(map(str, values)) else values
    return value


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
