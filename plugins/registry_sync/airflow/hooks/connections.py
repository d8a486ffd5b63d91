"""Connections of a session by Airflow's hooks."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING

from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.hooks.skopeo import SkopeoHook
from registry_sync.config.registry import Registry
from registry_sync.config.settings import SkopeoOptions
from registry_sync.registry.endpoint import Endpoint

if TYPE_CHECKING:
    from registry_sync.registry.client import RegistryClient
    from registry_sync.skopeo.runner import SkopeoProgram


class HookConnections:
    """Opens registries with their Airflow Connections, and reads each Connection once.

    :param task: label of the containers that may run skopeo; the same for each try of a task.
    """

    def __init__(self, task: str) -> None:
        self._task = task
        self._hooks: dict[str, RegistryHook] = {}

    def endpoint(self, registry: Registry, /) -> Endpoint:
        """Return the address and credentials of a registry."""
        return self._hook(registry).endpoint

    def client(self, registry: Registry, /) -> AbstractContextManager[RegistryClient]:
        """A client of a registry, closed at the end of the block."""
        return closing(self._hook(registry).get_conn())

    def skopeo(self, options: SkopeoOptions, /) -> SkopeoProgram:
        """Return the skopeo of this worker, or one that runs in containers."""
        return SkopeoHook(options, task=self._task).get_conn()

    def known_skopeo(self, options: SkopeoOptions, /) -> SkopeoProgram:
        """Return the same, without running a skopeo whose version is known."""
        return SkopeoHook(options, task=self._task).get_known()

    def _hook(self, registry: Registry) -> RegistryHook:
        return self._hooks.setdefault(registry.name, RegistryHook(registry))
