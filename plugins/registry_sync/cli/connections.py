"""Connections of the command line. They use Airflow's hooks, so a plan reads the registries like a run.

Airflow logs to the standard output of its first import. Each call of Airflow therefore runs with standard error in
place of standard output, which is kept for the command's own output.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext, redirect_stdout
from threading import Lock
from typing import TYPE_CHECKING, Self

from registry_sync.config.registry import Registry
from registry_sync.config.settings import SkopeoOptions
from registry_sync.errors import ConfigurationError
from registry_sync.registry.client import PullClient, RegistryClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.skopeo.runner import SkopeoProgram
from registry_sync.sync.session import Connections

if TYPE_CHECKING:
    from registry_sync.airflow.hooks.registry import RegistryHook


def without_airflow(error: ModuleNotFoundError) -> ConfigurationError:
    """The error of a command that needs Airflow's Connections, where Airflow is not installed."""
    return ConfigurationError(f"{error}; run this command where Airflow is installed; it reads Airflow Connections")


class CommandConnections:
    """Opens registries with their Airflow Connections. All routes of a command share one client per registry.

    Threads may share it, where the caller has put standard error in place of standard output.

    :raises ConfigurationError: when Airflow is not installed.
    """

    def __init__(self) -> None:
        with redirect_stdout(sys.stderr):
            try:
                from registry_sync.airflow.hooks.connections import HookConnections
            except ModuleNotFoundError as error:
                raise without_airflow(error) from error
            self._connections: Connections = HookConnections(task="command line")
        self._clients: dict[str, tuple[Registry, RegistryClient]] = {}
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Close the clients. An error, such as Ctrl-C, also breaks off the requests of other threads."""
        if error:
            for _registry, client in list(self._clients.values()):
                client.abort()
        self._opened.close()

    @property
    def clients(self) -> Iterable[tuple[Registry, RegistryClient]]:
        """The clients that were opened so far, with their registries."""
        return self._clients.values()

    def endpoint(self, registry: Registry, /) -> Endpoint:
        """Return the address and credentials of a registry."""
        with redirect_stdout(sys.stderr):
            return self._connections.endpoint(registry)

    def client(self, registry: Registry, /) -> AbstractContextManager[RegistryClient]:
        """Return the client of a registry. It stays open until the end of the command."""
        with redirect_stdout(sys.stderr), self._locks[registry.name]:
            if registry.name not in self._clients:
                client = self._opened.enter_context(self._connections.client(registry))
                self._clients[registry.name] = registry, client
        return nullcontext(self._clients[registry.name][1])

    def skopeo(self, options: SkopeoOptions, /) -> SkopeoProgram:
        """Return the skopeo of this machine, or one that runs in containers."""
        with redirect_stdout(sys.stderr):
            return self._connections.skopeo(options)

    def known_skopeo(self, options: SkopeoOptions, /) -> SkopeoProgram:
        """Return the same, without running a skopeo whose version is known."""
        with redirect_stdout(sys.stderr):
            return self._connections.known_skopeo(options)


def open_client(registry: Registry) -> RegistryClient:
    """Return a client with the registry's Airflow Connection; the caller closes it."""
    with redirect_stdout(sys.stderr):
        return _hook(registry).get_conn()


def open_node_client(registry: Registry, answer_seconds: float) -> PullClient:
    """Return a client without credentials, such as a node that pulls; the caller closes it."""
    with redirect_stdout(sys.stderr):
        return _hook(registry).get_node_conn(answer_seconds)


def _hook(registry: Registry) -> RegistryHook:
    try:
        from registry_sync.airflow.hooks.registry import RegistryHook
    except ModuleNotFoundError as error:
        raise without_airflow(error) from error
    return RegistryHook(registry)
