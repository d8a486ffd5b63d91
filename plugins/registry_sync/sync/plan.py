"""The decision per tag: what a run does, and why. Pure: two states in, a plan out; no client and no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from registry_sync.oci.artifact_tags import ArtifactTag
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.platforms import PlatformIndex
from registry_sync.oci.reference import Digest
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.tags.overwrite_policy import OVERWRITE_ALL, OverwriteRules, policy_of
from registry_sync.tags.select import Selection, SelectionStep, steps_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A tag that the registry lists and whose manifest it does not tell: the class and text of its error."""

    error_class: str
    text: str


TagState = Digest | Unreadable | None
"""What a tag names at one side; ``None`` when it is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a tag names at the destination before it is overwritten, and the tag that keeps it."""

    tag: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTag:
    """Copy the manifest ``digest`` and all that it names, and publish it as ``tag``, once there is its ``backup``.

    ``replaces`` is what the destination's tag names, as far as the plan knows. ``source_digest`` is what the tag names
    at the source, where ``digest`` is of an index that is made of that.
    """

    tag: str
    digest: Digest
    reason: str
    replaces: Digest | None = None
    backup: Backup | None = None
    source_digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The destination's tag names the same digest."""

    tag: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """The tag is left alone by a rule, or because there is nothing to copy."""

    tag: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The tag can not, or by its policy must not, be brought into step."""

    tag: str
    reason: str
    error_class: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """The tag names another digest at the destination, which lists it as one that must not be overwritten."""

    tag: str
    digest: Digest
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTag:
    """Delete the destination's tag, which names ``digest``: now if it ``is_due``, otherwise only say so."""

    tag: str
    digest: Digest
    reason: str
    is_due: bool = False


Decision = CopyTag | Unchanged | Skipped | Failed | Locked | DeleteTag


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One decision per tag that the source lists or that is to be deleted, in the order of their names.

    ``outside`` is the number of tags that were read and left out, since they were not pushed in the run's window.
    ``pruning`` is for the next run, if this one looked for tags to delete; ``notes`` are for people.
    ``attrition`` is how many tags each rule left.
    ``subsets`` are the indexes to make before they can be copied, by their digest, and ``memory`` is to be written so
    that the next run knows them. ``about`` are tags of signatures and the like, which follow the images that they are
    about; ``is_whole`` says that these are all that the source has.
    """

    decisions: tuple[Decision, ...]
    outside: int = 0
    attrition: tuple[SelectionStep, ...] = ()
    pruning: PlannedDeletions | None = None
    notes: tuple[str, ...] = ()
    subsets: Mapping[Digest, PlatformIndex] = field(default_factory=dict)
    memory: Manifest | None = None
    about: tuple[ArtifactTag, ...] = ()
    is_whole: bool = True

    @property
    def shown_attrition(self) -> str:
        """How many tags each rule left, such as ``listed 412 → include 98 → semver 40 → newest 20``."""
        return steps_text(self.attrition)

    @property
    def copies(self) -> tuple[CopyTag, ...]:
        return tuple(each for each in self.decisions if isinstance(each, CopyTag))

    def without(self, tags: Iterable[str]) -> Plan:
        """The plan with no decision about these tags."""
        left_out = set(tags)
        return replace(self, decisions=tuple(each for each in self.decisions if each.tag not in left_out))

    @property
    def deletions(self) -> tuple[DeleteTag, ...]:
        return tuple(each for each in self.decisions if isinstance(each, DeleteTag))

    @property
    def by_digest(self) -> Mapping[Digest, tuple[CopyTag, ...]]:
        """The copies by what they copy: tags of one digest cost one copy."""
        groups: dict[Digest, list[CopyTag]] = {}
        for each in self.copies:
            groups.setdefault(each.digest, []).append(each)
        return {digest: tuple(group) for digest, group in groups.items()}


def plan_route(
    selection: Selection,
    source: Mapping[str, TagState],
    destination: Mapping[str, TagState],
    overwriting: OverwriteRules = OVERWRITE_ALL,
) -> Plan:
    """Decide for every listed tag.

    :param source: what each selected tag names at the source.
    :param destination: what each selected tag names at the destination; a tag that is not a key is not there.
    :param overwriting: what is done where these are two digests.
    """
    decisions: list[Decision] = [Skipped(tag=tag, reason=reason) for tag, reason in selection.rejected.items()]
    decisions += [
        Failed(tag=tag, reason=reason, error_class="configuration") for tag, reason in selection.failed.items()
    ]
    decisions += [plan_tag(tag, source.get(tag), destination.get(tag), overwriting) for tag in selection.selected]
    return Plan(decisions=tuple(sorted(decisions, key=lambda each: each.tag)))


def plan_tag(
    tag: str, source: TagState, destination: TagState, overwriting: OverwriteRules = OVERWRITE_ALL
) -> Decision:
    """Decide for one tag that the rules select."""
    match source, destination:
        case None, _:
            return Skipped(tag=tag, reason="the source lists it but has no manifest for it (deleted meanwhile?)")
        case Unreadable(), _:
            return _unreadable(tag, "source", source)
        case _, Unreadable():
            return _unreadable(tag, "destination", destination)
        case Digest(), None:
            return CopyTag(tag=tag, digest=source, reason="missing at the destination")
        case Digest(), Digest() if source == destination:
            return Unchanged(tag=tag, digest=source)
        case Digest(), Digest():
            return _plan_moved(tag, source, destination, overwriting)
    raise AssertionError((source, destination))


def _unreadable(tag: str, side: str, state: Unreadable) -> Failed:
    reason = f"the {side} does not tell what it names: {state.text}"
    return Failed(tag=tag, reason=reason, error_class=state.error_class)


def _plan_moved(tag: str, here: Digest, there: Digest, overwriting: OverwriteRules) -> Decision:
    moved = f"moved: {here.short} at the source, {there.short} at the destination"
    policy, written = policy_of(tag, overwriting.policies)
    match policy:
        case "follow" if tag in overwriting.locked:
            return Locked(tag=tag, digest=here, reason=f"{moved}, where it is locked")
        case "follow":
            return _plan_overwrite(tag, here, there, moved, overwriting)
        case "keep":
            return Skipped(tag=tag, reason=f"{moved}; kept, since {written}")
        case "fail":
            return Failed(tag=tag, reason=f"{moved}; {written}", error_class="refused")


def _plan_overwrite(tag: str, here: Digest, there: Digest, moved: str, overwriting: OverwriteRules) -> Decision:
    """Overwrite a tag, after a backup where that is asked for."""
    if overwriting.backup_name is None:
        return CopyTag(tag=tag, digest=here, reason=moved, replaces=there)
    try:
        backup = Backup(tag=overwriting.backup_name(tag, there), digest=there)
    except ValueError as error:
        reason = f"{moved}; not overwritten, since it has no backup: {error}"
        return Failed(tag=tag, reason=reason, error_class="configuration")
    reason = f"{moved}, which is kept as {backup.tag}"
    return CopyTag(tag=tag, digest=here, reason=reason, replaces=there, backup=backup)


def add_deletions(plan: Plan, deletions: tuple[DeleteTag, ...]) -> Plan:
    """The plan in which tags of the destination are deleted as well; one that was skipped is deleted instead."""
    others = plan.without(each.tag for each in deletions).decisions
    return replace(plan, decisions=tuple(sorted((*others, *deletions), key=lambda each: each.tag)))
