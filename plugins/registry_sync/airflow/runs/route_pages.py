"""The routes of a run in pages of XCom, from the task that lists them to the mapped task.

Airflow gives each mapped instance the whole list that the task is mapped over. A list of routes is half a megabyte for
a thousand of them, and each instance would pull all of it to take one. So the task is mapped over small numbers, and an
instance pulls the page of its route.

A page is a list of texts, each with the JSON of a route. Airflow's API server, its supervisor and its XCom classes walk
through every value of an XCom that is not a text, which took more CPU than the rest of the request.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from registry_sync.errors import ConfigurationError
from registry_sync.sync.scope import RouteTask

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

PAGE_LENGTH = 20
"""Routes of a page. A larger page costs each instance more, a smaller one more requests when all are written."""


def page_key(number: int) -> str:
    """The XCom key of the page with this route.

    >>> page_key(0), page_key(19), page_key(20)
    ('routes_0', 'routes_0', 'routes_1')
    """
    return f"routes_{number // PAGE_LENGTH}"


def push_routes(ti: RuntimeTaskInstanceProtocol, tasks: Sequence[RouteTask]) -> list[int]:
    """Push the pages of all routes, and return their numbers, over which the next task is mapped."""
    for start in range(0, len(tasks), PAGE_LENGTH):
        ti.xcom_push(page_key(start), [_as_text(task) for task in tasks[start : start + PAGE_LENGTH]])
    return list(range(len(tasks)))


def pull_route(ti: RuntimeTaskInstanceProtocol, routes_task: str, number: int) -> RouteTask:
    """The route with this number.

    :raises ConfigurationError: when its page was deleted, or is of a later list with fewer routes.
    """
    page = _pull(ti, routes_task, page_key(number))
    if number % PAGE_LENGTH >= len(page):
        raise ConfigurationError(
            f"{routes_task} was cleared, and its list has no route with the number {number} any more; trigger a new run"
        )
    return parse_task(page[number % PAGE_LENGTH])


def pull_routes(ti: RuntimeTaskInstanceProtocol, routes_task: str) -> list[RouteTask]:
    """All routes, by number. :raises ConfigurationError: when the list or a page was deleted."""
    numbers = _pull(ti, routes_task, "return_value")
    pages = (_pull(ti, routes_task, page_key(start)) for start in range(0, len(numbers), PAGE_LENGTH))
    return [parse_task(text) for text in chain.from_iterable(pages)]


def parse_task(text: str) -> RouteTask:
    """Read an entry of a page."""
    return RouteTask.from_json(json.loads(text))


def _as_text(task: RouteTask) -> str:
    return json.dumps(task.to_json(), separators=(",", ":"))


def _pull(ti: RuntimeTaskInstanceProtocol, routes_task: str, key: str) -> list[Any]:
    value: list[Any] | None = ti.xcom_pull(task_ids=routes_task, key=key, map_indexes=-1)
    if value is None:
        raise ConfigurationError(
            f"Airflow no longer has the XCom {key!r} of the task {routes_task}, with the routes of this run; "
            f"clear {routes_task}, so that it lists them again, or trigger a new run"
        )
    return value
