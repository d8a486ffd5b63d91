"""A DAG of your own that mirrors one repository: copy this file into your folder of DAGs, and change the names.

It copies the image that was built for the day of the run, and tells what is in the other registry then.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, task

from registry_sync.airflow.operators import MirrorRepositoryOperator

with DAG(
    dag_id="publish_nightly",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"source": "quay.io/org/app", "destination": "docker.io/org/app", "stage": "test"},
):
    mirrored = MirrorRepositoryOperator(
        task_id="mirror",
        source="{{ params.source }}",
        destination="{{ params.destination }}",
        tags=["nightly-{{ ds_nodash }}"],
        source_conn_id="registry_source",
        destination_conn_id="registry_{{ params.stage }}",
        options={"on_moved_tag": "fail"},
        retries=3,
    )

    @task
    def announce(result: dict[str, Any]) -> None:
        """Print the digest that the tag of the day has at the destination."""
        for tag, digest in result["digests"].items():
            print(f"{result['destination']}:{tag} is {digest}, of {result['counts']}")

    announce(mirrored.output)
