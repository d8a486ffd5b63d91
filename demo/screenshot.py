"""``make screenshot``: the pictures in docs/images, from a run of the demo and from the Mirrors page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from demo.folder import DemoError, DemoFolder, shown
from demo.registries import DAG_ID
from demo.ui import running_airflow
from testkit.airflow import LocalAirflow
from testkit.browser import Page, browser_page
from testkit.pages import PAGES_PATH, api_server
from testkit.project import PROJECT
from testkit.states import SyntheticDestination, synthetic_states

PICTURES = PROJECT / "docs" / "images"
TASK = "to_acr"

PAGES = {"mirrors-overview.png": ("/", "giantswarm")}
"""Pictures of the Mirrors page: the path of each, and a text that it shows when it is complete."""


def screenshot(folder: DemoFolder) -> int:
    """Photograph the mapped tasks of a run, then the Mirrors page."""
    _photograph_run(folder)
    _photograph_pages(folder)
    return 0


def _photograph_run(folder: DemoFolder) -> None:
    """Run the DAG in a whole Airflow. It starts from an empty folder, so the picture shows its own runs only."""
    shutil.rmtree(folder.path / "screenshot", ignore_errors=True)
    with running_airflow(DemoFolder(path=folder.path / "screenshot")) as airflow:
        run_id = airflow.api.trigger(DAG_ID)
        run = airflow.api.wait_for_run(DAG_ID, run_id)
        if run["state"] != "success":
            raise DemoError(f"the run {run_id} has {run['state']}; its logs are in {shown(airflow.logs)}")
        with _browser(folder, airflow, width=1600, height=700) as page:
            page.call("Page.navigate", url=f"{airflow.url}/dags/{DAG_ID}/runs/{quote(run_id)}/tasks/{TASK}/mapped")
            labels = [
                task_instance["rendered_map_index"]
                for task_instance in airflow.api.task_instances(DAG_ID, run_id, TASK)
            ]
            page.wait_until(f"{json.dumps(labels)}.every(label => document.body.innerText.includes(label))")
            _save(page, PICTURES / "mapped-tasks.png")


def _photograph_pages(folder: DemoFolder) -> None:
    """Show made-up states: a demo without trouble has nothing to see."""
    home = folder.path / "screenshot-pages"
    shutil.rmtree(home, ignore_errors=True)
    airflow = LocalAirflow(home)
    with api_server(airflow, _states()), _browser(folder, airflow, width=1440, height=900) as page:
        page.call("Page.navigate", url=f"{airflow.url}/plugin/registry_sync")
        for name, (path, text) in PAGES.items():
            _show(page, path, text)
            _save(page, PICTURES / name)


def _states() -> list[SyntheticDestination]:
    """The mirrors whose states say something to a reader. Others are there for tests of odd documents."""
    states = synthetic_states(now=datetime.now(UTC), routes=21, tags=12)
    return [state for state in states if state.mirror in ("giantswarm", "kubernetes", "archive")]


@contextmanager
def _browser(folder: DemoFolder, airflow: LocalAirflow, *, width: int, height: int) -> Iterator[Page]:
    """A page of a logged-in user, in light colours."""
    with browser_page(folder.temporary / "chromium", airflow.environment, width=width, height=height) as page:
        light = [{"name": "prefers-color-scheme", "value": "light"}]
        page.call("Emulation.setEmulatedMedia", features=light)
        page.call("Network.setCookie", name="_token", value=airflow.api.token, url=airflow.url)
        yield page


FRAME = "document.querySelector('iframe').contentDocument"


def _show(page: Page, path: str, text: str) -> None:
    """Show one of our pages in the frame that Airflow makes for it, and wait for a text in it."""
    page.wait_until("document.querySelector('iframe') !== null")
    page.evaluate(f"document.querySelector('iframe').src = {json.dumps(PAGES_PATH + path)}")
    has_text = f"{FRAME}?.body?.innerText.includes({json.dumps(text)})"
    page.wait_until(f"{FRAME}?.readyState === 'complete' && {has_text}")


def _save(page: Page, file: Path) -> None:
    page.photograph(file)
    print(f"Picture      {shown(file)}")
