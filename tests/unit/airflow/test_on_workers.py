"""The findings of ``check --on-workers`` by what Airflow's database has of the run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry_sync.airflow.checks.on_workers import SeenTask, findings_of_task
from registry_sync.checks.finding import Finding
from registry_sync.checks.places import Place

PLACE = Place(queue="acr", pool="registry_acr", destinations=("acr",))
SEEN = SeenTask(state="success", queue="acr", pool="registry_acr")
OK = Finding(subject="skopeo", check="version", text="1.18.0")
RESULT = {"host": "worker-1", "findings": [OK.to_json()]}
STALE = ": Airflow has not read this mirrors file yet, or reads another one"


def test_findings_of_the_worker_are_shown_with_its_host() -> None:
    worker = Finding(subject="queue acr, pool registry_acr", check="worker", text="worker-1")
    assert findings_of_task("check_acr", PLACE, SEEN, RESULT) == [worker, OK]


@pytest.mark.parametrize(
    ("place", "seen", "has"),
    [
        (PLACE, None, "has no task check_acr"),
        (PLACE, replace(SEEN, queue="default"), "runs check_acr in queue default, pool registry_acr"),
        (PLACE, replace(SEEN, pool="default_pool"), "runs check_acr in queue acr, pool default_pool"),
        (replace(PLACE, queue=None), SEEN, "runs check_acr in queue acr, pool registry_acr"),
    ],
)
def test_what_ran_at_another_place_is_not_passed_off_as_this_place(
    place: Place, seen: SeenTask | None, has: str
) -> None:
    """The DAG is of the mirrors file that Airflow's DAG processor read last."""
    (found,) = findings_of_task("check_acr", place, seen, RESULT if seen else None)
    assert (found.subject, found.verdict) == (place.label, "unknown")
    assert found.text == f"the DAG mirrors_check {has}{STALE}"
    assert found.remedy == "wait a minute and check again, with the mirrors file that Airflow reads"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("queued", "no worker took the task: nothing serves this queue, or all its workers are busy"),
        (
            "not yet scheduled",
            "the scheduler did not queue the task: its pool does not exist or is full, or no scheduler runs",
        ),
        ("running", "the task still runs"),
        ("failed", "the task ended without a result (failed)"),
    ],
)
def test_a_task_without_a_result_is_unknown_with_its_state(state: str, text: str) -> None:
    (found,) = findings_of_task("check_acr", PLACE, replace(SEEN, state=state), None)
    assert (found.verdict, found.text) == ("unknown", text)


def test_the_default_queue_is_that_of_airflow() -> None:
    seen = SeenTask(state="success", queue="default", pool="registry_acr")
    assert len(findings_of_task("check_acr", replace(PLACE, queue=None), seen, RESULT)) == 2
