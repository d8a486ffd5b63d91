"""The decision per tag: what a run does, and why. Pure: two states in, a plan out; no client and no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from registry_sync.mirrors import MovedTagPolicy
from registry_sync.reference import Digest
from registry_sync.tags import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A tag that the registry lists and whose manifest it does not tell: the class and text of its error."""

    error_class: str
    text: str


TagState = Digest | Unreadable | None
"""What a tag names at one side; ``None`` when it is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTag:
    """Copy the manifest ``digest`` and all that it names, and publish it as ``tag``.

    ``replaces`` is what the destination's tag names, as far as the plan knows.
    """

    tag: str
    digest: Digest
    reason: str
    replaces: Digest | None = None


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


Decision = CopyTag | Unchanged | Skipped | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One decision per tag that the source lists, in the order of their names.

    ``outside`` is the number of tags that were read and left out, since they were not pushed in the run's window.
    """

    decisions: tuple[Decision, ...]
    outside: int = 0

    @property
    def copies(self) -> tuple[CopyTag, ...]:
        return tuple(each for each in self.decisions if isinstance(each, CopyTag))

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
    on_moved_tag: MovedTagPolicy,
) -> Plan:
    """Decide for every listed tag.

    :param source: what each selected tag names at the source.
    :param destination: what each selected tag names at the destination; a tag that is not a key is not there.
    """
    decisions: list[Decision] = [Skipped(tag=tag, reason=reason) for tag, reason in selection.rejected.items()]
    decisions += [plan_tag(tag, source.get(tag), destination.get(tag), on_moved_tag) for tag in selection.selected]
    return Plan(decisions=tuple(sorted(decisions, key=lambda each: each.tag)))


def plan_tag(tag: str, source: TagState, destination: TagState, on_moved_tag: MovedTagPolicy) -> Decision:
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
            return _plan_moved(tag, source, destination, on_moved_tag)
    raise AssertionError((source, destination))


def _unreadable(tag: str, side: str, state: Unreadable) -> Failed:
    reason = f"the {side} does not tell what it names: {state.text}"
    return Failed(tag=tag, reason=reason, error_class=state.error_class)


def _plan_moved(tag: str, here: Digest, there: Digest, on_moved_tag: MovedTagPolicy) -> Decision:
    moved = f"moved: {here.short} at the source, {there.short} at the destination"
    match on_moved_tag:
        case "follow":
            return CopyTag(tag=tag, digest=here, reason=moved, replaces=there)
        case "keep":
            return Skipped(tag=tag, reason=f"{moved}; kept, since on_moved_tag is keep")
        case "fail":
            return Failed(tag=tag, reason=f"{moved}; on_moved_tag is fail", error_class="refused")
