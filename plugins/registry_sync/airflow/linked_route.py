"""Read the route of a mapped task from Airflow's database, in the API server."""

from __future__ import annotations

import logging
from typing import Any, Protocol
from urllib.parse import quote

from airflow.configuration import conf
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from registry_sync.airflow.ids import routes_task_of
from registry_sync.airflow.runs.route_pages import PAGE_LENGTH, page_key, parse_task
from registry_sync.routes.route import Route

log = logging.getLogger(__name__)


class TaskKey(Protocol):
    """Airflow's key of a task instance."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int


def read_route(key: TaskKey) -> Route | None:
    """The route of a mapped task; ``None`` when Airflow no longer has it, or keeps it in another place.

    The database returns the requested route only, out of its page.
    """
    row = XComModel.value[key.map_index % PAGE_LENGTH]
    query = select(row).where(
        XComModel.dag_id == key.dag_id,
        XComModel.run_id == key.run_id,
        XComModel.task_id == routes_task_of(key.task_id),
        XComModel.key == page_key(key.map_index),
        XComModel.map_index == -1,
    )
    try:
        with create_session() as session:
            text: Any = session.scalar(query)
        return parse_task(text).route
    except Exception as error:
        log.info("no links for %s: %s", key, error)
        return None


def page_of(route: Route) -> str:
    """The address of a route's source repository on the Mirrors page."""
    base = conf.get("api", "base_url", fallback="/").rstrip("/")
    return f"{base}/registry-sync/repository?name={quote(str(route.source_repository), safe='')}"
