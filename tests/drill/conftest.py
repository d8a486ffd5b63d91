"""Fixtures of the drill: its requirements, and the lab that it runs in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pytest

from registry_sync.config.node_pools import NodePool
from registry_sync.nodes.render import render_pool, write_files
from registry_sync.routes.load import load_mirrors
from testkit.namespace import Namespace, namespace_obstacle
from testkit.skipping import skip_or_fail
from testkit.tls import CertificateAuthority
from tests.drill.registries import DrillRegistry
from tests.drill.runtimes import Containerd, Dockerd, Runtime, version_of
from tests.drill.table import is_wanted

Pool = Literal["docker", "containerd", "containerd_pull_only", "docker_containerd_store"]
POOLS: tuple[Pool, ...] = get_args(Pool)[: None if is_wanted() else 3]
"""With newer runtimes, Docker with the containerd image store too, the default of new installations of Docker 29."""

HUB_HOSTS = ("registry-1.docker.io", "auth.docker.io", "index.docker.io", "docker.io")
MIRROR_HOST = "acme.azurecr.io"
HUB_ADDRESS, MIRROR_ADDRESS = "10.77.0.1", "10.77.0.2"


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A daemon that is configured by our rendered files, Docker Hub, and a mirror of it. Both registries are down.

    ``name``: of the runtime with its version, for people.
    """

    name: str
    pool: NodePool
    runtime: Runtime
    hub: DrillRegistry
    mirror: DrillRegistry


@pytest.fixture(scope="session")
def possible() -> None:
    """Check the requirements of the drill. Without them CI fails, and elsewhere the tests are skipped with a reason."""
    skip_or_fail(namespace_obstacle(("dockerd", "containerd", "docker-registry"), "drill"), "the drill cannot run here")


@pytest.fixture(scope="module", params=POOLS)
def running_lab(request: pytest.FixtureRequest, possible: None) -> Iterator[Lab]:  # noqa: ARG001 - it may skip
    """A lab for each pool. Its daemon starts once; each test pulls another repository."""
    hosts = dict.fromkeys(HUB_HOSTS, HUB_ADDRESS) | {MIRROR_HOST: MIRROR_ADDRESS}
    with Namespace(hosts) as namespace:
        authority = CertificateAuthority.create(namespace.folder / "authority")
        hub = DrillRegistry(namespace, "hub", HUB_ADDRESS, authority.issue(HUB_HOSTS))
        mirror = DrillRegistry(namespace, "mirror", MIRROR_ADDRESS, authority.issue([MIRROR_HOST]))
        pool = render(request.param, namespace.folder)
        with start(pool, namespace, authority.ca_file) as runtime, hub.pushing(), mirror.pushing():
            yield Lab(name=runtime_name(request.param), pool=pool, runtime=runtime, hub=hub, mirror=mirror)


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    """The lab, with both registries down before and after the test."""
    try:
        yield running_lab
    finally:
        running_lab.hub.stop()
        running_lab.mirror.stop()


def render(name: Pool, folder: Path) -> NodePool:
    """Write the files of a pool for the installed version to ``folder/containerd`` or ``folder/docker``."""
    runtime: Literal["docker", "containerd"] = "docker" if name.startswith("docker") else "containerd"
    mirror = {"registry": "acme", "trust": "pull" if name == "containerd_pull_only" else "pull+resolve"}
    version = version_of({"docker": "dockerd"}.get(runtime, runtime))
    entry = {"registry": "hub", "mirrors": [mirror], "runtime": runtime, "version": version}
    store = "containerd" if name == "docker_containerd_store" else "classic"
    nodes = {name: {**entry, "image_store": store} if runtime == "docker" else entry}
    registries = {"hub": {"host": "docker.io"}, "acme": {"host": MIRROR_HOST, "private": True}}
    path = folder / "mirrors.yaml"
    path.write_text(json.dumps({"registries": registries, "mirrors": {}, "nodes": nodes}))
    file = load_mirrors(path)
    pool = file.node_pools[name]
    write_files(render_pool(file, pool, runtime, pool.versions), folder / runtime, force=False)
    if is_wanted() and runtime == "docker":
        choose_store(folder / runtime / "daemon.json", store)
    return pool


def choose_store(config: Path, store: str) -> None:
    """Choose the image store of dockerd: https://docs.docker.com/engine/storage/containerd/."""
    document = json.loads(config.read_text())
    document["features"] = {"containerd-snapshotter": store == "containerd"}
    config.write_text(json.dumps(document))


def runtime_name(pool: Pool) -> str:
    """The runtime of a pool with its version, as the table names it."""
    version = version_of("dockerd" if pool.startswith("docker") else "containerd")
    return {
        "docker": f"dockerd {version}",
        "docker_containerd_store": f"Docker {version}, containerd store",
        "containerd": f"containerd {version}",
        "containerd_pull_only": f"containerd {version}, trust: pull",
    }[pool]


@contextmanager
def start(pool: NodePool, namespace: Namespace, ca_file: Path) -> Iterator[Runtime]:
    if pool.runtime == "docker":
        with Dockerd.running(namespace, namespace.folder / "docker", ca_file) as dockerd:
            yield dockerd
    else:
        with Containerd.running(namespace, ca_file) as containerd:
            yield containerd
