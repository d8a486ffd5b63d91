"""The tags that came to a source since an earlier look at the route. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from registry_sync.state.recording.look import RouteRecord
from registry_sync.state.run_row import MAX_FOUND, FoundTag
from registry_sync.sync.view import RouteView, SeenTag
from registry_sync.sync.window import CLOCK_SKEW


def found_tags(view: RouteView, earlier: RouteRecord | None) -> tuple[FoundTag, ...]:
    """The tags that a run published, and that no earlier look at the route had seen.

    Without an earlier complete look, no tag counts: all are new to us, and not to the source.
    """
    if earlier is None or earlier.state.complete_at is None:
        return ()
    return tuple(islice(_found(view, earlier), MAX_FOUND))


def _found(view: RouteView, earlier: RouteRecord) -> Iterator[FoundTag]:
    known = {tag.tag: tag.digest for tag in earlier.tags.tags}
    is_cut = earlier.tags.total > len(known)
    for tag in view.tags:
        is_known = known.get(tag.tag) == str(tag.digest) or (is_cut and tag.tag not in known)
        if tag.is_published and not is_known and not _was_selected_later(tag, earlier):
            yield FoundTag(tag=tag.tag, since=tag.pushed_at or earlier.state.looked_at)


def _was_selected_later(tag: SeenTag, earlier: RouteRecord) -> bool:
    """True for a tag that the source had before: changed rules select it now, or ``older_than`` has ended."""
    if tag.entered_at is None or earlier.state.complete_at is None:
        return False
    return tag.entered_at < earlier.state.complete_at - CLOCK_SKEW or tag.entered_at != tag.pushed_at
