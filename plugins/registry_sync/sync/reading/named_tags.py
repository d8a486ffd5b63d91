"""Routes that mirror only tags in ``names``: their source need not be listed.

One tag of 10,000 would cost a hundred requests by a listing. Without it, a tag costs a HEAD at the source, and each
digest to copy costs a HEAD for each tag that its signatures may have.
"""

from __future__ import annotations

from collections.abc import Mapping

from registry_sync.config.settings import RouteSettings
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import ListedTag
from registry_sync.routes.route import Route
from registry_sync.sync.plan import TagState
from registry_sync.sync.reading.source import SourceTags

MAX_NAMED_HEADS = 20
"""Maximum number of tags that are read one by one although the source may list them. More cost less by a listing, whose
pages have a hundred tags or more."""

MAX_TAGS_IN_MESSAGE = 5


def unpinned_names(settings: RouteSettings) -> tuple[str, ...] | None:
    """The tags in ``names`` that are not pinned; ``None`` if the route needs more than these tags.

    Pruning compares all tags of both sides, and so needs a listing.
    """
    rules = settings.tags
    if not rules.is_names_only or settings.deletes_tags:
        return None
    return tuple(tag for tag, pin in rules.named.items() if pin is None)


def named_tags(route: Route, states: Mapping[str, TagState], note: str = "") -> SourceTags:
    """The tags of a source by the digest of each tag in ``names``.

    :param note: a remark for people, if there is one.
    :raises ConfigurationError: when the source has none of them, as if it had no such repository. Beside pinned tags,
        each missing one fails alone.
    """
    entries = [
        ListedTag(name=tag, digest=state if isinstance(state, Digest) else None)
        for tag, state in states.items()
        if state is not None
    ]
    if states and not entries and not route.settings.tags.has_pins:
        missing = ", ".join(sorted(states)[:MAX_TAGS_IN_MESSAGE])
        more = ", …" if len(states) > MAX_TAGS_IN_MESSAGE else ""
        raise ConfigurationError(
            f"{route.source_repository} has none of the tags in names ({missing}{more}); check the name of the "
            f"repository in the mirrors file, and the tags{f'; {note}' if note else ''}"
        )
    return SourceTags(entries=entries, artifacts=None, is_complete=True, notes=(note,) if note else ())
