"""Tags that need no comparison: ``on_moved_tag: keep`` leaves them as they are, whatever their digests.

A scheduled run between two full checks lists the names of both sides, and reads digests only of tags that the
destination lacks. All other runs compare digests, and report the tags that moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from registry_sync.oci.reference import Digest
from registry_sync.sync.reading.case_folding import case_groups
from registry_sync.sync.reading.destination import list_destination, pages_of
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Session
from registry_sync.tags.overwrite_policy import policy_of
from registry_sync.tags.select import Selection


def find_kept(
    session: Session,
    scope: RouteScope,
    selection: Selection,
    digests: Mapping[str, Digest | None],
    others: Iterable[str],
    listing_size: int | None,
) -> frozenset[str]:
    """The selected tags that the destination lists, and that are neither compared nor copied.

    Empty where a comparison costs no more: both sides list digests, or there are few tags. Names that differ only in
    case do not show whether a tag exists.

    :param digests: digests of the source's tags, as far as it lists them.
    :param others: tags that the rules select, and that the run leaves out.
    """
    settings = session.route.settings
    if not scope.compares_names or scope.deep_check or settings.needs_digests:
        return frozenset()
    policies = settings.on_moved_tag
    kept = [tag for tag in selection.selected if policy_of(tag, policies)[0] == "keep" and tag not in selection.pins]
    is_free = session.destination.lists_digests and all(digests[tag] for tag in kept)
    if is_free or len(kept) <= pages_of(listing_size) or case_groups({*selection.selected, *others}):
        return frozenset()
    return frozenset(kept).intersection(list_destination(session) or ())
