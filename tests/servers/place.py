"""A registry server in its role, source or destination, with a docker-registry on the other side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import requests

from registry_sync.errors import RegistrySyncError
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from testkit import images
from testkit.interceptor import Interceptor
from testkit.routes import make_route, run_route
from testkit.servers import PASSWORD, USER, Server, ServerProgram, Start
from testkit.waiting import PATIENCE_SECONDS

Role = Literal["source", "destination"]

LOGIN = Credentials(username=USER, secret=PASSWORD)
WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Result of a case: ``ok``, or its failure, with the message that a user reads."""

    outcome: str
    message: str = ""


OK = Seen(outcome="ok")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A server behind ``wire``, a ``peer`` on the other side, and the repository of one case on both.

    :ivar login: credentials for the server.
    """

    program: ServerProgram
    role: Role
    wire: Interceptor
    peer: Server
    name: str
    login: Credentials | None = None

    @property
    def source(self) -> Server:
        return self.wire if self.role == "source" else self.peer

    @property
    def destination(self) -> Server:
        return self.peer if self.role == "source" else self.wire

    @contextmanager
    def with_another(self, start: Start, login: Credentials | None = None) -> Iterator[Place]:
        """The same place with another server of the same program."""
        with start() as server, Interceptor(server.url) as wire:
            yield replace(self, wire=wire, login=login)

    def push(self, tag: str, content: images.Image, *, name: str = "", to: Server | None = None) -> None:
        """Push to the source, or to another server of the place."""
        with self.session() as session:
            images.push((to or self.source).url, name or self.name, tag, content, session=session)

    def tags(self) -> dict[str, Digest]:
        """Tags at the destination, each with the digest of its content, which was pulled whole."""
        listing = requests.get(f"{self.destination.url}/v2/{self.name}/tags/list", timeout=PATIENCE_SECONDS)
        tags = listing.json()["tags"] or () if listing.ok else ()
        return {tag: self._pull(tag) for tag in tags}

    def _pull(self, tag: str) -> Digest:
        images.pull_whole(self.destination.url, self.name, tag)
        digest = images.resolve(self.destination.url, self.name, tag)
        assert digest is not None
        return digest

    def route(self, **settings: Any) -> Route:
        return make_route(self.source, self.destination, self.name, **settings)

    def run(self, route: Route | None = None, **options: Any) -> RouteReport:
        """Sync the route of the place, or another."""
        is_source = self.role == "source"
        return run_route(
            route or self.route(),
            source_credentials=self.login if is_source else None,
            destination_credentials=None if is_source else self.login,
            **options,
        )

    def outcome(self, route: Route | None = None, **options: Any) -> Seen:
        """Sync a route, and return its result."""
        try:
            return result(self.run(route, **options))
        except RegistrySyncError as error:
            return failure(error)

    def writes(self) -> list[str]:
        """Requests to the repository of the server that write."""
        prefix = f"/v2/{self.name}/"
        return [
            f"{request.method} {request.path.removeprefix(prefix)}"
            for request in self.wire.requests()
            if request.method in WRITES and request.path.startswith(prefix)
        ]

    @contextmanager
    def client(self, login: Credentials | None = None) -> Iterator[RegistryClient]:
        """A client of the server."""
        with closing(DistributionClient(Endpoint(host=self.wire.host, tls=False, credentials=login))) as client:
            yield client

    def session(self) -> requests.Session:
        """A session with the server's password, if it has one."""
        session = requests.Session()
        session.trust_env = False
        if self.login:
            session.auth = (self.login.username, self.login.secret)
        return session


def place_of(program: ServerProgram, role: Role, wire: Interceptor, peer: Server, case: str) -> Place:
    """A place with a repository that no other case has."""
    name = re.sub("[^a-z0-9]+", "-", f"{program.name} {role} {case}".lower())
    return Place(program=program, role=role, wire=wire, peer=peer, name=f"case/{name}")


def result(report: RouteReport) -> Seen:
    """``ok`` for a route that did not fail; else the class and the text of its first failure."""
    if report.error:
        return Seen(outcome=f"fails: {report.error_class}", message=report.error)
    for tag in (*report.failed_tags, *report.locked_tags):
        return Seen(outcome=f"fails: {tag.error_class}", message=tag.reason)
    return OK


def failure(error: RegistrySyncError) -> Seen:
    """The class and the text of an error."""
    return Seen(outcome=f"fails: {error.error_class}", message=str(error))
