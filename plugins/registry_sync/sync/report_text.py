"""Reports for people: one sentence, the failed tags first, then tables of plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from registry_sync.sync.report import OUTCOMES, RouteReport, RunReport, TagResult
from registry_sync.sync.totals import sum_totals, totals_text
from registry_sync.text_table import human_bytes, table, table_with_texts

MAX_FAILURES = 10
"""Failed tags in the message of a failed run, and at the start of its report. The report has the others at its end."""


def run_summary(run: RunReport) -> str:
    """One sentence about a run.

    >>> run_summary(RunReport(mirror="m", routes=()))
    'm: nothing to do, no repository was selected'
    """
    if not run.routes and not run.missing:
        return f"{run.mirror}: nothing to do, no repository was selected"
    totals, without_tags = _totals(run.routes), _without_tags(run.routes)
    accepted = sum(tag.accepted for route in run.routes for tag in route.tags)
    others = (
        (f", {accepted} of them accepted" if accepted else "")
        + _others(totals)
        + (f", {len(without_tags)} repositories without a selected tag" if without_tags else "")
    )
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


def failure_message(run: RunReport) -> str:
    """The message of a failed run: one sentence, then the first failed tags."""
    return "\n  ".join([run_summary(run), *_first(_failures(run))])


def report_table(routes: Sequence[RouteReport]) -> str:
    """The failed tags, the routes as a table, then one of the tags that were copied, repaired or deleted."""
    failures = list(_route_failures(routes))
    parts = ["\n  ".join(["Failed:", *_first(failures, ", at the end")])] if failures else []
    parts.append(_route_table(routes))
    rows = [_tag_row(route, tag) for route in routes for tag in route.tags if tag.outcome not in _FAILED]
    if rows:
        parts.append(table_with_texts(_TAG_HEADINGS, rows, right=_TAG_RIGHT))
    parts += _windows(routes)
    parts += _pulls(routes)
    parts += _warnings(routes)
    parts += [f"{_arrow(route)}: {note}" for route in routes for note in route.notes]
    if totals := [route.totals for route in routes if route.totals]:
        parts.append(totals_text(sum_totals(totals)))
    if others := failures[MAX_FAILURES:]:
        parts.append("\n  ".join(["Failed too:", *others]))
    return "\n\n".join(parts)


_FAILED = frozenset({"failed", "locked"})


def _failures(run: RunReport) -> list[str]:
    """A line for each failed tag, each route that failed as a whole, and each task without a report."""
    return [*_route_failures(run.routes), *run.missing]


def _route_failures(routes: Iterable[RouteReport]) -> Iterator[str]:
    """A line for each failed or locked tag, and for each route that failed as a whole."""
    for route in routes:
        for result in route.tags:
            if result.outcome in _FAILED:
                name = f"@{result.tag}" if ":" in result.tag else f":{result.tag}"  # an artifact has a digest only
                yield f"{route.source}{name} → {route.destination}: {_one_line(result.reason)}"
        if route.error:
            yield f"{_arrow(route)}: {_one_line(route.error)}"


def _first(failures: Sequence[str], where: str = "") -> list[str]:
    """The first failures, and the number of the others and ``where`` they are."""
    others = len(failures) - MAX_FAILURES
    return [*failures[:MAX_FAILURES], *([f"… and {others} more{where}"] if others > 0 else [])]


MAX_REPOSITORIES_IN_WARNING = 5


def _without_tags(routes: Iterable[RouteReport]) -> list[str]:
    """The source repositories of which a rule selects no tag, in their order."""
    return list(dict.fromkeys(route.source for route in routes if route.selects_none))


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
    counts = Counter(route.window for route in routes if route.window)
    if len(counts) == 1 and counts.total() == len(routes):
        return [f"Looked at {next(iter(counts))}"]
    return ["\n".join(f"{count} routes looked at {window}" for window, count in counts.items())] if counts else []


def _pulls(routes: Sequence[RouteReport]) -> list[str]:
    """The pulls of this run that a pull limit counts; nothing without any."""
    pulls = sum(route.traffic.pulls for route in routes)
    manifests = "1 manifest" if pulls == 1 else f"{pulls} manifests"
    return [f"Docker Hub's pull limit counted {manifests}"] if pulls else []


_COLUMNS = ("copied", "unchanged", "repaired", "skipped", "deleted", "locked", "failed", "digests", "sent", "seconds")

_TAG_HEADINGS = ("tag", "outcome", "digest", "sent", "seconds", "reason")

_TAG_RIGHT = frozenset((3, 4))


def _route_table(routes: Sequence[RouteReport]) -> str:
    """One row per route. Columns about repairs, deletions and locks appear only when they are not zero."""
    totals = _totals(routes)
    rare = {name: totals[name] for name in ("repaired", "locked")}
    shown = {"deleted": totals["deleted"] + totals["would_delete"], **rare}
    columns = [column for column in _COLUMNS if shown.get(column, True)]
    rows = [(route.source, f"→ {route.destination}", *(_cells(route)[name] for name in columns)) for route in routes]
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
        "sent": human_bytes(sum(route.sent_bytes for route in routes)),
        "seconds": f"{sum(route.seconds for route in routes):.1f}",
    }


def _deleted(counts: Mapping[str, int]) -> str:
    """The number of deletions, with those that are planned for a later run."""
    planned = f" (+{counts['would_delete']} planned)" if counts["would_delete"] else ""
    return f"{counts['deleted']}{planned}"


def _digests(routes: Iterable[RouteReport]) -> int:
    """The number of images that were copied, or would be. All tags of one digest count once."""
    return len({tag.digest for route in routes for tag in route.tags if tag.outcome in ("copied", "would_copy")})


def _totals(routes: Iterable[RouteReport]) -> dict[str, int]:
    totals = dict.fromkeys(OUTCOMES, 0)
    for route in routes:
        for outcome, count in route.counts.items():
            totals[outcome] += count  # type: ignore[index]
    return totals  # type: ignore[return-value]


def _tag_row(route: RouteReport, tag: TagResult) -> tuple[str, ...]:
    short = tag.digest.short if tag.digest else "-"
    outcome, seconds = tag.outcome.replace("_", " "), f"{tag.seconds:.1f}"
    name, sent = f"{route.destination}:{tag.tag}", human_bytes(tag.sent_bytes)
    return (name, outcome, short, sent, seconds, _one_line(tag.reason))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _arrow(route: RouteReport) -> str:
    return f"{route.source} → {route.destination}"
