"""The Connection type ``oci_registry``: its fields, for the provider's metadata and for reading Connections.

This module must not import Airflow, which reads the metadata of providers while it is being imported itself.
"""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

CONNECTION_TYPE = "oci_registry"

HOOK_NAME = "Container registry"
"""The name of the type in Airflow's web UI."""

HOOK_CLASS = "registry_sync.airflow.hooks.oci_registry.OciRegistryHook"

DOCKER_TYPE = "docker"
"""The type of the Docker provider: the same fields, without certificates."""


def known_type() -> str:
    """The Connection type for Airflow's commands. They know ours only if the package was installed by pip.

    ``airflow connections add`` stores ``generic`` in place of a type that it does not know.
    """
    try:
        distribution("registry-sync")
    except PackageNotFoundError:
        return DOCKER_TYPE
    return CONNECTION_TYPE


def add_command(connection: str, host: str, user: str, password: str) -> str:
    """The command that creates a Connection. ``user`` and ``password`` are shell words, such as ``"$PASSWORD"``."""
    return (
        f"airflow connections add {shlex.quote(connection)} --conn-type {known_type()} "
        f"--conn-host {shlex.quote(host)} --conn-login {user} --conn-password {password}"
    )


def variable_command(connection: str, connection_type: str) -> str:
    """The command that creates a Connection without a database: Airflow reads ``AIRFLOW_CONN_`` and the id."""
    fields = {"conn_type": connection_type, "login": "USER", "password": "PASSWORD"}
    return f"export AIRFLOW_CONN_{connection.upper()}={shlex.quote(json.dumps(fields))}"


CA, CLIENT_CERTIFICATE, CLIENT_KEY, ROLE = "ca", "client_certificate", "client_private_key", "role"
"""Extra fields. Airflow hides the value of a field whose name contains ``private_key``."""

FIELDS = (ROLE, CA, CLIENT_CERTIFICATE, CLIENT_KEY)

_TEXT = {"type": ["string", "null"]}

CONNECTION_TYPES: list[dict[str, Any]] = [
    {
        "connection-type": CONNECTION_TYPE,
        "hook-class-name": HOOK_CLASS,
        "hook-name": HOOK_NAME,
        "conn-fields": {
            ROLE: {
                "label": "Role",
                "schema": _TEXT,
                "description": "In place of user and password, for registries of AWS, Google Cloud and Azure: the ARN "
                "of a role, the e-mail address of a service account, or the client id of a managed identity.",
            },
            CA: {
                "label": "CA",
                "schema": {**_TEXT, "format": "multiline"},
                "description": "Certificate of a private authority: PEM, or the path of a file on the workers.",
            },
            CLIENT_CERTIFICATE: {
                "label": "Client certificate",
                "schema": {**_TEXT, "format": "multiline"},
                "description": "For registries that require one: PEM, or the path of a file on the workers.",
            },
            CLIENT_KEY: {
                "label": "Client key",
                "schema": {**_TEXT, "format": "password"},
                "description": "Private key of the client certificate, not encrypted: PEM, or the path of a file.",
            },
        },
        "ui-field-behaviour": {
            "hidden-fields": ["schema"],
            "relabeling": {"login": "User", "password": "Password or token"},
            "placeholders": {"host": "quay.io", "login": "team+mirror"},
        },
    }
]
"""``connection-types`` of ``get_provider_info()``.

https://airflow.apache.org/docs/apache-airflow-providers/howto/create-custom-providers.html
"""
