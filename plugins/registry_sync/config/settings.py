"""Options of a route, as they apply after inheritance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from registry_sync.config.prune_rules import PruneRules
from registry_sync.tags.backup_names import BackupTemplate
from registry_sync.tags.overwrite_policy import FOLLOW, OverwritePolicies, policy_of
from registry_sync.tags.rules import Duration, TagRules

Runner = Literal["local", "docker"]

MoverName = Literal["skopeo", "direct"]

DOCKER_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoOptions:
    """The way to run skopeo: as a process of the worker, or in containers of a Docker daemon."""

    runner: Runner = "local"
    image: str | None = None
    docker_url: str = DOCKER_SOCKET
    tls_dir: Path | None = None
    network: str = "bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """The options in force for a route. Minutes and seconds as the names say."""

    tags: TagRules = TagRules()
    prefix: str = ""
    strip_prefix: str = ""
    on_moved_tag: OverwritePolicies = FOLLOW
    backup_tag: BackupTemplate | None = None
    prune: PruneRules | None = None
    platforms: tuple[str, ...] = ()
    signatures: bool = True
    policy: Path | None = None
    registries_d: Path | None = None
    skopeo: SkopeoOptions = SkopeoOptions()
    transfer: MoverName = "skopeo"
    parallel_copies: int = 4
    copy_timeout_minutes: int = 60
    stall_timeout_seconds: int = 300
    fresh_within: Duration | None = None
    enabled: bool = True
    until: datetime | None = None

    def is_disabled(self, now: datetime) -> bool:
        """Return whether nothing may be copied or deleted at a time (aware UTC). From ``until`` on, it may again."""
        return not self.enabled and (self.until is None or now < self.until)

    def overwrites(self, tag: str) -> bool:
        """True if a changed tag is overwritten at the destination without a backup."""
        return self.backup_tag is None and policy_of(tag, self.on_moved_tag)[0] == "follow"

    @property
    def deletes_tags(self) -> bool:
        return self.prune is not None and self.prune.tags != "none"

    @property
    def needs_skopeo(self) -> bool:
        """False for direct transfer, which runs on workers without skopeo."""
        return self.transfer != "direct"

    @property
    def needs_digests(self) -> bool:
        """True if the digests of tags at the destination are needed, whatever ``on_moved_tag`` says."""
        return self.deletes_tags or bool(self.platforms) or self.policy is not None
