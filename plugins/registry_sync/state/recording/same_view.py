"""Recognise a view of a route that is the same as the last one, so that the table of its tags need not be read. Pure.

Most runs find a route as the last one left it. Its table then stays as it is, and reading it costs each task a request
to Airflow's API server and as much CPU as everything else that is recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from registry_sync.state.route import RouteState
from registry_sync.sync.view import RouteView

_DIGEST_BYTES = 16


def fingerprint(view: RouteView) -> str:
    """A fingerprint of what a run saw; empty unless it compared all selected tags, and found all of them in sync.

    It has the day of the run: once a day, the table is read, and a lost one is written again.
    """
    is_whole = view.is_complete and not view.failures and not view.uncompared
    if not is_whole or any(tag.status != "in_sync" or tag.is_published for tag in view.tags):
        return ""
    return hashlib.blake2b("\n".join(_lines(view)).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def is_same_view(view: RouteView, last: RouteState) -> bool:
    """Return whether a run saw what the last one saw, so that neither tags nor problems change."""
    return bool(last.view) and not last.problem_count and fingerprint(view) == last.view


def _lines(view: RouteView) -> Iterator[str]:
    yield f"{view.read_at:%Y-%m-%d}"
    for tag in sorted(view.tags, key=lambda tag: tag.tag):
        yield f"{tag.tag} {tag.digest} {tag.pushed_at} {tag.entered_at} {tag.published_at}"
