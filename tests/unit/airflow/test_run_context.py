"""The parameters of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from registry_sync.airflow.runs.context import read_parameters
from registry_sync.errors import ConfigurationError

DECLARED: dict[str, Any] = {"repositories": None, "destinations": [], "tags": None, "dry_run": False}


def context(**params: Any) -> Any:
    """The context of a task: the declared parameters, and any other key of the run's conf."""
    return {"params": {**DECLARED, **params}, "dag": SimpleNamespace(params=DECLARED), "dag_run": None}


def test_parameters_are_read_without_blank_lines() -> None:
    given = {"repositories": ["a/b", " c/* ", "", "\n"], "dry_run": True}
    assert read_parameters(context(**given)) == {
        "repositories": ["a/b", "c/*"],
        "destinations": [],
        "tags": None,
        "dry_run": True,
    }


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_parameters(context(tag=["v1"], dryrun=True))
    assert str(caught.value) == (
        "unknown parameters ['dryrun', 'tag']; the parameters of this DAG are ['destinations', 'dry_run', "
        "'repositories', 'tags']"
    )
