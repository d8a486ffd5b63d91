"""Read what pruning needs: the tags of the destination, and the digests of those that may be deleted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from registry_sync.errors import (
    DeniedError,
    RefusedError,
    TemporaryError,
)
from registry_sync.oci.artifact_tags import is_artifact_tag, is_bare_digest
from registry_sync.sync.pruning.destination_tags import head_all, list_destination
from registry_sync.sync.pruning.plan_deletions import (
    BothSides,
    NotPrunable,
    PrunePolicy,
    deletion_candidates,
    may_be_named_after_its_digest,
    prune_policy,
    pruning_obstacle,
)
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.session import Session
from registry_sync.tags.select import Selection


def observe_deletions(
    session: Session, listed: Collection[str], selection: Selection, due: PlannedDeletions | None
) -> BothSides | NotPrunable | None:
    """Read what pruning needs: the tags of the destination, and the digests of those that may be deleted.

    :param listed: all tags of the source.
    :param due: deletions planned by earlier scheduled runs.
    :returns: ``None`` when the route deletes no tags.
    """
    policy = prune_policy(session.route.settings)
    if policy is None:
        return None
    if fault := session.destination.delete_fault():
        return NotPrunable(fault)
    try:
        sides = _list_both_sides(session, policy, listed, selection)
        candidates = deletion_candidates(policy, sides)
        if pruning_obstacle(policy, sides, candidates, due):
            return sides
        return _read_candidates(session, sides, candidates)
    except (DeniedError, RefusedError, TemporaryError) as error:
        return NotPrunable(str(error))


def _list_both_sides(session: Session, policy: PrunePolicy, listed: Collection[str], selection: Selection) -> BothSides:
    entries = list_destination(session)
    locked = session.destination.locked_tags(session.route.destination_repository, [entry.name for entry in entries])
    unknown = [entry.name for entry in entries if entry.digest is None and _needs_digest(entry.name, policy, listed)]
    return BothSides(
        listed=frozenset(listed),
        selected=frozenset((*selection.selected, *selection.failed)),
        rejected={tag: reason for tag, reason in selection.rejected.items() if tag not in selection.not_yet},
        destination={**{entry.name: entry.digest for entry in entries}, **head_all(session, unknown)},
        locked=locked.union(entry.name for entry in entries if entry.is_locked),
        deletes_tags_alone=session.destination.deletes_tags_alone,
    )


def _needs_digest(tag: str, policy: PrunePolicy, listed: Collection[str]) -> bool:
    """Return whether a tag's own digest decides if it may be deleted.

    It may be a backup by a former ``backup_tag``, unless the source lists it, or an image that is named after itself.
    """
    is_candidate = policy.owns(tag) and not policy.is_backup(tag)
    if is_artifact_tag(tag):
        return is_candidate and is_bare_digest(tag)
    return is_candidate and tag not in listed and may_be_named_after_its_digest(tag)


def _read_candidates(session: Session, sides: BothSides, candidates: Collection[str]) -> BothSides:
    """Add the digests of the candidates, and look for the candidates at the source.

    All digests of the destination are read where deleting a tag may delete other tags of its image. Candidates that
    the source did not list are requested by name: a tag that is deleted while a listing is read moves other tags to
    pages that were read before. A 404 to a HEAD alone does not prove that such a tag is gone.
    """
    needed = candidates if sides.deletes_tags_alone else (sides.destination if candidates else ())
    digests = head_all(session, [tag for tag in needed if sides.destination[tag] is None])
    repository = session.route.source_repository
    unlisted = [tag for tag in candidates if tag not in sides.listed]
    found = [tag for tag in unlisted if session.source.head_manifest(repository, tag, is_expected=True)]
    return replace(sides, destination={**sides.destination, **digests}, found_at_source=frozenset(found))
