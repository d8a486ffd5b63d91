"""Do once, before tasks are forked, what each task would otherwise do at its start.

Importing a module compiles no regular expression that a function names, and builds no validator of a stored state. Both
happen at the first use, take 15 ms of CPU in each task, and are kept in caches, which a fork has from its parent.
"""

from __future__ import annotations

import json
from pathlib import Path

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.airflow.runs.label import TEMPLATE
from registry_sync.routes.load import parse_mirrors
from registry_sync.state.document import prepare
from registry_sync.state.route import RouteState, TagTable
from registry_sync.state.run_row import RunRow

_MIRROR = "rehearsal"

_TEXT = json.dumps(
    {
        "registries": {
            "source": {"host": "quay.example.org", "kind": "quay", "api_url": "https://quay.example.org"},
            "destination": {"host": "registry.example.org"},
        },
        "mirrors": {
            _MIRROR: {"source": "source", "destinations": ["destination"], "repositories": ["team/app"]},
        },
    }
)
"""A mirrors file with hosts of no vendor, so that each is compared with the patterns of all."""


def rehearse() -> None:
    """Read a mirrors file, build its DAG and the label of its tasks, and prepare the states. It writes nothing."""
    for with_rules in (False, True):
        file, _ = parse_mirrors(_TEXT, Path("mirrors.yaml"), _MIRROR, with_rules=with_rules)
        dag = build_dag(file.mirrors[_MIRROR], file, with_parameters=with_rules)
    dag.get_template_env().from_string(TEMPLATE)
    for kind in (RouteState, TagTable, RunRow):
        prepare(kind)
