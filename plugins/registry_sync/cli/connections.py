"""Connections of the command line. They use Airflow's hooks, so a plan reads the registries as a run would.

Airflow logs to the standard output of its first import. Each call of Airflow therefore runs with standard error in
place of standard output, which is kept for the command's own output.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

from registry_sync.config.model import Registry
from registry_sync.config.settings import SkopeoOptions
from registry_sync.errors import ConfigurationError
from registry_sync.registry.client import PullClient, RegistryClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.skopeo.runner import SkopeoProgram
from registry_sync.sync.session import Connections


class CommandConnections:
    """Opens registries with their Airflow Connections.

    :raises ConfigurationError: when Airflow is not installed.
    """

    def __init__(self) -> None:
        with redirect_stdout(sys.stderr):
            try:
                from registry_sync.airflow.hooks.connections import HookConnections
            except ModuleNotFoundError as error:
                advice = "run this command where Airflow is installed; it reads Airflow Connections"
                raise ConfigurationError(f"{error}; {advice}") from error
            self._connections: Connections = HookConnections(task="command line")

    def endpoint(self, registry: Registry, /) -> Endpoint:
        """Return the address and credentials of a registry."""
        with redirect_stdout(sys.stderr):
            return self._connections.endpoint(registry)

    def client(self, registry: Registry, /) -> RegistryClient:
        """Return a client of a registry; the caller closes it."""
        with redirect_stdout(sys.stderr):
            return self._connections.client(registry)

    def skopeo(self, options: SkopeoOptions, /) -> SkopeoProgram:
        """Return the skopeo of this machine, or one that runs in containers."""
        with redirect_stdout(sys.stderr):
            return self._connections.skopeo(options)


def open_client(registry: Registry) -> RegistryClient:
    """Return a client with the registry's Airflow Connection; the caller closes it."""
    return CommandConnections().client(registry)


def open_node_client(registry: Registry, answer_seconds: float) -> PullClient:
    """Return a client without credentials, such as a node that pulls; the caller closes it."""
    with redirect_stdout(sys.stderr):
        from registry_sync.airflow.hooks.registry import RegistryHook

        return RegistryHook(registry).get_node_conn(answer_seconds)
