"""A Docker daemon that runs skopeo: the image that it needs, the containers that killed workers left, and its errors.

https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from registry_sync.errors import ConfigurationError, TemporaryError

log = logging.getLogger(__name__)

TASK_LABEL = "registry_sync.task"
"""Label of every container with its task. A later try of the task removes the containers of a killed worker."""

ABANDONED_AFTER = timedelta(minutes=10)
"""Age at which any task removes a container that does not run.

A living worker removes its containers as soon as they end, so this one was left by a killed worker. It contains
passwords, and its own task may never be tried again.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """A Docker daemon and the settings for its containers.

    :param connect: makes a client; the calling thread closes it.
    :param network: name of a network of the daemon, or ``host``.
    :param task: value of the label ``TASK_LABEL``, the same for each try of a task.
    """

    connect: Callable[[], APIClient]
    url: str
    image: str
    network: str
    task: str


def pull_image(docker: Docker) -> None:
    """Pull the image unless the daemon has it.

    :raises ConfigurationError: when the image does not exist.
    """
    with translate_errors(docker), closing(docker.connect()) as client:
        try:
            client.inspect_image(docker.image)
        except ImageNotFound:
            log.info("Pulling %s at the Docker daemon %s", docker.image, docker.url)
            for step in client.pull(docker.image, stream=True, decode=True):
                if "error" in step:
                    text = f"the Docker daemon at {docker.url} cannot pull {docker.image}: {step['error']}"
                    raise TemporaryError(text) from None


def remove_abandoned(docker: Docker) -> None:
    """Remove the containers that killed workers left: those of an earlier try of this task, old ones of all."""
    with translate_errors(docker), closing(docker.connect()) as client:
        for container in client.containers(all=True, filters={"label": TASK_LABEL}):
            if container["Labels"][TASK_LABEL] == docker.task or _is_abandoned(client, container):
                log.info("removing container %s, which a killed task left", container["Id"][:12])
                try:
                    client.remove_container(container["Id"], force=True)
                except APIError as error:  # 404 or 409 when another task removes it at the same time
                    log.info("container %s was not removed: %s", container["Id"][:12], error.explanation)


def _is_abandoned(client: APIClient, container: Mapping[str, Any]) -> bool:
    """Return whether a container has not run for ``ABANDONED_AFTER`` by the daemon's clock."""
    if container["State"] not in ("created", "exited", "dead"):
        return False
    try:
        details = client.inspect_container(container["Id"])
    except NotFound:
        return False
    idle_since = details["Created"] if details["State"]["Status"] == "created" else details["State"]["FinishedAt"]
    now = datetime.fromisoformat(client.info()["SystemTime"])
    return now - datetime.fromisoformat(idle_since) > ABANDONED_AFTER


@contextmanager
def translate_errors(docker: Docker) -> Iterator[None]:
    """Translate docker-py errors: a refusal → ConfigurationError, no answer → TemporaryError."""
    where = f"the Docker daemon at {docker.url}"
    try:
        yield
    except NotFound as error:
        raise ConfigurationError(
            f"{where} has no image {docker.image!r} or network {docker.network!r}, and cannot get "
            f"it: {error.explanation}; check skopeo: in the mirrors file"
        ) from error
    except APIError as error:
        text = f"{where} answered {error.status_code}: {error.explanation}"
        if error.is_server_error():
            raise TemporaryError(text) from error
        raise ConfigurationError(text) from error
    except (DockerException, OSError) as error:
        raise TemporaryError(f"{where} cannot be reached: {error}") from error
