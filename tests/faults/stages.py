"""Stages of a run at which faults are injected. Each is a set of requests that a wire can recognise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scene = Literal["moved tag", "pages", "namespace", "held"]
"""Arrangement of a case: a tag that moved; its listing in two pages; its repository found in a namespace; the new image
at the destination already, without the tag."""

Wire = Literal["source", "destination", "source's log-in", "destination's log-in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Requests of ``method`` to ``path`` on a wire.

    :ivar task: the task that sends them: ``plan`` lists the routes, ``copy`` copies.
    :ivar after: start with the first request to the destination that matches this method and path.
    """

    wire: Wire
    method: str
    path: str
    task: Literal["plan", "copy"] = "copy"
    after: tuple[str, str] | None = None
    scene: Scene = "moved tag"


_TAG, _DIGEST, _UPLOAD = "/manifests/v1$", "/manifests/sha256:", "/blobs/uploads/"

STAGES: Mapping[str, Stage] = {
    "source: ping": Stage(wire="source", method="GET", path="^/v2/$", task="plan"),
    "source: log in": Stage(wire="source's log-in", method="GET", path="^/token$", task="plan"),
    "source: token": Stage(wire="source's log-in", method="GET", path="^/token$"),
    "source: list": Stage(wire="source", method="GET", path="/tags/list$"),
    "source: page 2": Stage(wire="source", method="GET", path="/tags/list$", scene="pages"),
    "source: catalog": Stage(wire="source", method="GET", path="^/v2/_catalog$", task="plan", scene="namespace"),
    "source: HEAD": Stage(wire="source", method="HEAD", path=_TAG),
    "source: manifest": Stage(wire="source", method="GET", path=_DIGEST),
    "source: referrers": Stage(wire="source", method="GET", path="/referrers/sha256:"),
    "source: skopeo's ping": Stage(wire="source", method="GET", path="^/v2/$"),
    "source: new connection": Stage(wire="source", method="GET", path="^/v2/", after=("HEAD", _TAG)),
    "source: blob": Stage(wire="source", method="GET", path="/blobs/sha256:"),
    "destination: ping": Stage(wire="destination", method="GET", path="^/v2/$", task="plan"),
    "destination: log in": Stage(wire="destination's log-in", method="GET", path="^/token$", task="plan"),
    "destination: token": Stage(wire="destination's log-in", method="GET", path="^/token$"),
    "destination: HEAD": Stage(wire="destination", method="HEAD", path=_TAG),
    "destination: manifest": Stage(wire="destination", method="GET", path=_DIGEST),
    "destination: skopeo's ping": Stage(wire="destination", method="GET", path="^/v2/$"),
    "destination: new connection": Stage(wire="destination", method="GET", path="^/v2/", after=("HEAD", _TAG)),
    "destination: blob HEAD": Stage(wire="destination", method="HEAD", path="/blobs/sha256:"),
    "destination: held blob": Stage(wire="destination", method="HEAD", path="/blobs/sha256:", scene="held"),
    "destination: blob POST": Stage(wire="destination", method="POST", path=_UPLOAD),
    "destination: blob PATCH": Stage(wire="destination", method="PATCH", path=_UPLOAD),
    "destination: blob PUT": Stage(wire="destination", method="PUT", path=_UPLOAD),
    "destination: PUT by digest": Stage(wire="destination", method="PUT", path=_DIGEST),
    "destination: PUT by tag": Stage(wire="destination", method="PUT", path=_TAG),
    "destination: verify": Stage(wire="destination", method="HEAD", path=_TAG, after=("PUT", _TAG)),
}
