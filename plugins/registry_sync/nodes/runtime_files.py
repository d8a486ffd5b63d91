"""Read the files with which runtimes are configured, and select their parts that concern mirrors of one registry."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from registry_sync.config.node_pools import Runtime
from registry_sync.config.reading.yaml_source import read_all_yaml
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.containerd_config import IMAGES_PLUGINS
from registry_sync.oci.reference import parse_host


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
    """The registry tables of a config.toml.

    Empty tables in them have no effect. ``containerd config default`` of 1.x writes them for all old settings.
    """
    keys = _similar(document, ("version", "plugins"))
    plugins = {
        name: {key: _without_empty_tables(value) for key, value in _similar(plugin, ("registry",)).items()}
        for name, plugin in _similar(document.get("plugins"), IMAGES_PLUGINS).items()
    }
    return {**keys, "plugins": {name: plugin for name, plugin in plugins.items() if plugin}}


def _without_empty_tables(value: Any) -> Any:
    return {key: item for key, item in value.items() if item != {}} if isinstance(value, dict) else value


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
        mirrors = {**machine.get("mirrors", {}), **_of_host(registries.get("mirrors"), host)}
        machine |= {**_similar(registries, ("mirrors",)), "mirrors": mirrors}
    return {"RegistryMirrorConfig": configs, "machine": {"registries": machine}}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """A runtime's file: its name as rendered, its parser, and the selection of the keys for one registry."""

    name: str
    parse: Callable[[str, Path], Any]
    relevant: Callable[[Any, str], Any]


FORMATS: Mapping[Runtime, FileFormat] = {
    "docker": FileFormat(name="daemon.json", parse=_parse_json, relevant=_docker),
    "containerd": FileFormat(name="config.toml", parse=_parse_toml, relevant=_containerd),
    "crio": FileFormat(name="registries.conf", parse=_parse_toml, relevant=_crio),
    "k3s": FileFormat(name="registries.yaml", parse=_parse_yaml, relevant=_k3s),
    "talos": FileFormat(name="registry-mirrors.yaml", parse=_parse_yaml, relevant=_talos),
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


def read_document(path: Path, runtime: Runtime) -> Any:
    """Read and parse a file. :raises ConfigurationError: when that is not possible."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot read it ({error})") from error
    return FORMATS[runtime].parse(text, path)


def same_registry(name: str, host: str) -> bool:
    """Return whether ``name`` is another name of a registry, such as registry-1.docker.io."""
    return _normalize_host(name) == host


def choose_talos_versions(documents: Any, versions: Versions, host: str) -> Versions:
    """The versions to render for. If none are known, the form that a machine's file has is accepted."""
    parts = _talos(documents, host)
    is_old = parts["machine"]["registries"].get("mirrors") and not parts["RegistryMirrorConfig"]
    return Versions(ceiling=(1, 12)) if is_old and versions == Versions() else versions
