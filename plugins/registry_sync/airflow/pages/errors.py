"""Responses to requests that fail: a page below ``/``, a JSON document below ``/api/``."""

from __future__ import annotations

from airflow.api_fastapi.app import get_auth_manager
from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as RoutingError

from registry_sync.airflow.pages.rendering import render

TITLES = {401: "Log in to Airflow first", 403: "Not allowed", 404: "Not found", 422: "Not understood"}


def answer_error(request: Request, error: Exception) -> Response:
    """The handler of :class:`HTTPException`, and of what FastAPI raises for wrong parameters."""
    status, reason = _status_and_reason(error)
    if request.url.path.removeprefix(request.scope.get("root_path", "")).startswith("/api/"):
        return JSONResponse({"detail": reason}, status_code=status)
    if status == 401:
        return render(request, "log_in.html", {"login": get_auth_manager().get_url_login(), "reason": reason}, status)
    return render(request, "error.html", {"title": TITLES.get(status, "Error"), "reason": reason}, status)


def _status_and_reason(error: Exception) -> tuple[int, str]:
    match error:
        case RequestValidationError():
            wrong = error.errors()[0]
            return 422, f"{wrong['loc'][-1]}: {wrong['msg']}"
        case HTTPException() | RoutingError():
            return error.status_code, str(error.detail)
        case _:  # Starlette raises it again afterwards, so that the API server logs it
            return 500, "The page failed. The log of the API server says why."
