"""The Airflow plugin: the Mirrors page, links to it, the receiver of webhooks, and the timetables of mirrors.

Airflow imports this module in every process, also in each task, so it imports little. Processes from which tasks are
forked import the modules of tasks when the plugin is loaded.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

import registry_sync
from registry_sync.airflow.dags.timetable import CronFromNextTick, DisabledTimetable
from registry_sync.airflow.operator_links import LINKS
from registry_sync.airflow.preload import preload

log = logging.getLogger(__name__)

NAME = "registry_sync"
PATH = "registry-sync"


class _LazyPages:
    """The ASGI app of the pages. It imports FastAPI and the package at the first request, so only in the API server."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from registry_sync.airflow.pages.app import app  # noqa: PLC0415 (as the class says)

        await app(scope, receive, send)


class _LazyReceiver:
    """The ASGI app that receives webhooks of registries. It is made at the first request, like that of the pages."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from registry_sync.airflow.receiver.app import build_receiver  # noqa: PLC0415 (as the class says)

            self._app = build_receiver()
        await self._app(scope, receive, send)

    async def end(self) -> None:
        """Store what waits, before the server ends."""
        if self._app is not None:
            await self._app.state.end()


RECEIVER = _LazyReceiver()

APPS: list[Any] = [
    {"app": _LazyPages(), "url_prefix": f"/{PATH}", "name": NAME},
    {"app": RECEIVER, "url_prefix": f"/{PATH}-events", "name": f"{NAME}_events"},
]
"""The pages need a login of Airflow. The receiver of webhooks needs none, so it is a separate app."""


class EndOfServer:
    """ASGI middleware of the API server that lets a receiver store what waits before the server's process ends.

    A server tells its end to the root app alone. Workers of uvicorn end by a signal afterwards, without calling what
    ``atexit`` has: ``Server.capture_signals``, https://github.com/Kludex/uvicorn/blob/main/uvicorn/server.py
    """

    def __init__(self, app: Any, receiver: Any) -> None:
        self._app, self._receiver = app, receiver

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, self._told(receive) if scope["type"] == "lifespan" else receive, send)

    def _told(self, receive: Any) -> Any:
        async def told() -> Any:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._receiver.end()
            return message

        return told


MIDDLEWARES: list[Any] = [{"middleware": EndOfServer, "kwargs": {"receiver": RECEIVER}, "name": f"{NAME}_end"}]

VIEWS: list[Any] = [
    {
        "name": "Mirrors",
        "href": f"{PATH}/",
        "destination": "nav",
        "nav_top_level": True,
        "url_route": NAME,
        "icon": f"{PATH}/static/icon.svg",
        "icon_dark_mode": f"{PATH}/static/icon-dark.svg",
    }
]
"""The entry in the navigation. Its addresses are relative to the ``<base>`` of Airflow's UI, the path of ``base_url``.

There is no tab on DAGs, because Airflow would show it on the DAGs of others too.
"""


TIMETABLES: list[Any] = [CronFromNextTick, DisabledTimetable]


class RegistrySyncPlugin(AirflowPlugin):
    """The pages, their entry in the navigation, the links on tasks, and the timetables that the scheduler needs."""

    name = NAME
    fastapi_apps = APPS
    fastapi_root_middlewares = MIDDLEWARES
    external_views = VIEWS
    operator_extra_links = LINKS
    timetables = TIMETABLES

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        preload(sys.argv)


def _installed_folder() -> Path | None:
    """The folder of the installed package, when this file is a copy of it in the plugins folder."""
    imported, own = (Path(file).resolve().parent for file in (registry_sync.__file__, __file__))
    return imported if imported != own else None


if _installed := _installed_folder():
    # Airflow loads every plugin class that it finds here, and that of the installed package by its entry point.
    del RegistrySyncPlugin
    log.warning(
        "registry_sync is installed twice: the package in %s is used; remove the copy in %s",
        _installed,
        Path(__file__).resolve().parent,
    )
