"""An app for a real uvicorn: a root app with the middleware of our plugin, and an emitter that stores into a file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from registry_sync.airflow.receiver.emitter import Emitter
from registry_sync.events.gathering import Batch
from registry_sync.events.push import Push
from registry_sync.plugin import EndOfServer

STORED = "STORED"
"""The variable with the path of the file. Each batch becomes a line with its tags."""


def store(batch: Batch) -> None:
    with Path(os.environ[STORED]).open("a") as file:
        file.write(f"{' '.join(batch.pushes[0].tags or ())}\n")


emitter = Emitter(store)


async def take(request: Request) -> PlainTextResponse:
    """Let the tag of the path wait."""
    push = Push(repository="team/app", tags=(request.path_params["tag"],))
    emitter.add([Batch(mirror="m", registry="quay", received_at=datetime.now(UTC), pushes=(push,))])
    return PlainTextResponse("accepted", 202)


async def name(_: Request) -> PlainTextResponse:
    """Answer with the process."""
    return PlainTextResponse(str(os.getpid()))


app = Starlette(
    routes=[Route("/", name), Route("/{tag}", take)], middleware=[Middleware(EndOfServer, receiver=emitter)]
)
