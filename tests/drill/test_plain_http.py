"""A pool whose registry uses plain HTTP: real daemons with our rendered files pull from it."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from registry_sync.nodes.render import render_pool, write_files
from registry_sync.routes.load import load_mirrors
from testkit import images
from testkit.namespace import Namespace
from testkit.tls import CertificateAuthority
from tests.drill.conftest import start
from tests.drill.registries import DrillRegistry
from tests.drill.runtimes import version_of

ADDRESS, PORT = "10.77.0.3", 5000
HOST = f"registry.internal:{PORT}"


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("possible")
@pytest.mark.parametrize("runtime", ["docker", "containerd"])
def test_a_daemon_pulls_from_a_registry_without_tls(runtime: Literal["docker", "containerd"]) -> None:
    version = version_of("dockerd" if runtime == "docker" else runtime)
    image = images.multi_arch("plain")
    with Namespace({HOST.partition(":")[0]: ADDRESS}) as namespace:
        path = namespace.folder / "mirrors.yaml"
        pool = {"registry": "home", "runtime": runtime, "version": version}
        registries = {"home": {"host": HOST, "tls": False}}
        path.write_text(json.dumps({"registries": registries, "mirrors": {}, "nodes": {"p": pool}}))
        file = load_mirrors(path)
        made = file.node_pools["p"]
        write_files(render_pool(file, made, runtime, made.versions), namespace.folder / runtime, force=False)
        registry = DrillRegistry(namespace, "home", ADDRESS, None, PORT)
        authority = CertificateAuthority.create(namespace.folder / "authority")
        with registry.pushing(), start(made, namespace, authority.ca_file) as daemon:
            registry.push("team/app", "v1", image)
            registry.start()
            assert daemon.pull(f"{HOST}/team/app", "v1") in {str(child.blobs[0].digest) for child in image.children}
