"""The source of a route: its repositories, and its tags, split from artifact tags and selected by the rules."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from registry_sync.config.settings import RouteSettings
from registry_sync.errors import ConfigurationError, NotFound
from registry_sync.oci.artifact_tags import (
    ArtifactTag,
    reject_artifact_tags,
    subject_of,
)
from registry_sync.oci.reference import is_tag
from registry_sync.registry.client import ListedTag, RegistryClient
from registry_sync.registry.kinds import UNKNOWN_PUSH_TIME_IS_OLD
from registry_sync.routes.discovery import ListRepositories
from registry_sync.routes.route import Route
from registry_sync.sync.reading.digest_tags import judge_digest_tags
from registry_sync.sync.window import Window
from registry_sync.tags.backup_names import reject_backup_tags
from registry_sync.tags.rules import TagRules
from registry_sync.tags.select import PushTimes, Selection, select_tags
from registry_sync.tags.selection_checks import check_min_tags, selects_none, unanchored_notes
from registry_sync.text import one_line

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTags:
    """The tags of a source repository: of images, and of attached artifacts (``None``: not listed).

    ``is_complete``: nothing was left out, neither by a window nor because the source did not list it. ``notes`` are
    remarks for people.
    """

    entries: list[ListedTag]
    artifacts: tuple[ArtifactTag, ...] | None
    is_complete: bool
    notes: tuple[str, ...] = ()


def repository_lister(source: RegistryClient) -> ListRepositories:
    """A function that lists a namespace of ``source``, for :func:`~registry_sync.routes.discovery.expand_routes`."""

    def list_repositories(namespace: str, include_private: bool) -> dict[str, datetime | None]:
        listed = source.list_repositories(namespace, include_private=include_private)
        return {entry.name: entry.modified_at for entry in listed}

    return list_repositories


def list_tags(route: Route, source: RegistryClient, since: datetime | None = None) -> list[ListedTag]:
    """List the source's tags, at least those pushed since ``since``. Invalid names are made printable.

    Tags such as ``sha256-<digest>`` are marked if they have an image, and not the list of its referrers.

    :raises ConfigurationError: when the source has no such repository.
    :raises RefusedError: when there are more than ``MAX_TAGS``.
    """
    try:
        listed = source.list_tags(route.source_repository, since=since)
        tags = [entry if is_tag(entry.name) else replace(entry, name=one_line(entry.name, 200)) for entry in listed]
    except NotFound as error:
        if route.is_discovered and not source.lists_digests:
            # A catalog keeps the names of emptied repositories; a vendor's API answers 404 for what is denied, too.
            log.info("%s is listed by its namespace and has no tags (%s)", route.source_repository, error)
            return []
        advice = "check its name in the mirrors file, and that it has at least one tag"
        raise ConfigurationError(
            f"the source has no repository {route.source_repository}; {advice} ({error})"
        ) from error
    return judge_digest_tags(route, source, tags)


def split_artifact_tags(
    listed: Iterable[ListedTag], settings: RouteSettings
) -> tuple[list[ListedTag], tuple[ArtifactTag, ...]]:
    """Separate the tags of images from the tags of attached artifacts, which no rule selects or counts.

    A tag in ``names`` is an image's, whatever its form.
    """
    entries = list(listed)
    names = {entry.name for entry in entries if _is_artifact(entry)} if settings.signatures else set()
    names -= settings.tags.named.keys()
    images = [entry for entry in entries if entry.name not in names]
    return images, tuple(artifact_tag(entry) for entry in entries if entry.name in names)


def _is_artifact(entry: ListedTag) -> bool:
    return subject_of(entry.name) is not None and not entry.has_image


def artifact_tag(entry: ListedTag) -> ArtifactTag:
    """A listed tag as the tag of an attached artifact."""
    pushed_at = None if entry.is_image_time else entry.pushed_at
    return ArtifactTag(name=entry.name, digest=entry.digest, pushed_at=pushed_at)


def choose_tags(
    route: Route, listed: Sequence[ListedTag], *, now: datetime, has_push_times: bool, is_complete: bool = True
) -> Selection:
    """Apply the tag rules. Backup and signature tags are excluded first, unless ``names`` lists them."""
    rules = route.settings.tags
    unnamed = [entry.name for entry in listed if entry.name not in rules.named]
    excluded = reject_backup_tags(unnamed, route.settings.backup_tag)
    named_after_digests = {entry.name for entry in listed if entry.has_image}
    others = [name for name in unnamed if name not in named_after_digests]
    excluded |= reject_artifact_tags(others, signatures=route.settings.signatures)
    images = [entry for entry in listed if entry.name not in excluded]
    push_times = PushTimes(are_listed=has_push_times, unknown_is_old=route.source.api_kind in UNKNOWN_PUSH_TIME_IS_OLD)
    chosen = select_tags(images, rules, now=now, is_whole=is_complete, push_times=push_times)
    return replace(chosen, rejected={**chosen.rejected, **excluded})


def check_selection(route: Route, chosen: Selection, listed: Sequence[str]) -> Selection:
    """Check the rules' selection of a complete listing, and add notes and a warning to it.

    :raises ConfigurationError: when a rule selects no tag of a repository that is written by its name.
    :raises RefusedError: when a rule selects fewer tags than its ``min_tags``.
    """
    rules, where = route.settings.tags, route.source_repository
    check_min_tags(chosen, rules, where)
    hints = unanchored_notes(rules, listed)
    problem = selects_none(chosen, rules, where) or _only_backups(route, chosen, listed)
    if problem and not route.is_discovered:
        raise ConfigurationError("; ".join([problem, *hints]))
    return replace(chosen, notes=(*chosen.notes, *hints), warning=problem)


def _only_backups(route: Route, chosen: Selection, listed: Sequence[str]) -> str:
    """The message for a source whose tags all look like backups by ``backup_tag``; empty when there are others."""
    template, rules = route.settings.backup_tag, route.settings.tags.rules
    if template is None or chosen.judged or not reject_backup_tags(listed, template):
        return ""
    if all(rule.min_tags == 0 for rule in rules):
        return ""
    return (
        f"all {len(listed)} tags of {route.source_repository} are left out, such as {min(listed)!r}, because they have "
        f"the form of backup_tag {template.text!r}; add a distinctive word to it, such as -was-, or write min_tags: 0 "
        "if that is right"
    )


def is_in_window(entry: ListedTag, rules: TagRules, window: Window) -> bool:
    """Return whether a tag came to be selected in the window.

    Tags in ``names`` enter the window when they are pushed; ``older_than`` does not apply to them.
    """
    times = rules.entry_times(entry.name, entry.pushed_at)
    return any(window.holds(time, is_image_time=entry.is_image_time) for time in times)


def hide_image_times(entries: Iterable[ListedTag], since: datetime | None) -> list[ListedTag]:
    """The tags without times of images before ``since``: a tag may have moved to an old image after it."""
    return [
        replace(entry, pushed_at=None)
        if since and entry.is_image_time and entry.pushed_at and entry.pushed_at < since
        else entry
        for entry in entries
    ]


def explain_artifact_tags(selection: Selection, artifacts: Iterable[ArtifactTag]) -> Selection:
    """Add the tags of attached artifacts to the rejected ones, for people who search for one."""
    subjects = {tag.name: subject for tag in artifacts if (subject := subject_of(tag.name))}
    reasons = {
        name: f"not counted by any rule; copied together with {subject.short}" for name, subject in subjects.items()
    }
    return replace(selection, rejected={**selection.rejected, **reasons})
