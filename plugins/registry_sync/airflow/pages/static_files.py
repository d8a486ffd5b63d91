"""The style sheet, the script and the icons, for those who are logged in."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from registry_sync.airflow.pages.access import Caller

MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

router = APIRouter()


@router.get("/static/{name}")
def static_file(name: str, _: Caller) -> Response:
    """A file of the folder ``static``. Only names that are in it are served."""
    for file in files("registry_sync.airflow.pages").joinpath("static").iterdir():
        if file.name == name and (kind := MEDIA_TYPES.get(name.rpartition(".")[2])):
            return Response(file.read_bytes(), media_type=kind)
    raise HTTPException(404, f"There is no file {name!r}.")
