"""Cost of seeing that everything is in sync."""

from __future__ import annotations

from bench.contest import Contest, hold
from bench.proxy import Latency
from bench.scope import Scope
from bench.storage import many_tags
from bench.tables import Findings, Table, contest_table

SLOW = Latency(request_ms=50)
SLOW_LIMIT_SECONDS = 30.0
"""A tool that sends one request after another needs twice that for 1,000 tags."""


def measure(scope: Scope) -> Findings:
    """Few tags with all tools, many without and with latency, names only, and many repositories."""
    return Findings(tables=[_few_tags(scope), *_many_tags(scope), _many_routes(scope)])


def _few_tags(scope: Scope) -> Table:
    count = scope.sizes.few_tags
    with many_tags(1, count) as storage:
        results = hold(Contest(source=storage, is_in_sync=True), [scope.idle, *scope.peers])
    title = f"{count:,} tags of one repository, all in sync. Tools that do not compare before they copy are here only:"
    return contest_table(title, results)


def _many_tags(scope: Scope) -> list[Table]:
    count = scope.sizes.many_tags
    with many_tags(1, count) as storage:
        quick = hold(Contest(source=storage, is_in_sync=True), scope.comparing)
        slow = hold(
            Contest(source=storage, is_in_sync=True, latency=SLOW, limit_seconds=SLOW_LIMIT_SECONDS), scope.comparing
        )
        kept = hold(Contest(source=storage, is_in_sync=True, keeps=True), scope.comparing)
    title = f"{count:,} tags of one repository, all in sync"
    names = "names compared only (`on_moved_tag: keep`, `--missing`, `--no-clobber`)"
    return [
        contest_table(f"{title}:", quick),
        contest_table(f"{title}, {SLOW.request_ms} ms more for each request:", slow),
        contest_table(f"{title}, {names}:", kept),
    ]


def _many_routes(scope: Scope) -> Table:
    routes, tags = scope.sizes.routes, scope.sizes.tags_of_route
    with many_tags(routes, tags) as storage:
        results = hold(Contest(source=storage, is_in_sync=True), scope.comparing)
    return contest_table(f"{routes:,} repositories with {tags} tags each, all in sync:", results)
