"""The FastAPI app of the pages, mounted by Airflow's API server below ``/registry-sync``."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as RoutingError

from registry_sync.airflow.pages import (
    api,
    changes,
    failing,
    find,
    nodes,
    overview,
    repository,
    route_list,
    run_again,
    static_files,
)
from registry_sync.airflow.pages.access import Caller
from registry_sync.airflow.pages.errors import answer_error
from registry_sync.airflow.pages.headers import SecureHeaders


def build_app() -> FastAPI:
    """The app. Each of its routes depends on :data:`~registry_sync.airflow.pages.access.Caller`."""
    app = FastAPI(title="registry_sync", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for module in (overview, route_list, repository, find, failing, changes, nodes, api, run_again, static_files):
        app.include_router(module.router)
    app.add_api_route("/{path:path}", _unknown, methods=["GET", "POST"])
    for kind in (RoutingError, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer_error)
    return app


def _unknown(path: str, _: Caller) -> None:
    raise HTTPException(404, f"There is no page {path!r}.")


pages = build_app()

app = SecureHeaders(pages)
"""The pages with their headers, also on responses to unexpected errors."""
