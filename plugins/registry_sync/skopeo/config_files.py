"""The files that skopeo is run with, so that nothing of the host's own configuration or log-ins has a say.

containers-auth.json(5), containers-policy.json(5), containers-registries.conf(5), containers-certs.d(5).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_sync.errors import ConfigurationError
from registry_sync.registry.endpoint import Endpoint
from registry_sync.worker.shared_directory import shared_directory

_ACCEPT_ANYTHING = {"default": [{"type": "insecureAcceptAnything"}]}
"""Digests say what is copied. What is trusted beyond that is for a policy of the user's to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFiles:
    """What skopeo checks images by: a containers-policy.json(5), and the registries.d(5) that say where to look.

    Without ``registries_d`` signatures are looked for nowhere.
    """

    policy: Path
    registries_d: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What a skopeo is run with: a directory that only we can read, all of its environment, and files elsewhere."""

    directory: Path
    environment: Mapping[str, str]
    outside: tuple[Path, ...] = ()


_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFiles:
    """What skopeo is given for one registry. ``cert_dir`` is ``None`` when it has no CA of its own."""

    host: str
    tls: bool
    auth_file: Path
    cert_dir: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoFiles:
    """Everything that a skopeo of one route is given, in a directory that only we can read.

    ``policy`` accepts anything, and ``registries_d`` is empty; with ``trust``, images are copied by that instead.
    """

    source: SideFiles
    destination: SideFiles
    policy: Path
    registries_d: Path
    trust: PolicyFiles | None = None
    temporary: Path
    workspace: Workspace


def write_files(
    directory: Path, *, source: Endpoint, destination: Endpoint, trust: PolicyFiles | None = None
) -> SkopeoFiles:
    """Fill the empty ``directory``, which has to be ours alone (mode 0700).

    :raises ConfigurationError: when a CA file is not there.
    """
    home, registries_d, temporary = directory / "home", directory / "registries.d", directory / "tmp"
    for each in (home, registries_d, temporary):
        each.mkdir()
    _write_registries_conf(home)
    policy = directory / "policy.json"
    _write_private(policy, _ACCEPT_ANYTHING)
    return SkopeoFiles(
        source=_write_side(directory / "source", source),
        destination=_write_side(directory / "destination", destination),
        policy=policy,
        registries_d=registries_d,
        trust=trust,
        temporary=temporary,
        workspace=Workspace(directory=directory, environment=_environment(home), outside=_outside(trust)),
    )


def _outside(trust: PolicyFiles | None) -> tuple[Path, ...]:
    """What a policy consists of: itself, the keys that it names, and where signatures are.

    What is wrong with one that cannot be read, skopeo says.
    """
    if trust is None:
        return ()
    try:
        keys = tuple(_key_files(json.loads(trust.policy.read_bytes())))
    except (OSError, ValueError, RecursionError):
        keys = ()
    places = (trust.policy, *keys, *((trust.registries_d,) if trust.registries_d else ()))
    return tuple(dict.fromkeys(each for each in places if each.exists()))


def _key_files(document: Any) -> Iterator[Path]:
    """``keyPath``, ``keyPaths``, ``caPath`` and their like, at whatever depth. containers-policy.json(5)."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name.endswith(("Path", "Paths")):
                paths = value if isinstance(value, list) else [value]
                yield from (Path(each) for each in paths if isinstance(each, str))
            else:
                yield from _key_files(value)
    if isinstance(document, list):
        for each in document:
            yield from _key_files(each)


def skopeo_host(endpoint: Endpoint) -> str:
    """The host as skopeo has to see it: it takes a first part without dot and port for a name at Docker Hub.

    >>> skopeo_host(Endpoint(host="registry", tls=False))
    'registry:80'
    """
    if "." in endpoint.host or ":" in endpoint.host or endpoint.host == "localhost":
        return endpoint.host
    return f"{endpoint.host}:{443 if endpoint.tls else 80}"


def _write_side(directory: Path, endpoint: Endpoint) -> SideFiles:
    """Without credentials the file is there too, and empty: skopeo would look for the user's own otherwise."""
    directory.mkdir()
    host = skopeo_host(endpoint)
    auths = {host: {"auth": endpoint.credentials.basic()}} if endpoint.credentials else {}
    auth_file = directory / "auth.json"
    _write_private(auth_file, {"auths": auths})
    cert_dir = _write_certificate(directory / "certs", endpoint) if endpoint.ca_file else None
    return SideFiles(host=host, tls=endpoint.tls, auth_file=auth_file, cert_dir=cert_dir)


def _write_certificate(directory: Path, endpoint: Endpoint) -> Path:
    """The directory gets the authority alone. Next to the CA file there may be keys, which skopeo would present."""
    if not endpoint.ca_file or not endpoint.ca_file.is_file():
        raise ConfigurationError(f"{endpoint.host}: there is no CA file {str(endpoint.ca_file)!r} on this worker")
    directory.mkdir()
    (directory / "ca.crt").write_bytes(endpoint.ca_file.read_bytes())
    return directory


def _write_registries_conf(home: Path) -> None:
    """Put an empty file where a user has one.

    ``--registries-conf`` would not do: with it, skopeo still reads the host's ``/etc/containers/registries.conf.d``,
    whose redirects and blocks then hold for us; with a user's file it does not (both seen with 1.9.3).
    """
    path = home / ".config" / "containers" / "registries.conf"
    path.parent.mkdir(parents=True)
    path.touch()


def _write_private(path: Path, document: Any) -> None:
    """Write with mode 0600 from the first moment, whatever the umask."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)


def _environment(home: Path) -> dict[str, str]:
    """All that skopeo gets to see. Not in it are Airflow's variables, which hold secrets, and REGISTRY_AUTH_FILE.

    XDG_DATA_HOME outlives the task. Skopeo notes there which repository has which layer: one that the destination has
    in another repository is then mounted from there and not sent again. Skopeo run by root uses a place of its own.
    """
    kept = {name: os.environ[name] for name in ("PATH", *_PROXY_VARIABLES) if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(shared_directory() or home / ".local" / "share"),
        "XDG_RUNTIME_DIR": str(home),
    }
