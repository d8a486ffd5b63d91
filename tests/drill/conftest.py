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
from testkit.namespace import Namespace, why_not
from testkit.possible import require
from testkit.tls import CertificateAuthority
from tests.drill.registries import DrillRegistry
from tests.drill.runtimes import Containerd, Dockerd, Runtime, version_of

Pool = Literal["docker", "containerd", "containerd_pull_only"]
POOLS: tuple[Pool, ...] = get_args(Pool)

HUB_HOSTS = ("registry-1.docker.io", "auth.docker.io", "index.docker.io", "docker.io")
MIRROR_HOST = "acme.azurecr.io"
HUB_ADDRESS, MIRROR_ADDRESS = "10.77.0.1", "10.77.0.2"


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A daemon that is configured by our rendered files, Docker Hub, and a mirror of it. Both registries are down."""

    pool: NodePool
    runtime: Runtime
    hub: DrillRegistry
    mirror: DrillRegistry


@pytest.fixture(scope="session")
def possible() -> None:
    """Check the requirements of the drill. Without them CI fails, and elsewhere the tests are skipped with a reason."""
    require(why_not(("dockerd", "containerd", "docker-registry"), "drill"), "the drill cannot run here")


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
            yield Lab(pool=pool, runtime=runtime, hub=hub, mirror=mirror)


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    """The lab, with both registries down before and after the test."""
    try:
        yield running_lab
    finally:
        running_lab.hub.stop()
        running_lab.mirror.stop()


def render(name: Pool, folder: Path) -> NodePool:
    """Write the files of a pool to ``folder/containerd`` or ``folder/docker``, for the version that is installed."""
    runtime: Literal["docker", "containerd"] = "docker" if name == "docker" else "containerd"
    mirror = {"registry": "acme", "trust": "pull" if name == "containerd_pull_only" else "pull+resolve"}
    version = version_of({"docker": "dockerd"}.get(runtime, runtime))
    nodes = {name: {"registry": "hub", "mirrors": [mirror], "runtime": runtime, "version": version}}
    registries = {"hub": {"host": "docker.io"}, "acme": {"host": MIRROR_HOST, "private": True}}
    path = folder / "mirrors.yaml"
    path.write_text(json.dumps({"registries": registries, "mirrors": {}, "nodes": nodes}))
    file = load_mirrors(path)
    pool = file.node_pools[name]
    write_files(render_pool(file, pool, runtime, pool.versions), folder / runtime, force=False)
    return pool


@contextmanager
def start(pool: NodePool, namespace: Namespace, ca_file: Path) -> Iterator[Runtime]:
    if pool.runtime == "docker":
        with Dockerd.running(namespace, namespace.folder / "docker", ca_file) as dockerd:
            yield dockerd
    else:
        with Containerd.running(namespace, ca_file) as containerd:
            yield containerd
