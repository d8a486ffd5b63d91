"""The rights of Airflow's roles on DAGs, and tags of DAGs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AccessControl = tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...]
"""The actions that roles may take: pairs of a role and its resources, each a pair of a resource and its actions."""

RESOURCES: Mapping[str, tuple[str, ...]] = {
    "DAGs": ("can_read", "can_edit", "can_delete"),
    "DAG Runs": ("can_read", "can_create", "can_delete", "menu_access"),
}
"""Airflow's resources of a DAG and their actions.

https://airflow.apache.org/docs/apache-airflow-providers-fab/stable/auth-manager/access-control.html#dag-level-permissions
"""

MAX_TAG_LENGTH = 100
"""Airflow's limit of a DAG's tag."""

OWN_TAG = "registry_sync"


def access_as_written(access: AccessControl | None) -> dict[str, Any] | None:
    """The value as a mirrors file has it, with all resources named."""
    return (
        {role: {name: list(actions) for name, actions in resources} for role, resources in access} if access else None
    )


def access_for_airflow(access: AccessControl) -> dict[str, dict[str, set[str]]]:
    """The value of a DAG's ``access_control``."""
    return {role: {name: set(actions) for name, actions in resources} for role, resources in access}
