"""A DaemonSet whose pods run the script on the file system of their node every ten minutes."""

from __future__ import annotations

import hashlib
from typing import Any

from registry_sync.nodes.roll_out.roll_out import RollOut
from registry_sync.nodes.roll_out.yaml_text import yaml_stream

IMAGE = "busybox:1.36"

DONE = "/run/as-rendered"

LOOP = f"while :; do if sh /script/install.sh; then touch {DONE}; else rm -f {DONE}; fi; sleep 600; done"
"""A pod is ready as long as its node has the rendered files, so an update stops at the first node that fails."""


def daemon_set(roll_out: RollOut) -> str:
    """The DaemonSet, and the ConfigMap with the script.

    The ConfigMap is named after its content. Otherwise running pods would apply a new script before the update reaches
    them, on all nodes at once.
    """
    name, script = f"registry-mirrors-{roll_out.name}", roll_out.script()
    config_map = f"{name}-{hashlib.sha256(script.encode()).hexdigest()[:8]}"
    labels, metadata = {"app.kubernetes.io/name": name}, {"name": name, "namespace": "kube-system"}
    spec = {
        "selector": {"matchLabels": labels},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        "template": {"metadata": {"labels": labels}, "spec": _pod(config_map)},
    }
    return yaml_stream(
        [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {**metadata, "name": config_map, "labels": labels},
                "immutable": True,
                "data": {"install.sh": script},
            },
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {**metadata, "labels": labels}, "spec": spec},
        ]
    )


def _pod(config_map: str) -> dict[str, Any]:
    return {
        "hostPID": True,
        "automountServiceAccountToken": False,
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        "containers": [_container()],
        "volumes": [
            {"name": "etc", "hostPath": {"path": "/etc", "type": "Directory"}},
            {"name": "script", "configMap": {"name": config_map}},
        ],
    }


def _container() -> dict[str, Any]:
    return {
        "name": "install",
        "image": IMAGE,
        "command": ["sh", "-c", LOOP],
        "env": [
            {"name": "ROOT", "value": "/host"},
            {"name": "RESTART", "value": "nsenter -t 1 -m -u -i -n -p -- sh -c"},
        ],
        "readinessProbe": {"exec": {"command": ["test", "-e", DONE]}, "periodSeconds": 10},
        "securityContext": {"privileged": True},
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
        "volumeMounts": [
            {"name": "etc", "mountPath": "/host/etc"},
            {"name": "script", "mountPath": "/script", "readOnly": True},
        ],
    }
