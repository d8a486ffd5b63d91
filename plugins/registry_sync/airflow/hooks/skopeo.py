"""The skopeo that a route asks for: the worker's own, or one in containers of a Docker daemon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from registry_sync.config.settings import SkopeoOptions
from registry_sync.errors import TemporaryError

if TYPE_CHECKING:
    from docker import APIClient

    from registry_sync.skopeo.runner import SkopeoProgram

DOCKER_SECONDS = 60
"""How long the daemon may take for an answer; a pull of the image tells of itself all the time."""


class SkopeoHook(BaseHook):
    """Finds skopeo.

    :param options: where it is to run.
    :param task: what the work is for, the same for each try of a task.
    """

    def __init__(self, options: SkopeoOptions, *, task: str) -> None:
        super().__init__()
        self.options = options
        self.task = task

    def get_conn(self) -> SkopeoProgram:
        """A skopeo that works.

        :raises ConfigurationError: when there is none, or it is too old.
        :raises TemporaryError: when the Docker daemon does not answer.
        """
        if self.options.runner == "local":
            from registry_sync.skopeo.local import find_skopeo

            return find_skopeo()
        from registry_sync.skopeo.container import Docker, find_skopeo_image

        return find_skopeo_image(
            Docker(
                connect=self._connect,
                url=self.options.docker_url,
                image=str(self.options.image),
                network=self.options.network,
                task=self.task,
            )
        )

    def _connect(self) -> APIClient:
        """Clients are not shared, since threads use them at once."""
        from airflow.providers.docker.hooks.docker import DockerHook

        url, folder = self.options.docker_url, self.options.tls_dir
        if url.startswith("unix://") and not Path(url.removeprefix("unix://")).exists():
            raise TemporaryError(
                f"there is no Docker daemon at {url}; is it running, and can this worker see its socket?"
            )
        tls = folder and DockerHook.construct_tls_config(
            ca_cert=str(folder / "ca.pem"), client_cert=str(folder / "cert.pem"), client_key=str(folder / "key.pem")
        )
        hook = DockerHook(docker_conn_id=None, base_url=url, version="auto", tls=tls, timeout=DOCKER_SECONDS)
        try:
            client: APIClient = hook.get_conn()
        except AirflowException as error:
            advice = "is it running, and may this worker's user use it?"
            raise TemporaryError(f"the Docker daemon at {url} cannot be reached; {advice}") from error
        return client
