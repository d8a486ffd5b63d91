"""Forms for products that write the runtime's files themselves: BuildKit, OpenShift and GKE."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from registry_sync.config.registry import Registry
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.roll_out.roll_out import RollOut
from registry_sync.nodes.roll_out.yaml_text import yaml_stream, yaml_text


def buildkit(roll_out: RollOut) -> str:
    """https://docs.docker.com/build/buildkit/toml-configuration/. BuildKit takes tags from every mirror it has."""
    _check_mirrors(roll_out, roll_out.mirrors, "buildkit")
    mirrors = roll_out.resolving_mirrors
    if not mirrors:
        raise ConfigurationError(
            f"pool {roll_out.pool.name!r}: BuildKit takes tags from its mirrors, and no mirror of the pool is trusted "
            "with them (trust: pull+resolve)"
        )
    registry = roll_out.registry
    lines = [
        f"[registry.{json.dumps(registry.host)}]",
        f"  mirrors = {json.dumps([pool_mirror.host for pool_mirror in mirrors])}",
    ]
    lines += [] if registry.tls else ["  http = true"]
    for mirror in mirrors:
        settings = [] if mirror.tls else ["  http = true"]
        if mirror.ca_file:
            settings += ['  # Its certificate is signed by your own authority: ca = ["/path/on/the/builder.pem"]']
        lines += ["", f"[registry.{json.dumps(mirror.host)}]", *settings] if settings else []
    title = f"# Rendered by registry_sync for pool {roll_out.pool.name}: BuildKit does not read the runtime's files."
    return "\n".join([title, *lines, ""])


def openshift(roll_out: RollOut) -> str:
    """https://docs.redhat.com/en/documentation/openshift_container_platform/4.16: mirror sets by tag and by digest."""
    _check_mirrors(roll_out, roll_out.mirrors, "openshift")
    roll_out.refuse_plain_http("OpenShift's mirror set")
    sets = (
        ("ImageDigestMirrorSet", "imageDigestMirrors", roll_out.mirrors),
        ("ImageTagMirrorSet", "imageTagMirrors", roll_out.resolving_mirrors),
    )
    return yaml_stream(_mirror_set(roll_out, kind, key, mirrors) for kind, key, mirrors in sets if mirrors)


def _mirror_set(roll_out: RollOut, kind: str, key: str, mirrors: Sequence[Registry]) -> dict[str, Any]:
    entry = {
        "source": roll_out.registry.host,
        "mirrors": [mirror.host for mirror in mirrors],
        "mirrorSourcePolicy": "AllowContactingSource",
    }
    return {
        "apiVersion": "config.openshift.io/v1",
        "kind": kind,
        "metadata": {"name": f"registry-sync-{roll_out.name}"},
        "spec": {key: [entry]},
    }


def gke(roll_out: RollOut) -> str:
    """https://docs.cloud.google.com/kubernetes-engine/docs/how-to/customize-containerd-configuration."""
    _check_mirrors(roll_out, roll_out.mirrors, "gke")
    roll_out.refuse_plain_http("GKE's registryHosts")
    trusted = roll_out.resolving_mirrors
    hosts = [_gke_host(mirror, resolves=mirror in trusted) for mirror in roll_out.mirrors]
    authorities = [mirror.host for mirror in roll_out.mirrors if mirror.ca_file]
    lines = [
        f"# Rendered by registry_sync for pool {roll_out.pool.name}. GKE replaces the nodes, with this as hosts.toml:",
        "# gcloud container node-pools update POOL --cluster CLUSTER --containerd-config-from-file FILE",
        *(
            f"# {host} has its own authority: add ca: [{{gcpSecretManagerSecretUri: projects/…/secrets/…/versions/…}}]"
            for host in authorities
        ),
    ]
    document = {"registryHosts": [{"server": roll_out.registry.host, "hosts": hosts}]}
    return "\n".join([*lines, yaml_text(document)])


def _gke_host(mirror: Registry, *, resolves: bool) -> dict[str, Any]:
    capabilities = ["HOST_CAPABILITY_PULL", *(["HOST_CAPABILITY_RESOLVE"] if resolves else [])]
    return {"host": mirror.host, "capabilities": capabilities, "dialTimeout": "2s"}


def _check_mirrors(roll_out: RollOut, mirrors: Sequence[Registry], form: str) -> None:
    if not mirrors:
        raise ConfigurationError(f"pool {roll_out.pool.name!r} has no mirrors; there is nothing to render as {form}")
