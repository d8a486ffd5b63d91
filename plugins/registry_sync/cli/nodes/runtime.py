"""The arguments ``--runtime`` and ``--version`` of the commands below ``nodes``."""

from __future__ import annotations

import argparse
from typing import get_args

from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Add ``--runtime`` and ``--version``."""
    parser.add_argument("--runtime", choices=get_args(Runtime), help="container runtime (default: the pool's runtime:)")
    parser.add_argument(
        "--version", metavar="V", help="its version, or a range such as '>=1.7' (default: the pool's version:)"
    )


def choose_runtime(pool: NodePool, given: Runtime | None) -> Runtime:
    """The runtime given, or the pool's. :raises ConfigurationError: when neither is known."""
    if runtime := given or pool.runtime:
        return runtime
    raise ConfigurationError(
        f"the runtime of pool {pool.name!r} is unknown; give --runtime, or set runtime: of the pool"
    )


def choose_versions(pool: NodePool, runtime: Runtime, given: str | None) -> Versions:
    """The versions given, or the pool's if they are of the same runtime.

    :raises ConfigurationError: when no version is in both.
    """
    own = pool.versions if runtime == pool.runtime else Versions()
    if given is None:
        return own
    versions = Versions.parse(given)
    if not versions.meet(own):
        raise ConfigurationError(
            f"pool {pool.name!r} has {runtime} {pool.version}, which excludes {given!r}; fix --version or the pool"
        )
    return versions
