"""Plan a route: a decision and a reason for each tag. Pure: an observation in, a plan out; no client and no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from registry_sync.config.settings import RouteSettings
from registry_sync.errors import ConfigurationError, RefusedError
from registry_sync.oci.reference import Digest
from registry_sync.sync.acceptance import accepted_states, refuse_unaccepted
from registry_sync.sync.plan import (
    Backup,
    CopyTag,
    Decision,
    Failed,
    Locked,
    NotCompared,
    Plan,
    Skipped,
    TagState,
    Unchanged,
    Unreadable,
)
from registry_sync.sync.pruning.plan_deletions import NotPrunable, plan_deletions
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.platform_cache import Dropped
from registry_sync.sync.reading.platform_indexes import FilteredTags
from registry_sync.tags.overwrite_policy import OVERWRITE_ALL, OverwriteRules, overwriting, policy_of
from registry_sync.tags.select import Selection

MAX_TAGS_IN_NOTE = 10


def plan_route(observation: Observation, settings: RouteSettings, *, has_schedule: bool = True) -> Plan:
    """Decide for each tag that the source lists, and for each tag of the destination that pruning may delete.

    :param has_schedule: the mirror has scheduled runs, which alone delete tags.
    """
    filtered = observation.source
    accepted = accepted_states(observation.scope.accepted, filtered)
    rules = overwriting(settings.on_moved_tag, settings.backup_tag, observation.locked, observation.read_at, accepted)
    compared = observation.selection.without(observation.kept, "to compare")
    decisions = plan_tags(compared, filtered, observation.destination, rules)
    decisions = (*decisions, *_keep(observation.kept, rules))
    decisions = _sorted(refuse_unaccepted(decisions, accepted, filtered.states))
    notes = (
        *_kept_note(observation.kept),
        *_missing_platforms_note(filtered.missing),
        *_hidden_note(observation.destination),
    )
    plan = Plan(decisions=decisions, notes=notes)
    match observation.deletions:
        case None:
            return plan
        case NotPrunable(reason=reason):
            return replace(plan, notes=(*plan.notes, f"nothing was pruned: {reason}"))
        case both_sides:
            due = observation.scope.due_deletions
            return plan_deletions(plan, both_sides, settings, due, has_schedule=has_schedule)


def plan_tags(
    selection: Selection,
    source: FilteredTags,
    destination: Mapping[str, TagState],
    rules: OverwriteRules = OVERWRITE_ALL,
) -> tuple[Decision, ...]:
    """Decide for each listed tag.

    :param source: digests that the selected tags should have.
    :param destination: digests of the selected tags at the destination; a tag that is not a key does not exist there.
    :param rules: what happens to a tag that has another digest at the destination.
    """
    decisions: list[Decision] = [Skipped(tag=tag, reason=reason) for tag, reason in selection.rejected.items()]
    decisions += [_failed(tag, reason) for tag, reason in selection.failed.items()]
    decisions += [_plan_dropped(tag, dropped) for tag, dropped in source.dropped.items()]
    selected = (tag for tag in selection.selected if tag not in source.dropped)
    planned = (plan_tag(tag, source.states.get(tag), destination.get(tag), rules) for tag in selected)
    decisions += [
        _explain_platforms(decision, source) if isinstance(decision, CopyTag) else decision for decision in planned
    ]
    return _sorted(decisions)


def _sorted(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    return tuple(sorted(decisions, key=lambda decision: decision.tag))


def _keep(tags: Iterable[str], rules: OverwriteRules) -> Iterable[NotCompared]:
    for tag in tags:
        _, written = policy_of(tag, rules.policies)
        yield NotCompared(tag=tag, reason=f"is there, not compared: {written}")


def _kept_note(tags: Collection[str]) -> Iterable[str]:
    if tags:
        yield (
            f"{len(tags)} tags are at the destination and were not compared, because on_moved_tag is keep; "
            "a full check compares them"
        )


def plan_tag(tag: str, source: TagState, destination: TagState, rules: OverwriteRules = OVERWRITE_ALL) -> Decision:
    """Decide for one selected tag."""
    match source, destination:
        case None, _:
            return Skipped(tag=tag, reason="the source lists it, but has no manifest for it (deleted meanwhile?)")
        case Unreadable(), _:
            return _unreadable(tag, "source", source)
        case Digest(), Unreadable() if destination.is_refusal:
            return _plan_hidden(tag, source, destination, rules)
        case _, Unreadable():
            return _unreadable(tag, "destination", destination)
        case Digest(), None:
            return CopyTag(tag=tag, digest=source, reason="missing at the destination")
        case Digest(), Digest() if source == destination:
            return Unchanged(tag=tag, digest=source)
        case Digest(), Digest():
            return _plan_changed(tag, source, destination, rules)
    raise AssertionError((source, destination))


def _failed(tag: str, reason: str) -> Failed:
    return Failed(tag=tag, reason=reason, error_class=ConfigurationError.error_class)


def _unreadable(tag: str, side: str, state: Unreadable) -> Failed:
    return Failed(tag=tag, reason=f"cannot be read at the {side}: {state.text}", error_class=state.error_class)


def _plan_hidden(tag: str, source: Digest, destination: Unreadable, rules: OverwriteRules) -> Decision:
    """Copy a tag that the destination does not show: the push finds out whether it may be written.

    A tag that must not be overwritten, or only after a backup, has to be known to be missing.
    """
    policy, written = policy_of(tag, rules.policies)
    protection = written if policy != "follow" else "there is a backup_tag" if rules.backup_name else ""
    if protection:
        reason = f"cannot be read at the destination, and is not overwritten unseen, because {protection}"
        return Failed(tag=tag, reason=f"{reason}: {destination.text}", error_class=destination.error_class)
    return CopyTag(tag=tag, digest=source, reason=HIDDEN)


HIDDEN = "missing at the destination, or denied to us"


def _hidden_note(destination: Mapping[str, TagState]) -> Iterable[str]:
    """A note about the tags that the destination does not show, with the first reason."""
    hidden = [state for _, state in sorted(destination.items()) if isinstance(state, Unreadable) and state.is_refusal]
    if hidden:
        yield f"{len(hidden)} tags are missing at the destination, or denied to us: {hidden[0].text}"


def _plan_changed(tag: str, source: Digest, destination: Digest, rules: OverwriteRules) -> Decision:
    changed = f"changed to {source.short}, the destination has {destination.short}"
    policy, written = policy_of(tag, rules.policies)
    is_accepted = policy != "follow" and rules.accepted.get(tag) == source
    if is_accepted:
        policy, changed = "follow", f"{changed}; accepted, although {written}"
    match policy:
        case "follow" if tag in rules.locked:
            return Locked(tag=tag, digest=source, reason=f"{changed}, where it is locked")
        case "follow":
            copy = CopyTag(tag=tag, digest=source, reason=changed, replaces=destination, accepted=is_accepted)
            return _plan_overwrite(copy, rules)
        case "keep":
            return Skipped(tag=tag, reason=f"{changed}; kept, because {written}", kept=destination, moved_to=source)
        case "fail":
            reason = f"{changed}; {written}"
            return Failed(tag=tag, reason=reason, error_class=RefusedError.error_class, moved_to=source)
        case _ as unreachable:
            assert_never(unreachable)


def _plan_overwrite(copy: CopyTag, rules: OverwriteRules) -> Decision:
    """Overwrite a tag, after a backup where there is a ``backup_tag``."""
    if rules.backup_name is None or copy.replaces is None:
        return copy
    try:
        backup = Backup(tag=rules.backup_name(copy.tag, copy.replaces), digest=copy.replaces)
    except ValueError as error:
        return _failed(copy.tag, f"{copy.reason}; not overwritten, because its backup has no valid name: {error}")
    return replace(copy, reason=f"{copy.reason}, kept as {backup.tag}", backup=backup)


def _plan_dropped(tag: str, dropped: Dropped) -> Decision:
    if dropped.kind == "skip":
        return Skipped(tag=tag, reason=dropped.reason)
    return Failed(tag=tag, reason=dropped.reason, error_class=RefusedError.error_class)


def _explain_platforms(copy: CopyTag, filtered: FilteredTags) -> CopyTag:
    source, missing = filtered.sources.get(copy.tag), filtered.missing.get(copy.tag)
    made_from = f"; platform index made from {source.short}" if source else ""
    lacks = f"; it has no {', '.join(missing)}" if missing else ""
    return replace(copy, source_digest=source, reason=f"{copy.reason}{made_from}{lacks}")


def _missing_platforms_note(missing: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    if missing:
        named = [f"{tag} ({', '.join(platforms)})" for tag, platforms in sorted(missing.items())]
        hidden = len(named) - MAX_TAGS_IN_NOTE
        more = f" and {hidden} more" if hidden > 0 else ""
        yield f"{len(named)} tags lack a chosen platform: {', '.join(named[:MAX_TAGS_IN_NOTE])}{more}"
