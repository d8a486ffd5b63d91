"""Commands that prove on a live machine that a mirror served an image. Pure: nothing is run.

Machines do not record which registry an image came from. Two logs show it: the runtime's log names each registry that
did not have the image, and the registry's own log has the request. So the commands first pull an image that does not
exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.registry import Registry
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.render import hosts_folder
from registry_sync.oci.reference import Repository, is_tag, split_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeCommands:
    """Commands by which a runtime shows its mirrors, pulls an image, and logs the registries that lack it."""

    shows: str
    pulls: str
    logs: str
    left: str


COMMANDS: Mapping[Runtime, RuntimeCommands] = {
    "docker": RuntimeCommands(
        shows="docker info -f '{{.RegistryConfig.Mirrors}}'",
        pulls="docker pull IMAGE",
        logs="journalctl -u docker --since -2min",
        left="Attempting next endpoint",
    ),
    "containerd": RuntimeCommands(
        shows="containerd config dump | grep config_path; cat /etc/containerd/certs.d/FOLDER/hosts.toml",
        pulls="crictl pull IMAGE",
        logs="journalctl -u containerd --since -2min",
        left="trying next host",
    ),
    "k3s": RuntimeCommands(
        shows="cat /var/lib/rancher/*/agent/etc/containerd/certs.d/FOLDER/hosts.toml",
        pulls="crictl pull IMAGE",
        logs="tail -n 200 /var/lib/rancher/*/agent/containerd/containerd.log",
        left="trying next host",
    ),
    "crio": RuntimeCommands(
        shows="cat /etc/containers/registries.conf.d/50-registry-sync.conf",
        pulls="podman --log-level=debug pull IMAGE 2>&1 | tee /tmp/mirror-proof.log",
        logs="cat /tmp/mirror-proof.log",
        left="Trying to access",
    ),
    "talos": RuntimeCommands(
        shows="talosctl -n NODE get machineconfig -o yaml | grep -A8 -e RegistryMirrorConfig -e mirrors:",
        pulls="talosctl -n NODE image pull IMAGE",
        logs="talosctl -n NODE logs cri",
        left="trying next host",
    ),
}
"""CRI-O logs the registries that it tries at level debug only; Podman reads the same file, and prints them."""


def proof(file: MirrorsFile, pool: NodePool, runtime: Runtime, *, image: str | None, node: str, mark: str) -> str:
    """The commands, with comments, for a shell on the machine (Talos: on one's own machine).

    :param image: ``REPOSITORY:TAG`` at the pool's registry; ``None``: the first bootstrap image with a tag by name.
    :param node: the machine's name.
    :param mark: a text that no earlier proof had, such as the time.
    :raises ConfigurationError: when the pool has no mirrors, or no image is known.
    """
    if not pool.pool_mirrors:
        raise ConfigurationError(f"pool {pool.name!r} has no mirrors: its machines pull from {pool.registry} alone")
    registry, mirror = file.registries[pool.registry], file.registries[pool.pool_mirrors[0].registry]
    repository, tag = _choose_image(pool, image)
    name = Repository.at(registry.host, repository)
    resolves = pool.pull_order[0][1]
    marked = f":mirror-proof-{mark}" if resolves else f"@sha256:{hashlib.sha256(mark.encode()).hexdigest()}"
    commands = COMMANDS[runtime]
    text = f"""\
# 1. The configuration has {mirror.host} for {registry.host}:
{commands.shows}

# 2. The machine asks the mirror first. No registry has this image, so the pull fails, and
#    its log names every registry that was left without it: {mirror.host} comes first.
{commands.pulls.replace("IMAGE", f"{name}{marked}")}
{commands.logs} | grep '{commands.left}'

# 3. The mirror serves. Take an image that is not on the machine: others are not requested.
{commands.pulls.replace("IMAGE", f"{name}:{tag}")}
{_expectation(commands, runtime, mirror)}
{commands.logs} | grep '{commands.left}'

# 4. The mirror's own log has both requests, from this machine's address:
{_registry_log(mirror, name)}
"""
    place = f"# Pool {pool.name}, {runtime}, node {node}."
    shell = f"# A shell on it: ssh {node}, or kubectl debug node/{node}, then chroot /host\n"
    steps = text.replace("FOLDER", hosts_folder(registry.host)).replace("NODE", node)
    return f"{place}\n{'' if runtime == 'talos' else shell}\n{steps}"


def _choose_image(pool: NodePool, image: str | None) -> tuple[str, str]:
    if image:
        repository, tag = split_tag(image)
        if tag is None or not is_tag(tag):
            example = "write REPOSITORY:TAG, such as giantswarm/pause:3.9"
            raise ConfigurationError(f"--image {image!r} has no tag; {example}")
        return repository, tag
    named = [(entry.repository, entry.tags.by_name[0]) for entry in pool.images if entry.tags and entry.tags.by_name]
    if not named:
        raise ConfigurationError(
            f"no bootstrap image of pool {pool.name!r} has a tag by name; give --image REPOSITORY:TAG"
        )
    return named[0]


def _expectation(commands: RuntimeCommands, runtime: Runtime, mirror: Registry) -> str:
    if runtime == "crio":
        return f"#    The first line with {commands.left!r} names {mirror.host}, and there is no second one:"
    return f"#    There is no line for this image. A line with {mirror.host} means that another registry served it:"


def _registry_log(mirror: Registry, name: Repository) -> str:
    if mirror.api_kind == "acr":
        return (
            f"#    in Log Analytics, with the diagnostic setting ContainerRegistryRepositoryEvents of {mirror.host}:\n"
            f'#    ContainerRegistryRepositoryEvents | where Repository == "{name.name}"\n'
            "#    | project TimeGenerated, OperationName, Tag, Digest, ResultType, CallerIpAddress"
        )
    return f"#    in the access log of {mirror.host}: grep -F '/v2/{name.name}/manifests/'"
