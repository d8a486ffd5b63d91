"""Packages that only some users need: the SDKs of clouds, each an extra of this package."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from registry_sync.errors import ConfigurationError


def require(module: str, package: str, extra: str) -> None:
    """Check that a package can be imported.

    :param module: a module of the package, such as ``google.auth``.
    :raises ConfigurationError: when it is not installed.
    """
    parent = module.rpartition(".")[0]
    try:
        if parent:
            import_module(parent)
        is_there = find_spec(module) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        raise ConfigurationError(
            f"this worker has no Python package {package!r}, which a registry with this identity needs; install it in "
            f"the environment of Airflow: pip install {package}, or the extra [{extra}] of registry-sync "
            "(docs/install.md)"
        )
