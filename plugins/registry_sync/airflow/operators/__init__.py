"""Operators: :class:`MirrorRepositoryOperator` for anybody's DAG, and those of the DAGs of a mirrors file.

Every task of every DAG imports this package, so the operator is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry_sync.airflow.operators.mirror_repository import MirrorRepositoryOperator

__all__ = ["MirrorRepositoryOperator"]


def __getattr__(name: str) -> Any:
    """The public operators, by :pep:`562`."""
    if name in __all__:
        return getattr(import_module("registry_sync.airflow.operators.mirror_repository"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
