"""Apply the moved tags that a person accepts for one run to the plan of a route. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from registry_sync.errors import ConfigurationError, RefusedError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.sync.plan import CopyTag, Decision, Failed, Locked, Skipped, TagState
from registry_sync.sync.reading.platform_indexes import FilteredTags

MAX_TAGS_IN_NOTE = 10


def accepted_states(accepted: Mapping[str, Digest], source: FilteredTags) -> Mapping[str, Digest]:
    """The digest that each accepted tag would have at the destination: with ``platforms``, that of its platform index.

    A person may name either digest: messages name that of the index, the source has the other.
    """
    states = {tag: source.states.get(tag) for tag in accepted}
    made = {tag: state for tag, state in states.items() if isinstance(state, Digest)}
    return {tag: made[tag] if source.sources.get(tag) == digest else digest for tag, digest in accepted.items()}


def refuse_unaccepted(
    decisions: Iterable[Decision], accepted: Mapping[str, Digest], states: Mapping[str, TagState]
) -> Iterable[Decision]:
    """Fail the accepted tags that are not selected, and those that have another digest at the source now.

    An accepted tag must not be skipped silently. Decisions about other tags, and about tags in sync, stay.

    :param accepted: the result of :func:`accepted_states`.
    :param states: digests of the selected tags at the source.
    """
    planned = {decision.tag: decision for decision in decisions}
    refused = {tag: _refuse(tag, digest, planned.get(tag), states.get(tag)) for tag, digest in accepted.items()}
    return (planned | {tag: failed for tag, failed in refused.items() if failed}).values()


def _refuse(tag: str, digest: Digest, decision: Decision | None, state: TagState) -> Failed | None:
    """The failure of an accepted tag; ``None`` where the decision about it stays."""
    match decision:
        case None:
            reason = "the tag is not among those that this run compares"
        case Skipped(reason=why, kept=None):
            reason = f"the tag is not mirrored: {why}"
        case CopyTag() | Skipped() | Locked() | Failed() if isinstance(state, Digest) and state != digest:
            seen = f"the source has {state.short} and {digest.short} is accepted"
            reason = f"{seen}; nothing was written. Look at it, and accept {state} if that is right"
            return Failed(tag=tag, reason=reason, error_class=RefusedError.error_class, moved_to=state)
        case _:
            return None
    return Failed(
        tag=tag, reason=f"accept names {digest.short}, but {reason}", error_class=ConfigurationError.error_class
    )


def acceptance_note(decisions: Iterable[Decision], repository: Repository) -> Iterable[str]:
    """A note about the way to accept tags that fail only because they moved."""
    entries = [
        f"{repository.short_name}:{decision.tag}@{decision.moved_to}"
        for decision in decisions
        if isinstance(decision, Failed) and decision.moved_to
    ]
    if entries:
        more = f" and {len(entries) - MAX_TAGS_IN_NOTE} more" if len(entries) > MAX_TAGS_IN_NOTE else ""
        shown = f"{', '.join(entries[:MAX_TAGS_IN_NOTE])}{more}"
        yield f"if a move is right, trigger one run with the parameter accept: {shown}"
