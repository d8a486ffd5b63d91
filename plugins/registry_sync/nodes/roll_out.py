"""Forms in which rendered files reach machines: ``nodes render --as``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.install_script import install_script, place_files
from registry_sync.nodes.render import RenderedFile, render_pool

INSTALLED = "/usr/local/sbin/registry-sync-mirrors"
"""Path to which cloud-init, Butane and Ansible write the script on a machine."""


def _script(files: Sequence[RenderedFile], runtime: Runtime, _: NodePool) -> str:
    return install_script(files, runtime)


def _cloud_init(files: Sequence[RenderedFile], runtime: Runtime, _: NodePool) -> str:
    """https://cloudinit.readthedocs.io/en/latest/reference/modules.html#write-files."""
    script = {"path": INSTALLED, "permissions": "0755", "content": install_script(files, runtime)}
    return f"#cloud-config\n{_yaml({'write_files': [script], 'runcmd': [[INSTALLED]]})}"


def _butane(files: Sequence[RenderedFile], runtime: Runtime, _: NodePool) -> str:
    """https://coreos.github.io/butane/config-fcos-v1_5/. The unit runs before the runtime starts, at every boot."""
    service = "containerd" if runtime == "containerd" else "crio" if runtime == "crio" else "k3s"
    unit = (
        f"[Unit]\nDescription=Registry mirrors\nBefore={service}.service\n[Service]\nType=oneshot\n"
        f"Environment=RESTART=true\nExecStart={INSTALLED}\n[Install]\nWantedBy=multi-user.target\n"
    )
    document = {
        "variant": "fcos",
        "version": "1.5.0",
        "storage": {
            "files": [{"path": INSTALLED, "mode": 0o755, "contents": {"inline": install_script(files, runtime)}}]
        },
        "systemd": {"units": [{"name": "registry-sync-mirrors.service", "enabled": True, "contents": unit}]},
    }
    return _yaml(document)


def _ansible(files: Sequence[RenderedFile], runtime: Runtime, pool: NodePool) -> str:
    tasks = [
        {
            "name": f"Install the script for the mirrors of pool {pool.name}",
            "ansible.builtin.copy": {"dest": INSTALLED, "mode": "0755", "content": install_script(files, runtime)},
        },
        {
            "name": "Configure the mirrors, and restart the runtime only where needed",
            "ansible.builtin.command": INSTALLED,
            "register": "mirrors",
            "changed_when": "mirrors.stdout != ''",
        },
    ]
    return _yaml(tasks)


def _daemon_set(files: Sequence[RenderedFile], runtime: Runtime, pool: NodePool) -> str:
    """A pod of each node runs the script against the node's file system, and again every ten minutes."""
    name = f"registry-mirrors-{pool.name.lower().replace('_', '-')}"
    loop = "while :; do sh /script/install.sh || echo failed; sleep 600; done"
    container = {
        "name": "install",
        "image": "busybox:1.36",
        "command": ["sh", "-c", loop],
        "env": [
            {"name": "ROOT", "value": "/host"},
            {"name": "RESTART", "value": "nsenter -t 1 -m -u -i -n -p -- sh -c"},
        ],
        "securityContext": {"privileged": True},
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
        "volumeMounts": [
            {"name": "etc", "mountPath": "/host/etc"},
            {"name": "script", "mountPath": "/script", "readOnly": True},
        ],
    }
    spec = {
        "hostPID": True,
        "automountServiceAccountToken": False,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [
            {"name": "etc", "hostPath": {"path": "/etc", "type": "Directory"}},
            {"name": "script", "configMap": {"name": name}},
        ],
    }
    labels, metadata = {"app.kubernetes.io/name": name}, {"name": name, "namespace": "kube-system"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
    documents = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"install.sh": install_script(files, runtime)},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {**metadata, "labels": labels},
            "spec": {"selector": {"matchLabels": labels}, "updateStrategy": rolling, "template": template},
        },
    ]
    return "---\n".join(map(_yaml, documents))


def _kind(files: Sequence[RenderedFile], runtime: Runtime, _: NodePool) -> str:
    """https://kind.sigs.k8s.io/docs/user/local-registry/: hosts.toml is mounted from the folder of this file."""
    if runtime != "containerd":
        raise ConfigurationError("kind runs containerd; give --runtime containerd")
    mounts = [
        {"hostPath": file.path.lstrip("/").removeprefix("etc/containerd/"), "containerPath": file.path}
        for file in place_files(files, runtime)
    ]
    patch = next(file.text for file in files if file.path.name == "config.toml")
    document = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "containerdConfigPatches": [patch],
        "nodes": [{"role": "control-plane", "extraMounts": mounts}],
    }
    return _yaml(document)


def _eks(files: Sequence[RenderedFile], runtime: Runtime, _: NodePool) -> str:
    """User data of AL2023: https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/api/."""
    if runtime != "containerd":
        raise ConfigurationError("EKS' nodes run containerd; give --runtime containerd")
    config = next(file.text for file in files if file.path.name == "config.toml")
    node = {"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": {"containerd": {"config": config}}}
    writes = "".join(
        f"mkdir -p {PurePosixPath(file.path).parent}\ncat > {file.path} <<'END_OF_FILE'\n{file.text}END_OF_FILE\n"
        for file in place_files(files, runtime)
    )
    return (
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="//"\n\n'
        f"--//\nContent-Type: text/x-shellscript\n\n#!/bin/sh\nset -eu\n{writes}"
        f"\n--//\nContent-Type: application/node.eks.aws\n\n{_yaml(node)}\n--//--\n"
    )


_FORMS: Mapping[str, tuple[str, Callable[[Sequence[RenderedFile], Runtime, NodePool], str]]] = {
    "script": ("install.sh", _script),
    "cloud-init": ("user-data.yaml", _cloud_init),
    "butane": ("mirrors.yaml", _butane),
    "ansible": ("tasks.yaml", _ansible),
    "daemonset": ("daemonset.yaml", _daemon_set),
    "eks": ("user-data.txt", _eks),
    "kind": ("kind.yaml", _kind),
}


def _buildkit(file: MirrorsFile, pool: NodePool) -> str:
    """https://docs.docker.com/build/buildkit/toml-configuration/."""
    mirrors = [file.registries[mirror.registry] for mirror in pool.pool_mirrors]
    host = file.registries[pool.registry].host
    lines = [f"[registry.{json.dumps(host)}]", f"  mirrors = {json.dumps([mirror.host for mirror in mirrors])}"]
    for mirror in (mirror for mirror in mirrors if not mirror.tls):
        lines += ["", f"[registry.{json.dumps(mirror.host)}]", "  http = true"]
    return "\n".join(
        [f"# Rendered by registry_sync for pool {pool.name}: BuildKit does not read the runtime's files.", *lines, ""]
    )


def _openshift(file: MirrorsFile, pool: NodePool) -> str:
    """https://docs.redhat.com/en/documentation/openshift_container_platform/4.16: mirror sets by tag and by digest."""
    host = file.registries[pool.registry].host
    documents = []
    for kind, key, trusts in (
        ("ImageDigestMirrorSet", "imageDigestMirrors", ("pull", "pull+resolve")),
        ("ImageTagMirrorSet", "imageTagMirrors", ("pull+resolve",)),
    ):
        hosts = [file.registries[mirror.registry].host for mirror in pool.pool_mirrors if mirror.trust in trusts]
        if hosts:
            entry: dict[str, Any] = {"source": host, "mirrors": hosts, "mirrorSourcePolicy": "AllowContactingSource"}
            name = f"registry-sync-{pool.name.lower().replace('_', '-')}"
            documents.append(
                {
                    "apiVersion": "config.openshift.io/v1",
                    "kind": kind,
                    "metadata": {"name": name},
                    "spec": {key: [entry]},
                }
            )
    return "---\n".join(map(_yaml, documents))


_WITHOUT_RUNTIME: Mapping[str, tuple[str, Callable[[MirrorsFile, NodePool], str]]] = {
    "buildkit": ("buildkitd.toml", _buildkit),
    "openshift": ("mirror-sets.yaml", _openshift),
}

FORMS = (*_FORMS, *_WITHOUT_RUNTIME)


def render_as(
    form: str, file: MirrorsFile, pool: NodePool, runtime: Runtime | None, versions: Versions
) -> RenderedFile:
    """The file that brings a pool's configuration onto its machines.

    :param runtime: not needed for ``buildkit`` and ``openshift``.
    :raises ConfigurationError: when the form does not fit the runtime or the pool.
    """
    if form in _WITHOUT_RUNTIME:
        name, write = _WITHOUT_RUNTIME[form]
        if not pool.pool_mirrors:
            raise ConfigurationError(f"pool {pool.name!r} has no mirrors; there is nothing to render as {form}")
        return RenderedFile(path=PurePosixPath(name), text=write(file, pool))
    if runtime is None:
        raise ConfigurationError(
            f"the runtime of pool {pool.name!r} is unknown; give --runtime, or set runtime: of the pool"
        )
    name, wrap = _FORMS[form]
    return RenderedFile(path=PurePosixPath(name), text=wrap(render_pool(file, pool, runtime, versions), runtime, pool))


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _yaml(document: Any) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
