"""Decide if two routes may write one repository: only if the file alone shows that they have no tag in common."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.oci.artifact_tags import is_artifact_tag
from registry_sync.routes.route import Route


def sharing_problem(first: Route, second: Route) -> str:
    """The reason that routes from two sources must not write one repository, with the remedy; empty when they may.

    Each must list its tags, and no tag of one may be a tag that the other writes. Lists of referrers are merged where
    they are written, and platform caches have the name of their mirror.
    """
    return next(_problems(first, second), "")


def _problems(first: Route, second: Route) -> Iterator[str]:
    if not (first.settings.tags.is_all_by_name and second.settings.tags.is_all_by_name):
        yield "rename one, or list the tags of both in names: without a common one"
    if common := _common_tag(first, second):
        yield f"rename one, or take {common!r} out of the tags of one"
    for one, other in ((first, second), (second, first)):
        if tag := _backup_among(one, other):
            yield f"rename one, or remove {tag!r}, which has the form of a backup_tag of the other"
    if tag := next(filter(is_artifact_tag, _tags(first, second)), ""):
        yield f"rename one, or remove {tag!r}, which has the form of a signature"
    if first.mirror == second.mirror and first.settings.platforms and second.settings.platforms:
        yield "rename one, or move one to a mirror of its own, because platforms: keeps a cache for each mirror"


def _tags(*routes: Route) -> Iterator[str]:
    return (tag for route in routes for tag in route.settings.tags.by_name)


def _common_tag(first: Route, second: Route) -> str:
    """A tag of both routes. Some registries fold the case of tags, so case does not count."""
    folded = {tag.lower() for tag in _tags(first)}
    return next((tag for tag in _tags(second) if tag.lower() in folded), "")


def _backup_among(one: Route, other: Route) -> str:
    """A tag of ``other`` that may be a backup which ``one`` makes."""
    template = one.settings.backup_tag
    return next(filter(template.is_backup, _tags(other)), "") if template else ""
