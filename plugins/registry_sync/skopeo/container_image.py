"""The skopeo of a container image: found once, and started in a container for each copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from registry_sync.skopeo.config_files import Workspace
from registry_sync.skopeo.container import SkopeoContainer
from registry_sync.skopeo.docker_daemon import Docker, pull_image, remove_abandoned
from registry_sync.skopeo.local import VERSION_SECONDS
from registry_sync.skopeo.runner import OLDEST_VERSION, SkopeoVersion, check_version, parse_version, run
from registry_sync.worker.private_directory import private_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoImage:
    """The skopeo of an image at a Docker daemon."""

    docker: Docker
    version: SkopeoVersion

    @property
    def command(self) -> tuple[str, ...]:
        return ("skopeo",)

    @property
    def label(self) -> str:
        return f"skopeo of {self.docker.image}"

    @property
    def needs_output(self) -> bool:
        """The traffic of a container is read when it prints. Without output, that of a short copy would be 0."""
        return True

    def start(self, argv: Sequence[str], workspace: Workspace) -> SkopeoContainer:
        return SkopeoContainer(self.docker, argv, workspace)


def find_skopeo_image(docker: Docker) -> SkopeoImage:
    """Find the skopeo of the configured image, which is pulled if the daemon does not have it.

    :raises ConfigurationError: when skopeo is not found or too old, or the daemon refuses a call.
    :raises TemporaryError: when the daemon does not respond.
    """
    pull_image(docker)
    remove_abandoned(docker)
    unchecked = SkopeoImage(docker=docker, version=OLDEST_VERSION)
    with private_directory() as directory:
        workspace = Workspace(directory=directory, environment={"HOME": str(directory)})
        output = run(unchecked, [*unchecked.command, "--version"], workspace, VERSION_SECONDS)
    version = check_version(parse_version(output, unchecked.label), unchecked.label)
    return replace(unchecked, version=version)
