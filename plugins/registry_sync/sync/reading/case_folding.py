"""Tags that differ in case only, at a destination that folds case.

Gitea stores ``RC2`` as ``rc2``, lists ``rc2``, and answers to both names. A HEAD by name therefore does not prove that
the tag exists under that name. Two such tags overwrite each other in every run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RefusedError
from registry_sync.oci.reference import Digest
from registry_sync.sync.plan import CopyTag, Plan, TagState, Unchanged
from registry_sync.sync.reading.tag_states import head_if_visible
from registry_sync.sync.report import TagResult
from registry_sync.sync.session import Session
from registry_sync.tags.select import Selection


def case_groups(tags: Iterable[str]) -> list[tuple[str, ...]]:
    """The tags that differ from each other in case only.

    >>> case_groups(["v1", "V1", "v2"])
    [('V1', 'v1')]
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for tag in sorted(tags):
        groups[tag.lower()].append(tag)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def fail_folded_tags(
    session: Session, selection: Selection, others: Collection[str], destination: Mapping[str, TagState]
) -> Selection:
    """Fail the selected tags that differ in case only, if the destination is known to fold case.

    It folds case when it answers to a name that it lists only in other letters. The listing is read only for such tags.

    :param others: tags that the rules select, and that the run leaves out.
    :param destination: digests of the selected tags at the destination.
    """
    selected = set(selection.selected)
    groups = [group for group in case_groups(selected.union(others)) if not selected.isdisjoint(group)]
    present = {tag for group in groups for tag in group if _is_present(session, tag, destination)}
    if not present:
        return selection
    try:
        listed = {entry.name for entry in session.destination.list_tags(session.route.destination_repository)}
    except (NotFound, DeniedError, RefusedError):
        return selection
    unlisted = {tag.lower() for tag in present - listed}
    if unlisted.isdisjoint(name.lower() for name in listed):
        return selection
    for group in groups:
        selection = selection.fail(selected.intersection(group), _reason(session, group))
    return selection


def _is_present(session: Session, tag: str, known: Mapping[str, TagState]) -> bool:
    if tag in known:
        return isinstance(known[tag], Digest)
    return head_if_visible(session.destination, session.route.destination_repository, tag) is not None


def fail_overwritten(session: Session, plan: Plan, copied: Sequence[TagResult]) -> list[TagResult]:
    """Fail copied tags that overwrote each other, because the destination turned out to fold case."""
    expected = {
        decision.tag: decision.digest for decision in plan.decisions if isinstance(decision, CopyTag | Unchanged)
    }
    done = {result.tag for result in copied if result.outcome == "copied"}
    reasons = {
        tag: _reason(session, group)
        for group in case_groups(expected)
        if done.intersection(group) and not _are_kept(session, {tag: expected[tag] for tag in group})
        for tag in done.intersection(group)
    }
    return [_failed(result, reasons[result.tag]) if result.tag in reasons else result for result in copied]


def _are_kept(session: Session, expected: Mapping[str, Digest]) -> bool:
    client, repository = session.destination, session.route.destination_repository
    return all(head_if_visible(client, repository, tag) == digest for tag, digest in expected.items())


def _reason(session: Session, group: Sequence[str]) -> str:
    names = " and ".join(group)
    host = session.route.destination.host
    return f"{names} differ in case only, and {host} stores them as one tag; exclude all of them but one"


def _failed(result: TagResult, reason: str) -> TagResult:
    return TagResult.failed(result.tag, reason, ConfigurationError.error_class, digest=result.digest)
