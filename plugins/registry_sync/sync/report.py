"""Reports: the result of each tag and route, as values that cross XCom as JSON. People read ``report_text.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self, get_args

from registry_sync.errors import LockedTag, RateLimited, RegistrySyncError
from registry_sync.oci.artifact_tags import is_artifact_name
from registry_sync.oci.reference import Digest
from registry_sync.registry.traffic import NO_TRAFFIC, Traffic
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.artifacts.lacking import NONE_LACKING, LackingArtifacts
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.totals import PlanTotals
from registry_sync.sync.verification.damaged_images import DeepCheckResult

Outcome = Literal[
    "copied", "would_copy", "deleted", "would_delete", "unchanged", "repaired", "skipped", "locked", "failed"
]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagResult:
    """The result of one tag, made by the constructor of its outcome.

    :ivar digest: the source's digest; of a deleted tag, the digest that it had.
    :ivar error_class: set when the outcome is ``failed`` or ``locked``.
    :ivar accepted: the tag moved although ``on_moved_tag`` protects it, because a person accepted that for this run.
    :ivar done_at: when a tag was published, aware UTC. It does not cross XCom.
    """

    tag: str
    outcome: Outcome
    reason: str
    digest: Digest | None = None
    sent_bytes: int = 0
    seconds: float = 0.0
    error_class: str | None = None
    accepted: bool = False
    done_at: datetime | None = field(default=None, compare=False)

    @classmethod
    def copied(
        cls,
        tag: str,
        digest: Digest,
        reason: str,
        *,
        sent_bytes: int = 0,
        seconds: float = 0.0,
        accepted: bool = False,
    ) -> Self:
        return cls(
            tag=tag,
            outcome="copied",
            reason=reason,
            digest=digest,
            sent_bytes=sent_bytes,
            seconds=round(seconds, 3),
            accepted=accepted,
            done_at=datetime.now(UTC),
        )

    @classmethod
    def deleted(cls, tag: str, digest: Digest, reason: str, *, seconds: float = 0.0) -> Self:
        return cls(tag=tag, outcome="deleted", reason=reason, digest=digest, seconds=round(seconds, 3))

    @classmethod
    def repaired(cls, tag: str, digest: Digest, reason: str, *, sent_bytes: int = 0) -> Self:
        return cls(tag=tag, outcome="repaired", reason=reason, digest=digest, sent_bytes=sent_bytes)

    @classmethod
    def unchanged(cls, tag: str, digest: Digest) -> Self:
        return cls(tag=tag, outcome="unchanged", reason="same digest", digest=digest)

    @classmethod
    def not_compared(cls, tag: str, reason: str) -> Self:
        return cls(tag=tag, outcome="unchanged", reason=reason)

    @classmethod
    def would_copy(cls, tag: str, digest: Digest, reason: str, *, accepted: bool = False) -> Self:
        return cls(tag=tag, outcome="would_copy", reason=reason, digest=digest, accepted=accepted)

    @classmethod
    def would_delete(cls, tag: str, digest: Digest, reason: str) -> Self:
        return cls(tag=tag, outcome="would_delete", reason=reason, digest=digest)

    @classmethod
    def skipped(cls, tag: str, reason: str, *, digest: Digest | None = None) -> Self:
        return cls(tag=tag, outcome="skipped", reason=reason, digest=digest)

    @classmethod
    def locked(cls, tag: str, reason: str, *, digest: Digest | None = None, seconds: float = 0.0) -> Self:
        error_class, seconds = LockedTag.error_class, round(seconds, 3)
        return cls(tag=tag, outcome="locked", reason=reason, digest=digest, seconds=seconds, error_class=error_class)

    @classmethod
    def failed(
        cls, tag: str, reason: str, error_class: str, *, digest: Digest | None = None, seconds: float = 0.0
    ) -> Self:
        seconds = round(seconds, 3)
        return cls(tag=tag, outcome="failed", reason=reason, digest=digest, seconds=seconds, error_class=error_class)

    @classmethod
    def of_error(
        cls,
        tag: str,
        error: RegistrySyncError,
        *,
        reason: str = "",
        digest: Digest | None = None,
        seconds: float = 0.0,
    ) -> Self:
        """``locked`` for a locked tag, ``failed`` for any other error; ``reason`` replaces the error's text."""
        text = reason or str(error)
        if isinstance(error, LockedTag):
            return cls.locked(tag, text, digest=digest, seconds=seconds)
        return cls.failed(tag, text, error.error_class, digest=digest, seconds=seconds)

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-simple values, for XCom."""
        document = {**asdict(self), "digest": str(self.digest) if self.digest else None}
        document.pop("done_at")
        if not self.accepted:
            document.pop("accepted")
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`. :raises TypeError: when the document is something else."""
        digest = document.get("digest")
        return cls(**{**document, "digest": Digest.parse(digest) if digest else None})


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteReport:
    """The report of one route.

    :ivar route_key: :func:`~registry_sync.routes.route.route_key` of the route.
    :ivar counts: number of tags by outcome.
    :ivar tags: tags that were copied or deleted (in a dry run: would be), are locked or failed. The size of a report
        does not depend on the number of tags in sync.
    :ivar selects_none: a rule selects none of the tags of this repository, which was found in a namespace.
    :ivar window: description of the push times that the run worked on.
    :ivar planned_deletions: deletions for the next scheduled run, if this run looked for tags to delete.
    :ivar deep_check: set when this run verified content.
    :ivar selected: number of tags that the rules selected, if this run looked at all tags of the source.
    :ivar requested: number of these tags that match the run's parameter ``tags``; ``None`` without it or with a window.
    :ivar lacking: attached artifacts that failed, and those of earlier runs that were not looked at.
    :ivar stale_tags: tags that a vendor's listing has wrong, which the next run compares again.
    :ivar traffic: our requests to both registries, skopeo's excluded.
    :ivar totals: of the plan, in a dry run.
    :ivar error: set when the route failed as a whole, before or between its tags.
    """

    mirror: str
    route_key: str
    source: str
    destination: str
    counts: Mapping[str, int]
    tags: tuple[TagResult, ...] = ()
    notes: tuple[str, ...] = ()
    selects_none: bool = False
    sent_bytes: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    window: str = ""
    planned_deletions: PlannedDeletions | None = None
    deep_check: DeepCheckResult | None = None
    selected: int | None = None
    requested: int | None = None
    totals: PlanTotals | None = None
    error: str | None = None
    error_class: str | None = None
    retry_at: datetime | None = None
    lacking: LackingArtifacts = NONE_LACKING
    stale_tags: tuple[str, ...] = ()
    traffic: Traffic = NO_TRAFFIC

    @property
    def failed_tags(self) -> tuple[TagResult, ...]:
        return tuple(result for result in self.tags if result.outcome == "failed")

    @property
    def locked_tags(self) -> tuple[TagResult, ...]:
        return tuple(result for result in self.tags if result.outcome == "locked")

    @property
    def is_failed(self) -> bool:
        return self.error is not None or bool(self.failed_tags or self.locked_tags)

    @property
    def lacks_only_artifacts(self) -> bool:
        """Attached artifacts failed, and nothing else: all tags are as they should be."""
        bad = (*self.failed_tags, *self.locked_tags)
        is_whole = self.error is None and self.retry_at is None and bool(self.lacking)
        return is_whole and all(is_artifact_name(result.tag) for result in bad)

    @classmethod
    def of_route(cls, route: Route, *, counts: Mapping[str, int], **fields: Any) -> Self:
        """A report about ``route``, with any other fields."""
        return cls(
            mirror=route.mirror,
            route_key=route_key(route),
            source=str(route.source_repository),
            destination=str(route.destination_repository),
            counts=counts,
            **fields,
        )

    @classmethod
    def of_error(cls, route: Route, error: RegistrySyncError, *, dry_run: bool, traffic: Traffic = NO_TRAFFIC) -> Self:
        """The report of a route that failed as a whole."""
        return cls.of_route(
            route,
            counts={},
            dry_run=dry_run,
            error=str(error),
            error_class=error.error_class,
            retry_at=error.retry_at if isinstance(error, RateLimited) else None,
            traffic=traffic,
        )

    @classmethod
    def of_unrouted(cls, mirror: str, source: str, destination: str, error: RegistrySyncError) -> Self:
        """The report of a repository that gets no route, or of a namespace that cannot be listed."""
        key = f"{source} {destination}"
        return cls(
            mirror=mirror,
            route_key=key,
            source=source,
            destination=destination,
            counts={},
            error=str(error),
            error_class=error.error_class,
        )

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-simple values, for XCom."""
        return {
            **asdict(self),
            "tags": [result.to_json() for result in self.tags],
            "notes": list(self.notes),
            "planned_deletions": self.planned_deletions.to_json() if self.planned_deletions else None,
            "deep_check": self.deep_check.to_json() if self.deep_check else None,
            "retry_at": self.retry_at.isoformat() if self.retry_at else None,
            "lacking": self.lacking.to_json() if self.lacking else None,
            "stale_tags": list(self.stale_tags),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`. :raises TypeError: when the document is something else."""
        fields = dict(document)
        traffic = Traffic(**fields.pop("traffic", {}))
        retry_at, planned = fields.pop("retry_at", None), fields.pop("planned_deletions", None)
        lacking = fields.pop("lacking", None)
        deep_check, totals = fields.pop("deep_check", None), fields.pop("totals", None)
        return cls(
            **{
                **fields,
                "tags": tuple(map(TagResult.from_json, fields.pop("tags", ()))),
                "notes": tuple(fields.pop("notes", ())),
                "stale_tags": tuple(fields.pop("stale_tags", ())),
                "planned_deletions": PlannedDeletions.from_json(planned) if planned else None,
                "deep_check": DeepCheckResult.from_json(deep_check) if deep_check else None,
                "totals": PlanTotals(**totals) if totals else None,
                "retry_at": datetime.fromisoformat(retry_at) if retry_at else None,
                "lacking": LackingArtifacts.from_json(lacking) if lacking else NONE_LACKING,
                "traffic": traffic,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """The report of a DAG run. ``missing`` has a line about each route and task that ended without a report.

    ``notes`` are remarks about the run as a whole.
    """

    mirror: str
    routes: tuple[RouteReport, ...]
    missing: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    @property
    def failed_routes(self) -> tuple[RouteReport, ...]:
        return tuple(route for route in self.routes if route.is_failed)

    @property
    def is_failed(self) -> bool:
        return bool(self.failed_routes or self.missing)
