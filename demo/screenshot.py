"""``make screenshot``: the picture of the mapped tasks in docs/images, from a run of the demo."""

from __future__ import annotations

import json
import shutil
from urllib.parse import quote

from demo.folder import DemoError, DemoFolder, shown
from demo.registries import DAG_ID
from demo.ui import running_airflow
from testkit.airflow import LocalAirflow
from testkit.browser import Page, browser_page
from testkit.project import PROJECT

PICTURE = PROJECT / "docs" / "images" / "mapped-tasks.png"
TASK = "to_acr"
WIDTH, HEIGHT = 1600, 700


def screenshot(folder: DemoFolder) -> int:
    """Run the DAG in a whole Airflow, and photograph its mapped tasks.

    It starts from an empty folder, so the picture shows the runs of this Airflow only.
    """
    shutil.rmtree(folder.path / "screenshot", ignore_errors=True)
    with running_airflow(DemoFolder(path=folder.path / "screenshot")) as airflow:
        run_id = airflow.api.trigger(DAG_ID)
        run = airflow.api.wait_for_run(DAG_ID, run_id)
        if run["state"] != "success":
            raise DemoError(f"the run {run_id} has {run['state']}; its logs are in {shown(airflow.logs)}")
        home = folder.temporary / "chromium"
        with browser_page(home, airflow.environment, width=WIDTH, height=HEIGHT) as page:
            _open_mapped_tasks(page, airflow, run_id)
            page.photograph(PICTURE)
    print(f"Picture      {shown(PICTURE)}")
    return 0


def _open_mapped_tasks(page: Page, airflow: LocalAirflow, run_id: str) -> None:
    """Log in with the UI's cookie, and wait until every label is on the page."""
    page.call("Network.setCookie", name="_token", value=airflow.api.token, url=airflow.url)
    page.call("Page.navigate", url=f"{airflow.url}/dags/{DAG_ID}/runs/{quote(run_id)}/tasks/{TASK}/mapped")
    labels = [each["rendered_map_index"] for each in airflow.api.task_instances(DAG_ID, run_id, TASK)]
    page.wait_until(f"{json.dumps(labels)}.every(label => document.body.innerText.includes(label))")
