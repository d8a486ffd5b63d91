"""Remedies for errors of registries, with the key of the mirrors file that is to be corrected."""

from __future__ import annotations

from pathlib import Path

from registry_sync.config.registry import Registry
from registry_sync.errors import (
    DeniedError,
    LoginRejected,
    NotFound,
    RegistrySyncError,
    ResponseTimeout,
    TemporaryError,
)


def to_reach(registry: Registry, path: Path, error: RegistrySyncError) -> str:
    """The remedy for a registry that did not respond; empty for other errors.

    :param path: of the mirrors file.
    """
    if not isinstance(error, TemporaryError) or isinstance(error, ResponseTimeout) or error.status is not None:
        return ""
    keys = "host: or proxy:" if registry.proxy else "host:"
    return (
        f"correct {keys} of registries.{registry.name} in {path}, or see that {registry.host} runs and can be reached "
        "from this machine"
    )


def to_read(registry: Registry, place: str, path: Path, error: RegistrySyncError) -> str:
    """The remedy for a repository or namespace that a source does not have, or hides; empty for other errors.

    :param place: of its rule in the mirrors file, such as ``mirrors.team.repositories[0]``.
    """
    if isinstance(error, NotFound):
        return f"check its name at {place} in {path}, and that it has at least one tag"
    if isinstance(error, DeniedError) and not isinstance(error, LoginRejected):
        has_login = registry.connection or registry.identity
        login = "that its login may pull it" if has_login else f"whether registries.{registry.name} needs a connection:"
        return f"check its name at {place} in {path}, and {login}"
    return to_reach(registry, path, error)
