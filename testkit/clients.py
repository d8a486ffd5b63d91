"""Clients of the servers that tests start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol, TypeVar

from registry_sync.registry.client import RegistryClient
from registry_sync.registry.endpoint import Credentials, Endpoint


class Server(Protocol):
    """Anything with an address: a registry, an API in front of one, or an interceptor."""

    @property
    def host(self) -> str: ...


C = TypeVar("C", bound=RegistryClient)


@contextmanager
def connect(
    kind: Callable[..., C], server: Server, credentials: Credentials | None = None, **options: Any
) -> Iterator[C]:
    """Open a client of ``kind`` over plain HTTP, and close it at the end."""
    with closing(kind(Endpoint(host=server.host, tls=False, credentials=credentials), **options)) as client:
        yield client
