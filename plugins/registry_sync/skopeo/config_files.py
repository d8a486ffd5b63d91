"""Configuration files for skopeo. They replace those of the host, whose settings and log-ins are not used.

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
from registry_sync.skopeo.layer_cache import layer_cache

_ACCEPT_ANYTHING = {"default": [{"type": "insecureAcceptAnything"}]}
"""The policy of a route without ``policy:``. Copies are by digest, which fixes the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFiles:
    """A containers-policy.json(5), and the registries.d(5) directory with the locations of signatures.

    Without ``registries_d`` skopeo looks for no signatures outside of the registry.
    """

    policy: Path
    registries_d: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Directory, environment and files for one run of skopeo.

    :param directory: readable by this user only.
    :param environment: all variables that skopeo gets, apart from those of proxies.
    :param outside: files outside of ``directory`` that skopeo reads too.
    :param authorities: place for a file with this worker's certificate authorities; ``None`` when no TLS is used.
    """

    directory: Path
    environment: Mapping[str, str]
    outside: tuple[Path, ...] = ()
    authorities: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFiles:
    """Settings of skopeo for one registry. ``cert_dir`` is ``None`` without certificates."""

    host: str
    tls: bool
    auth_file: Path
    cert_dir: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoFiles:
    """The files for one route, in a directory that only this user can read.

    :param default_policy: accepts any image.
    :param empty_registries_d: contains no locations of signatures.
    :param policy_files: the user's policy, which replaces the two above for images.
    """

    source: SideFiles
    destination: SideFiles
    default_policy: Path
    empty_registries_d: Path
    policy_files: PolicyFiles | None = None
    temporary: Path
    workspace: Workspace


def write_skopeo_files(
    directory: Path, *, source: Endpoint, destination: Endpoint, policy_files: PolicyFiles | None = None
) -> SkopeoFiles:
    """Write all files into ``directory``, which must be empty and private (mode 0700).

    :raises ConfigurationError: when a CA file does not exist.
    """
    home, registries_d, temporary = directory / "home", directory / "registries.d", directory / "tmp"
    for subdirectory in (home, registries_d, temporary):
        subdirectory.mkdir()
    _write_registries_conf(home)
    policy = directory / "policy.json"
    _write_private(policy, _ACCEPT_ANYTHING)
    return SkopeoFiles(
        source=_write_side(directory / "source", source),
        destination=_write_side(directory / "destination", destination),
        default_policy=policy,
        empty_registries_d=registries_d,
        policy_files=policy_files,
        temporary=temporary,
        workspace=Workspace(
            directory=directory,
            environment=_environment(home),
            outside=_list_policy_files(policy_files),
            authorities=directory / "authorities.pem" if source.tls or destination.tls else None,
        ),
    )


def _list_policy_files(policy_files: PolicyFiles | None) -> tuple[Path, ...]:
    """The policy, the keys that it names, and its registries.d, as far as they exist.

    A policy that cannot be read is listed without keys; skopeo reports the error.
    """
    if policy_files is None:
        return ()
    try:
        keys = tuple(_list_keys(json.loads(policy_files.policy.read_bytes())))
    except (OSError, ValueError, RecursionError):
        keys = ()
    registries_d = (policy_files.registries_d,) if policy_files.registries_d else ()
    return tuple(dict.fromkeys(path for path in (policy_files.policy, *keys, *registries_d) if path.exists()))


def _list_keys(document: Any) -> Iterator[Path]:
    """Paths under ``keyPath``, ``keyPaths``, ``caPath`` and similar names, at any depth. containers-policy.json(5)."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name.endswith(("Path", "Paths")):
                paths = value if isinstance(value, list) else [value]
                yield from (Path(path) for path in paths if isinstance(path, str))
            else:
                yield from _list_keys(value)
    if isinstance(document, list):
        for item in document:
            yield from _list_keys(item)


def skopeo_host(endpoint: Endpoint) -> str:
    """The host in skopeo's references. Skopeo reads a host without dot and port as a Docker Hub name, so add the port.

    >>> skopeo_host(Endpoint(host="registry", tls=False))
    'registry:80'
    """
    if "." in endpoint.host or ":" in endpoint.host or endpoint.host == "localhost":
        return endpoint.host
    return f"{endpoint.host}:{443 if endpoint.tls else 80}"


def _write_side(directory: Path, endpoint: Endpoint) -> SideFiles:
    """Write the files of one registry.

    The auth file exists without credentials too: without the option, skopeo reads the user's own log-ins.
    """
    directory.mkdir()
    host = skopeo_host(endpoint)
    auth_file = directory / "auth.json"
    _write_private_text(auth_file, _auth_text(endpoint))
    has_files = endpoint.ca_file or endpoint.ca_pem or endpoint.client_certificate
    cert_dir = _write_certificates(directory / "certs", endpoint) if has_files else None
    return SideFiles(host=host, tls=endpoint.tls, auth_file=auth_file, cert_dir=cert_dir)


def _auth_text(endpoint: Endpoint) -> str:
    host = skopeo_host(endpoint)
    auths = {host: {"auth": endpoint.credentials.current().basic()}} if endpoint.credentials else {}
    return json.dumps({"auths": auths})


def renew_auth_file(side: SideFiles, endpoint: Endpoint) -> None:
    """Write the auth file of one registry again if its credentials have changed. A running skopeo has read its own.

    :raises RegistrySyncError: when the credentials cannot be renewed.
    """
    text = _auth_text(endpoint)
    if text != side.auth_file.read_text(encoding="utf-8"):
        new = side.auth_file.with_suffix(".new")
        _write_private_text(new, text)
        new.replace(side.auth_file)


def _write_certificates(directory: Path, endpoint: Endpoint) -> Path:
    """Write the CA and the client certificate of one registry. containers-certs.d(5).

    The CA file is copied alone: skopeo would also send client keys and certificates that lie beside it.
    """
    directory.mkdir()
    if authorities := _authorities(endpoint):
        (directory / "ca.crt").write_bytes(authorities)
    if endpoint.client_certificate:
        (directory / "client.cert").write_text(endpoint.client_certificate.certificate, encoding="ascii")
        _write_private_text(directory / "client.key", endpoint.client_certificate.key)
    return directory


def _authorities(endpoint: Endpoint) -> bytes:
    if not endpoint.ca_file:
        return endpoint.ca_pem.encode("ascii")
    if not endpoint.ca_file.is_file():
        raise ConfigurationError(f"{endpoint.host}: no CA file {str(endpoint.ca_file)!r} on this worker")
    return endpoint.ca_file.read_bytes()


def _write_registries_conf(home: Path) -> None:
    """Write an empty registries.conf into the home directory, which hides the host's.

    With ``--registries-conf`` skopeo would still apply redirects and blocks of the host's
    ``/etc/containers/registries.conf.d``; with a file in the home directory it does not (both seen with 1.9.3).
    """
    path = home / ".config" / "containers" / "registries.conf"
    path.parent.mkdir(parents=True)
    path.touch()


def _write_private(path: Path, document: Any) -> None:
    """Write JSON to a new private file."""
    _write_private_text(path, json.dumps(document))


def _write_private_text(path: Path, text: str) -> None:
    """Write a new file, which is created with mode 0600 whatever the umask."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _environment(home: Path) -> dict[str, str]:
    """The whole environment of skopeo, without Airflow's variables (they contain secrets) and REGISTRY_AUTH_FILE.

    XDG_DATA_HOME is for the cache of layers, which outlives the task. Run by root, skopeo uses a system-wide cache.

    GOMAXPROCS bounds a skopeo to one core, which hashes at least 400 MB/s. Several run at the same time, and Go's
    threads otherwise take a sixth more CPU for a small image, also that of other tasks.
    """
    return {
        **({"PATH": os.environ["PATH"]} if "PATH" in os.environ else {}),
        "GOMAXPROCS": "1",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(layer_cache() or home / ".local" / "share"),
        "XDG_RUNTIME_DIR": str(home),
    }
