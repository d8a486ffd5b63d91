"""``make ui``: the demo's registries and a whole Airflow with its web UI, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from demo.folder import DemoError, DemoFolder, shown
from demo.images import push_images
from demo.registries import (
    DAG_ID,
    SOURCE,
    airflow_of,
    is_free_port,
    running_registries,
    write_mirrors_file,
)
from testkit.airflow import LocalAirflow

USUAL_PORT = 8080


def ui(folder: DemoFolder) -> int:
    """Serve until Ctrl-C."""
    with suppress(KeyboardInterrupt), running_airflow(folder) as airflow:
        run_id = airflow.api.trigger(DAG_ID)
        print(f"\n  {airflow.url}/dags/{DAG_ID}")
        print(f"  user      {airflow.user}")
        print(f"  password  {airflow.password}\n")
        print(f"The run {run_id} has just been triggered. Ctrl-C ends everything.", flush=True)
        while not airflow.ended:
            time.sleep(0.5)
        output = shown(airflow.home / "output")
        raise DemoError(f"Airflow's {', '.join(airflow.ended)} ended by itself; what it printed is in {output}")
    return 0


@contextmanager
def running_airflow(folder: DemoFolder) -> Iterator[LocalAirflow]:
    """Registries with their images, and an Airflow with the demo's DAG."""
    with running_registries(folder) as registries:
        push_images(registries[SOURCE].url)
        write_mirrors_file(folder.mirrors_file, registries)
        airflow = airflow_of(folder, port=USUAL_PORT if is_free_port(USUAL_PORT) else None)
        print("Airflow      starts (up to half a minute)", flush=True)
        try:
            airflow.start()
            airflow.api.wait_for_dag(DAG_ID)
            airflow.api.unpause(DAG_ID)
            yield airflow
        finally:
            print("\nAirflow      ends", flush=True)
            airflow.stop()
