"""Two sources for one destination repository: all tags arrive, and nodes compare each with its own source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from registry_sync.config.registry import Registry
from registry_sync.nodes.readiness.known_digests import KnownDigests
from registry_sync.nodes.readiness.plan import plan_checks
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.open import open_client
from registry_sync.routes.load import load_mirrors
from testkit import images
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, run_route

OLD, NEW = images.multi_arch("was here before"), images.multi_arch("moved here")


def push_sources(source: RegistryProcess, name: str) -> None:
    """An image of the old project, and two tags of the new one with a signature."""
    images.push(source.url, f"{name}/old", "v1", OLD)
    for tag in ("v2", "v3"):
        images.push(source.url, f"{name}/new", tag, NEW)
    images.push(source.url, f"{name}/new", images.cosign_tag(NEW), images.cosign_signature(NEW))


def test_both_sources_arrive_and_later_runs_write_nothing(
    source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
) -> None:
    push_sources(source, name)
    platforms = ("linux/amd64",)
    old = make_route(source, wire, f"{name}/old", mirror="a", rename=name, tags={"names": ("v1",)}, platforms=platforms)
    new = make_route(source, wire, f"{name}/new", mirror="b", rename=name, tags={"names": ("v2", "v3")})
    assert counted(run_route(old)) == {"copied": 1}
    assert counted(run_route(new)) == {"copied": 3}
    assert [images.resolve(destination.url, name, tag) for tag in ("v2", "v3")] == [NEW.digest, NEW.digest]
    before = len(wire.requests())
    later = [counted(run_route(route)) for route in (old, new, old)]
    assert later == [{"unchanged": 1}, {"unchanged": 2}, {"unchanged": 1}]
    assert {request.method for request in wire.requests()[before:]} <= {"GET", "HEAD"}


def test_nodes_compare_each_tag_with_its_own_source(source: RegistryProcess, name: str, tmp_path: Path) -> None:
    push_sources(source, name)
    file = load_mirrors(write_file(tmp_path, source.host, name))
    plan = plan_checks(file, list(file.node_pools.values()), client_of, KnownDigests)
    rows = [(check.copied_by, tag.tag, tag.digest) for check in plan.checks for tag in check.tags]
    assert rows == [("a", "v1", OLD.digest), ("b", "v2", NEW.digest), ("b", "v3", NEW.digest)]
    assert plan.notes == []


def write_file(folder: Path, host: str, name: str) -> Path:
    """A mirrors file with two mirrors to one repository, and nodes that need three tags of it."""
    document: dict[str, Any] = {
        "registries": {"source": {"host": host, "tls": False}, "suse": {"host": "suse.example"}},
        "mirrors": {
            mirror: {
                "source": "source",
                "destinations": ["suse"],
                "repositories": [{"repository": f"{name}/{part}", "rename": name, "tags": {"names": tags}}],
            }
            for mirror, part, tags in (("a", "old", ["v1"]), ("b", "new", ["v2", "v3"]))
        },
        "nodes": {
            "p": {"registry": "suse", "bootstrap_images": [{"repository": name, "tags": {"names": ["v1", "v2", "v3"]}}]}
        },
    }
    path = folder / "mirrors.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def client_of(registry: Registry) -> RegistryClient:
    endpoint = Endpoint(host=registry.host, tls=registry.tls)
    return open_client(registry.kind, endpoint, max_connections=2)
