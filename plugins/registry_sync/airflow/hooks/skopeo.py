"""The skopeo of a route: the worker's own, or one in containers of a Docker daemon."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from registry_sync.config.settings import RouteSettings, SkopeoOptions
from registry_sync.errors import ConfigurationError, TemporaryError

if TYPE_CHECKING:
    from docker import APIClient
    from docker.tls import TLSConfig

    from registry_sync.skopeo.runner import SkopeoProgram

DOCKER_SECONDS = 60
"""Time limit for each response of the Docker daemon. A pull of the image sends progress all the time."""


def check_skopeos(all_settings: Sequence[RouteSettings], task: str) -> list[SkopeoProgram]:
    """Find each skopeo that some routes need, and check that it can enforce their policies.

    :param all_settings: of routes; those of direct transfer need no skopeo.
    :param task: label of the containers that may run skopeo.
    :raises ConfigurationError: when a skopeo is missing or too old, or cannot enforce a policy.
    """
    from registry_sync.skopeo.policy import check_policies
    from registry_sync.sync.session import policy_files_of

    found, with_skopeo = [], [settings for settings in all_settings if settings.needs_skopeo]
    for options in dict.fromkeys(settings.skopeo for settings in with_skopeo):
        skopeo = SkopeoHook(options, task=task).get_conn()
        check_policies((policy_files_of(settings) for settings in with_skopeo if settings.skopeo == options), skopeo)
        found.append(skopeo)
    return found


class SkopeoHook(BaseHook):
    """Finds skopeo.

    :param options: the place to run it.
    :param task: label of its containers, the same for each try of a task.
    """

    def __init__(self, options: SkopeoOptions, *, task: str) -> None:
        super().__init__()
        self.options = options
        self.task = task

    def get_conn(self) -> SkopeoProgram:
        """Return a skopeo that was found to work.

        :raises ConfigurationError: when skopeo is missing or too old, or the packages of the extra ``docker`` are.
        :raises TemporaryError: when the Docker daemon does not respond.
        """
        if self.options.runner == "local":
            from registry_sync.skopeo.local import find_skopeo

            return find_skopeo()
        return self._find_skopeo_image()

    def get_known(self) -> SkopeoProgram:
        """Return a skopeo that was found to work by an earlier task, if it has not changed since; else as ``get_conn``.

        :raises ConfigurationError: as :meth:`get_conn`.
        :raises TemporaryError: as :meth:`get_conn`.
        """
        if self.options.runner == "local":
            from registry_sync.skopeo.local import find_known_skopeo

            return find_known_skopeo()
        return self._find_skopeo_image()

    def _find_skopeo_image(self) -> SkopeoProgram:
        if missing := [name for name in ("docker", "airflow.providers.docker") if find_spec(name) is None]:
            raise ConfigurationError(
                f"skopeo cannot run in containers: this worker has no Python package {missing[0]!r}; install "
                "registry-sync[docker], or requirements.txt"
            )
        from registry_sync.skopeo.container_image import find_skopeo_image
        from registry_sync.skopeo.docker_daemon import Docker

        docker = Docker(
            connect=self._connect,
            url=self.options.docker_url,
            image=str(self.options.image),
            network=self.options.network,
            task=self.task,
        )
        return find_skopeo_image(docker)

    def _connect(self) -> APIClient:
        """Return a new client of the Docker daemon. Each thread needs its own."""
        from airflow.providers.docker.hooks.docker import DockerHook

        url = self.options.docker_url
        if url.startswith("unix://") and not Path(url.removeprefix("unix://")).exists():
            raise TemporaryError(
                f"cannot connect to the Docker daemon at {url}: no such socket; check that the daemon is running and "
                "that its socket is mounted into this worker"
            )
        hook = DockerHook(docker_conn_id=None, base_url=url, version="auto", tls=self._tls(), timeout=DOCKER_SECONDS)
        try:
            client: APIClient = hook.get_conn()
        except AirflowException as error:
            advice = "check that the daemon is running and that this worker's user may use it"
            raise TemporaryError(f"cannot connect to the Docker daemon at {url}; {advice}") from error
        return client

    def _tls(self) -> TLSConfig | bool:
        """Client certificate and CA for the Docker daemon; ``False`` without a ``tls_dir``."""
        from airflow.providers.docker.hooks.docker import DockerHook

        folder = self.options.tls_dir
        if folder is None:
            return False
        return DockerHook.construct_tls_config(
            ca_cert=str(folder / "ca.pem"), client_cert=str(folder / "cert.pem"), client_key=str(folder / "key.pem")
        )
