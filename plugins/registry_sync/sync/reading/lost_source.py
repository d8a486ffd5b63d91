"""Detect a source that lost everything: a registry that was replaced, restored empty, or answers for another host.

An empty listing is a valid answer. It is a failure where the destination or the last run had tags.
"""

from __future__ import annotations

from collections.abc import Sized

from registry_sync.errors import DeniedError, NotFound, RefusedError
from registry_sync.oci.artifact_tags import is_artifact_tag
from registry_sync.oci.reserved_tags import is_reserved_tag
from registry_sync.routes.route import Route
from registry_sync.sync.reading.platform_indexes import FilteredTags
from registry_sync.sync.session import Session
from registry_sync.tags.select import Selection, rejection_reason


def check_source_has_tags(
    session: Session, listed: Sized, selection: Selection, source: FilteredTags, last_selected: int | None
) -> None:
    """Check a source whose tags were all listed.

    ``min_tags: 0`` says that a repository may be empty. Tags of signatures and backups do not count.

    :param listed: all tags of the source.
    :param source: the states of the selected tags at the source.
    :param last_selected: number of tags that the last complete look selected; ``None``: unknown.
    :raises RefusedError: when it has no image, and the destination or the last look had some.
    """
    number = selection.judged
    has_none = all(state is None for state in source.states.values()) and not (selection.failed or source.dropped)
    is_lost = bool(source.states) or not number
    if not (has_none and is_lost) or all(rule.min_tags == 0 for rule in session.route.settings.tags.rules):
        return
    if before := _seen_before(session, last_selected):
        none = "lists no tags of images" if len(listed) else "lists no tags"
        seen = f"lists {number} tags, and has a manifest for none of the selected ones" if number else none
        raise RefusedError(
            f"{session.route.source_repository} {seen}, while {before}; nothing was copied or deleted. Was the source "
            "emptied or replaced, or are its images hidden from us? If that is right, write min_tags: 0 for the "
            "repository, or exclude it"
        )


def _seen_before(session: Session, last_selected: int | None) -> str:
    """A description of the tags that the destination or the last look had; empty when there were none."""
    number = _count_at_destination(session)
    if number:
        return f"{session.route.destination_repository} has {number} tags that its rules select"
    return f"the last complete look selected {last_selected} tags" if last_selected else ""


def _count_at_destination(session: Session) -> int:
    """The number of the route's tags at the destination; 0 also when they cannot be listed."""
    try:
        entries = session.destination.list_tags(session.route.destination_repository)
        return sum(_is_mirrored(entry.name, session.route) for entry in entries)
    except (NotFound, DeniedError, RefusedError):
        return 0


def _is_mirrored(tag: str, route: Route) -> bool:
    """Return whether the rules of the route would select a tag of that name."""
    backup_tag = route.settings.backup_tag
    is_ours = is_artifact_tag(tag) or is_reserved_tag(tag) or (backup_tag is not None and backup_tag.is_backup(tag))
    return not is_ours and not rejection_reason(tag, route.settings.tags)
