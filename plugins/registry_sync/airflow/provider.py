"""The description of the package for Airflow, which finds it by the entry point ``apache_airflow_provider``.

Airflow reads it while Airflow itself is being imported, so this module imports neither
Airflow nor anything that does.
Schema: ``airflow/provider_info.schema.json``.
"""

from __future__ import annotations

from typing import Any

from registry_sync import __version__
from registry_sync.config.connection_type import CONNECTION_TYPES

INTEGRATION = "Container registries"


def get_provider_info() -> dict[str, Any]:
    """The name of the package, and the modules and classes that Airflow may use of it."""
    return {
        "package-name": "registry-sync",
        "name": "Registry Sync",
        "description": "Mirrors container images between registries, driven by one file.",
        "versions": [__version__],
        "integrations": [{"integration-name": INTEGRATION, "tags": ["software"]}],
        "operators": [_modules("operators.mirror_repository")],
        "hooks": [_modules("hooks.oci_registry", "hooks.registry", "hooks.skopeo")],
        "triggers": [_modules("triggers.not_before")],
        "connection-types": CONNECTION_TYPES,
        "cli": ["registry_sync.cli.airflow_command.get_commands"],
    }


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": INTEGRATION, "python-modules": [f"registry_sync.airflow.{name}" for name in names]}
