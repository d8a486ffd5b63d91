"""Reports: the result of each tag, the values that cross XCom as JSON, and the tables that people read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, Self, get_args

from registry_sync.errors import LockedTag, RateLimited, RegistrySyncError
from registry_sync.oci.reference import Digest
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.verification.damaged_images import DeepCheckResult
from registry_sync.text_table import human_bytes, table

Outcome = Literal[
    "copied", "would_copy", "deleted", "would_delete", "unchanged", "repaired", "skipped", "locked", "failed"
]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagResult:
    """The result of one tag, made by the constructor of its outcome.

    :ivar digest: the source's digest; of a deleted tag, the digest that it had.
    :ivar error_class: set when the outcome is ``failed`` or ``locked``.
    """

    tag: str
    outcome: Outcome
    reason: str
    digest: Digest | None = None
    sent_bytes: int = 0
    seconds: float = 0.0
    error_class: str | None = None

    @classmethod
    def copied(cls, tag: str, digest: Digest, reason: str, *, sent_bytes: int = 0, seconds: float = 0.0) -> Self:
        seconds = round(seconds, 3)
        return cls(tag=tag, outcome="copied", reason=reason, digest=digest, sent_bytes=sent_bytes, seconds=seconds)

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
    def would_copy(cls, tag: str, digest: Digest, reason: str) -> Self:
        return cls(tag=tag, outcome="would_copy", reason=reason, digest=digest)

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
        return {**asdict(self), "digest": str(self.digest) if self.digest else None}

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
    error: str | None = None
    error_class: str | None = None
    retry_at: datetime | None = None

    @property
    def failed_tags(self) -> tuple[TagResult, ...]:
        return tuple(result for result in self.tags if result.outcome == "failed")

    @property
    def locked_tags(self) -> tuple[TagResult, ...]:
        return tuple(result for result in self.tags if result.outcome == "locked")

    @property
    def is_failed(self) -> bool:
        return self.error is not None or bool(self.failed_tags or self.locked_tags)

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
    def of_error(cls, route: Route, error: RegistrySyncError, *, dry_run: bool) -> Self:
        """The report of a route that failed as a whole."""
        return cls.of_route(
            route,
            counts={},
            dry_run=dry_run,
            error=str(error),
            error_class=error.error_class,
            retry_at=error.retry_at if isinstance(error, RateLimited) else None,
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
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`. :raises TypeError: when the document is something else."""
        fields = dict(document)
        retry_at, planned = fields.pop("retry_at", None), fields.pop("planned_deletions", None)
        deep_check = fields.pop("deep_check", None)
        return cls(
            **{
                **fields,
                "tags": tuple(map(TagResult.from_json, fields.pop("tags", ()))),
                "notes": tuple(fields.pop("notes", ())),
                "planned_deletions": PlannedDeletions.from_json(planned) if planned else None,
                "deep_check": DeepCheckResult.from_json(deep_check) if deep_check else None,
                "retry_at": datetime.fromisoformat(retry_at) if retry_at else None,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """The report of a DAG run. ``missing`` names routes and tasks that ended without a report.

    ``notes`` are remarks about the run as a whole.
    """

    mirror: str
    routes: tuple[RouteReport, ...]
    missing: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    @property
    def failed_routes(self) -> tuple[RouteReport, ...]:
        return tuple(each for each in self.routes if each.is_failed)

    @property
    def is_failed(self) -> bool:
        return bool(self.failed_routes or self.missing)


def run_summary(run: RunReport) -> str:
    """One sentence about a run.

    >>> run_summary(RunReport(mirror="m", routes=()))
    'm: nothing to do, no repository was selected'
    """
    if not run.routes and not run.missing:
        return f"{run.mirror}: nothing to do, no repository was selected"
    totals, without_tags = _totals(run.routes), _without_tags(run.routes)
    others = _others(totals) + (f", {len(without_tags)} repositories without a selected tag" if without_tags else "")
    if run.is_failed:
        bad, all_routes = len(run.failed_routes) + len(run.missing), len(run.routes) + len(run.missing)
        return f"{run.mirror}: {bad} of {all_routes} routes failed, {_copied(totals)}{others}"
    if not totals["copied"] and not totals["would_copy"]:
        skipped = f", {totals['skipped']} skipped" if totals["skipped"] else ""
        has_tags = totals["unchanged"] or totals["repaired"] or not skipped
        state = "everything is in sync" if has_tags else "no tag is mirrored"
        kept = f"{totals['unchanged']} tags unchanged{skipped}"
        return f"{run.mirror}: {state}, nothing was copied ({kept}){others}"
    return f"{run.mirror}: {_copied(totals)}, {totals['unchanged']} unchanged{others}"


def _copied(totals: Mapping[str, int]) -> str:
    if totals["would_copy"]:
        return f"{totals['would_copy']} tags would be copied (dry run)"
    return f"{totals['copied']} tags copied"


def _others(totals: Mapping[str, int]) -> str:
    """Outcomes that most runs do not have."""
    words = (("repaired", "repaired"), ("deleted", "deleted"), ("would_delete", "to be deleted"), ("locked", "locked"))
    return "".join(f", {totals[outcome]} {word}" for outcome, word in words if totals[outcome])


def report_table(routes: Sequence[RouteReport]) -> str:
    """The routes, then each tag that was copied, repaired, deleted, locked or failed, as a table of plain text."""
    parts = [_route_table(routes)]
    rows = [_tag_row(route, tag) for route in routes for tag in route.tags]
    if rows:
        parts.append(table(_TAG_HEADINGS, rows, right=_TAG_RIGHT))
    parts += _windows(routes)
    parts += _warnings(routes)
    parts += [f"{_arrow(each)}: {note}" for each in routes for note in each.notes]
    parts += [f"{_arrow(each)}: FAILED: {each.error}" for each in routes if each.error]
    return "\n\n".join(parts)


MAX_REPOSITORIES_IN_WARNING = 5


def _without_tags(routes: Iterable[RouteReport]) -> list[str]:
    """The source repositories of which a rule selects no tag, in their order."""
    return list(dict.fromkeys(each.source for each in routes if each.selects_none))


def _warnings(routes: Sequence[RouteReport]) -> Iterator[str]:
    """One warning about all repositories of which a rule selects no tag."""
    if names := _without_tags(routes):
        more = ", …" if len(names) > MAX_REPOSITORIES_IN_WARNING else ""
        yield (
            f"WARNING: a rule selects no tag of {len(names)} repositories: "
            f"{', '.join(names[:MAX_REPOSITORIES_IN_WARNING])}{more}; correct tags:, exclude the repositories, "
            f"or write "
            "min_tags: 0 if that is right"
        )


def _windows(routes: Sequence[RouteReport]) -> list[str]:
    """The windows of the routes: once when all have the same, otherwise each with its number of routes."""
    counts = Counter(each.window for each in routes if each.window)
    if len(counts) == 1 and counts.total() == len(routes):
        return [f"Looked at {next(iter(counts))}"]
    return ["\n".join(f"{count} routes looked at {window}" for window, count in counts.items())] if counts else []


_COLUMNS = ("copied", "unchanged", "repaired", "skipped", "deleted", "locked", "failed", "digests", "sent", "seconds")

_TAG_HEADINGS = ("tag", "outcome", "digest", "sent", "seconds", "reason")

_TAG_RIGHT = frozenset((3, 4))


def _route_table(routes: Sequence[RouteReport]) -> str:
    """One row per route. Columns about repairs, deletions and locks appear only when they are not zero."""
    totals = _totals(routes)
    rare = {name: totals[name] for name in ("repaired", "locked")}
    shown = {"deleted": totals["deleted"] + totals["would_delete"], **rare}
    columns = [each for each in _COLUMNS if shown.get(each, True)]
    rows = [(each.source, f"→ {each.destination}", *(_cells(each)[name] for name in columns)) for each in routes]
    if len(routes) > 1:
        cells = _total_cells(routes, totals)
        rows.append((f"{len(routes)} routes", "", *(cells[name] for name in columns)))
    return table(("repository", "destination", *columns), rows, right=frozenset(range(2, 2 + len(columns))))


def _cells(route: RouteReport) -> dict[str, str]:
    counts = dict.fromkeys(OUTCOMES, 0) | dict(route.counts)
    return {
        "copied": f"{counts['would_copy']} (dry run)" if route.dry_run else str(counts["copied"]),
        "unchanged": str(counts["unchanged"]),
        "repaired": str(counts["repaired"]),
        "skipped": str(counts["skipped"]),
        "deleted": _deleted(counts),
        "locked": str(counts["locked"]),
        "failed": "all" if route.error and not route.failed_tags else str(counts["failed"]),
        "digests": str(_digests([route])),
        "sent": human_bytes(route.sent_bytes),
        "seconds": f"{route.seconds:.1f}",
    }


def _total_cells(routes: Sequence[RouteReport], totals: Mapping[str, int]) -> dict[str, str]:
    numbers = {name: str(totals[name]) for name in ("unchanged", "repaired", "skipped", "locked", "failed")}
    return {
        **numbers,
        "copied": str(totals["copied"] + totals["would_copy"]),
        "deleted": _deleted(totals),
        "digests": str(_digests(routes)),
        "sent": human_bytes(sum(each.sent_bytes for each in routes)),
        "seconds": f"{sum(each.seconds for each in routes):.1f}",
    }


def _deleted(counts: Mapping[str, int]) -> str:
    """The number of deletions, with those that are planned for a later run."""
    planned = f" (+{counts['would_delete']} planned)" if counts["would_delete"] else ""
    return f"{counts['deleted']}{planned}"


def _digests(routes: Iterable[RouteReport]) -> int:
    """The number of images that were copied, or would be. All tags of one digest count once."""
    return len({each.digest for route in routes for each in route.tags if each.outcome in ("copied", "would_copy")})


def _totals(routes: Iterable[RouteReport]) -> dict[str, int]:
    totals = dict.fromkeys(OUTCOMES, 0)
    for route in routes:
        for outcome, count in route.counts.items():
            totals[outcome] += count  # type: ignore[index]
    return totals  # type: ignore[return-value]


def _tag_row(route: RouteReport, tag: TagResult) -> tuple[str, ...]:
    short = tag.digest.short if tag.digest else "-"
    name, reason = f"{route.destination}:{tag.tag}", " ".join(tag.reason.split())
    return (name, tag.outcome.replace("_", " "), short, human_bytes(tag.sent_bytes), f"{tag.seconds:.1f}", reason)


def _arrow(route: RouteReport) -> str:
    return f"{route.source} → {route.destination}"
