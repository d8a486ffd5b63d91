"""A registry of ``registries:``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from registry_sync.config.events import EventRules
from registry_sync.config.settings import MoverName
from registry_sync.registry.kinds import Kind, infer_kind
from registry_sync.tags.rules import Duration

NO_PROXY = "none"
"""Written for a registry that is reached directly, whatever proxies the environment has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry. ``api_kind`` is its ``kind``, inferred from the host where it is not written.

    ``proxy``: its URL, :data:`NO_PROXY`, or ``None`` for the proxies of the environment.
    """

    name: str
    host: str
    kind: Kind | None = None
    api_url: str | None = None
    connection: str | None = None
    identity: Literal["ambient"] | None = None
    private: bool = False
    tls: bool = True
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    proxy: str | None = None
    proxy_connection: str | None = None
    max_connections: int = 8
    requests_per_second: float | None = None
    keep_pulls: int | None = None
    create_repository: bool = False
    transfer: MoverName | None = None
    pool: str = "default_pool"
    queue: str | None = None
    fresh_within: Duration | None = None
    events: EventRules | None = None
    api_kind: Kind = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_kind", self.kind or infer_kind(self.host))
