"""Render the configuration files with which a pool's machines pull by its mirrors. Comments give the reasons.

docs/node-failures.md has a table of each runtime's observed behaviour with these files, fault by fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool, PoolMirror, Runtime
from registry_sync.config.registry import Registry
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.containerd_config import newest_form
from registry_sync.oci.reference import DOCKER_HUB
from registry_sync.routes.checks.node_pools import runtime_problem

RUNTIMES: Mapping[Runtime, Mapping[str, str]] = {
    "docker": {"daemon.json": "daemon.json.j2", "daemon.json.md": "daemon.json.md.j2"},
    "containerd": {"config.toml": "config.toml.j2", "certs.d/{folder}/hosts.toml": "hosts.toml.j2"},
    "crio": {"registries.conf": "registries.conf.j2"},
    "k3s": {"registries.yaml": "registries.yaml.j2"},
    "talos": {"registry-mirrors.yaml": "registry-mirrors.yaml.j2"},
}
"""The files of each runtime, by their path, with their templates."""

DOCKER_HUB_URL = "https://registry-1.docker.io"

MAX_DIFF_LINES = 40

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701  # TOML, JSON and YAML, of hosts and names that are checked
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedMirror:
    """A mirror as a template needs it.

    ``resolves``: machines take tags from it. ``has_own_authority``: its certificate is signed by an authority that
    machines do not trust by default.
    """

    host: str
    url: str
    tls: bool
    resolves: bool
    has_own_authority: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """A file for machines, with its path below the output folder."""

    path: PurePosixPath
    text: str


def _rendered_mirror(mirror: PoolMirror, registry: Registry) -> RenderedMirror:
    return RenderedMirror(
        host=registry.host,
        url=_url(registry),
        tls=registry.tls,
        resolves=mirror.trust == "pull+resolve",
        has_own_authority=registry.ca_file is not None,
    )


def _url(registry: Registry) -> str:
    return f"{'https' if registry.tls else 'http'}://{registry.host}"


def registry_url(registry: Registry) -> str:
    """The URL at which a registry answers. That of Docker Hub differs from its name."""
    return DOCKER_HUB_URL if registry.host == DOCKER_HUB else _url(registry)


def hosts_folder(host: str) -> str:
    """The folder below ``certs.d`` with a registry's hosts.toml. A port stands between underscores."""
    return re.sub(r":([0-9]+)$", r"_\1_", host)


def render_pool(file: MirrorsFile, pool: NodePool, runtime: Runtime, versions: Versions) -> list[RenderedFile]:
    """The files that configure ``runtime`` for ``pool``, valid for all of ``versions``.

    :raises ConfigurationError: when the runtime does not support the pool's configuration.
    """
    registry = file.registries[pool.registry]
    if problem := runtime_problem(pool, registry, runtime):
        raise ConfigurationError(f"{pool.name}: {problem}")
    context = _context(file, pool, runtime, versions)
    return [
        RenderedFile(path=PurePosixPath(path.format_map(context)), text=render_template(template, **context))
        for path, template in RUNTIMES[runtime].items()
    ]


def render_template(name: str, **context: object) -> str:
    """The text of a template."""
    return _TEMPLATES.get_template(name).render(context)


def _context(file: MirrorsFile, pool: NodePool, runtime: Runtime, versions: Versions) -> dict[str, Any]:
    """The variables of the templates. A form that depends on the version is chosen to work for the whole range.

    ``urls`` are the endpoints for k3s and Talos. Both use HTTPS for a registry that is not among them.
    """
    registry = file.registries[pool.registry]
    mirrors = [_rendered_mirror(mirror, file.registries[mirror.registry]) for mirror in pool.pool_mirrors]
    return {
        "pool": pool,
        "registry": registry,
        "upstream": registry_url(registry),
        "mirrors": mirrors,
        "urls": [mirror.url for mirror in mirrors] + ([] if registry.tls else [registry_url(registry)]),
        "folder": hosts_folder(registry.host),
        "versions": str(versions),
        "limits_attempts": versions.are_at_least("20.10"),
        "is_2": versions.are_at_least("2"),
        "form": newest_form(versions),
        "honours_dial_timeout": versions.are_at_least("2.1"),
        "has_documents": runtime == "talos" and (versions == Versions() or versions.are_at_least("1.12")),
    }


Written = Literal["written", "unchanged", "replaced"]


def write_files(files: Iterable[RenderedFile], folder: Path, *, force: bool) -> dict[Path, Written]:
    """Write files below ``folder``, and return the outcome for each.

    :param force: replace existing files that differ.
    :raises ConfigurationError: when a file exists, differs, and ``force`` is false (no file is written then); or when a
        file cannot be written.
    """
    texts = {folder / file.path: file.text for file in files}
    existing = {path: _read(path) for path in texts if path.exists()}
    differing = [path for path, text in existing.items() if text != texts[path]]
    if differing and not force:
        diffs = "\n".join(_diff(path, existing[path], texts[path]) for path in differing)
        raise ConfigurationError(f"{diffs}\nno file was written; --force replaces files that differ")
    return {path: _write(path, text, existing.get(path)) for path, text in texts.items()}


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read it ({error})") from error


def _write(path: Path, text: str, existing: str | None) -> Written:
    if existing == text:
        return "unchanged"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot write it ({error})") from error
    return "written" if existing is None else "replaced"


def _diff(path: Path, existing: str, text: str) -> str:
    """The differences of a file, cut when they are long."""
    names = (f"{path} (existing)", f"{path} (rendered)")
    lines = list(unified_diff(existing.splitlines(), text.splitlines(), *names, n=0, lineterm=""))
    more = [f"... and {len(lines) - MAX_DIFF_LINES} more lines"] if len(lines) > MAX_DIFF_LINES else []
    return "\n".join([f"{path} exists and differs:", *lines[:MAX_DIFF_LINES], *more])
