"""Write what the runtimes of a pool's machines need to pull by its mirrors; each file says why it is so.

What each runtime makes of these files, fault by fault, was found out by running them: docs/nodes.md has the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from registry_sync.config.model import MirrorsFile, Registry
from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import DOCKER_HUB
from registry_sync.routes.check_node_pools import runtime_problem

RUNTIMES: Mapping[Runtime, Mapping[str, str]] = {
    "docker": {"daemon.json": "daemon.json.j2", "daemon.json.md": "daemon.json.md.j2"},
    "containerd": {"config.toml": "config.toml.j2", "certs.d/{folder}/hosts.toml": "hosts.toml.j2"},
    "crio": {"registries.conf": "registries.conf.j2"},
    "k3s": {"registries.yaml": "registries.yaml.j2"},
    "talos": {"registry-mirrors.yaml": "registry-mirrors.yaml.j2"},
}
"""The files of each runtime, and their templates."""

HUB_ADDRESS = "https://registry-1.docker.io"

MAX_DIFFERENCES = 40

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701  # TOML, JSON and YAML, of hosts and names that are checked
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A mirror as a runtime sees it.

    ``resolves``: it may say what a tag is. ``has_own_authority``: its certificate is signed by one that machines do
    not know by themselves.
    """

    host: str
    tls: bool
    resolves: bool
    has_own_authority: bool

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """A file for machines, and its path below the folder that it is written to."""

    path: PurePosixPath
    text: str


def endpoints(pool: NodePool, registries: Mapping[str, Registry]) -> list[Endpoint]:
    """The mirrors of a pool, in the order in which machines ask them."""
    return [
        Endpoint(
            host=registries[each.registry].host,
            tls=registries[each.registry].tls,
            resolves=each.trust == "pull+resolve",
            has_own_authority=registries[each.registry].ca_file is not None,
        )
        for each in pool.pool_mirrors
    ]


def address(registry: Registry) -> str:
    """Where a registry answers; Docker Hub does elsewhere than its name says."""
    return HUB_ADDRESS if registry.host == DOCKER_HUB else f"{'https' if registry.tls else 'http'}://{registry.host}"


def render_pool(file: MirrorsFile, pool: NodePool, runtime: Runtime, versions: Versions) -> list[RenderedFile]:
    """The files that make ``runtime`` pull as ``pool`` says, good for all of ``versions``.

    :raises ConfigurationError: when the runtime has no way to do that.
    """
    registry = file.registries[pool.registry]
    if problem := runtime_problem(pool, registry, runtime):
        raise ConfigurationError(f"{pool.name}: {problem}")
    context = _context(file, pool, runtime, versions)
    return [
        RenderedFile(
            path=PurePosixPath(path.format_map(context)), text=_TEMPLATES.get_template(template).render(context)
        )
        for path, template in RUNTIMES[runtime].items()
    ]


def _context(file: MirrorsFile, pool: NodePool, runtime: Runtime, versions: Versions) -> dict[str, Any]:
    """What templates know. Each version-dependent form is chosen so that it works for the whole range.

    ``urls``: what k3s and Talos have to be told, which ask the registry itself by HTTPS alone.
    """
    registry = file.registries[pool.registry]
    mirrors = endpoints(pool, file.registries)
    return {
        "pool": pool,
        "registry": registry,
        "upstream": address(registry),
        "mirrors": mirrors,
        "urls": [each.url for each in mirrors] + ([] if registry.tls else [address(registry)]),
        "folder": re.sub(r":([0-9]+)$", r"_\1_", registry.host),
        "shown_versions": str(versions),
        "limits_attempts": versions.are_at_least("20.10"),
        "is_2": versions.are_at_least("2"),
        "honours_dial_timeout": versions.are_at_least("2.1"),
        "has_documents": runtime == "talos" and versions.are_at_least("1.12"),
    }


Written = Literal["written", "unchanged", "replaced"]


def write_files(files: Iterable[RenderedFile], folder: Path, *, force: bool) -> dict[Path, Written]:
    """Write files below ``folder``, and say what became of each.

    :param force: replace files that are there and differ.
    :raises ConfigurationError: when there are such files and ``force`` is not set, and nothing is written then; or when
        a file cannot be written.
    """
    texts = {folder / each.path: each.text for each in files}
    present = {path: _present(path) for path in texts if path.exists()}
    differing = [path for path, text in present.items() if text != texts[path]]
    if differing and not force:
        differences = "\n".join(_difference(path, present[path], texts[path]) for path in differing)
        raise ConfigurationError(f"{differences}\nnothing was written; --force replaces what differs")
    return {path: _write(path, text, present.get(path)) for path, text in texts.items()}


def _present(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be read ({error})") from error


def _write(path: Path, text: str, present: str | None) -> Written:
    if present == text:
        return "unchanged"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be written ({error})") from error
    return "written" if present is None else "replaced"


def _difference(path: Path, present: str, text: str) -> str:
    """What would change in a file, cut where it is long."""
    lines = list(
        unified_diff(present.splitlines(), text.splitlines(), f"{path} (there)", f"{path} (rendered)", n=0, lineterm="")
    )
    more = [f"... and {len(lines) - MAX_DIFFERENCES} more lines"] if len(lines) > MAX_DIFFERENCES else []
    return "\n".join([f"{path} is there and differs:", *lines[:MAX_DIFFERENCES], *more])
