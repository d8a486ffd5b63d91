"""A push that a registry reports. It is a hint about what to compare, so it has names and no digest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import is_tag, parse_repository_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Tags that were pushed to a repository.

    :ivar repository: its name at the registry, without the host; of the OCI grammar.
    :ivar tags: sorted and unique, of the OCI grammar; ``None`` where the sender does not name them.
    """

    repository: str
    tags: tuple[str, ...] | None

    @classmethod
    def of(cls, repository: object, tags: object) -> Push | None:
        """The push with the valid names of a body or a document; ``None`` when it has none.

        :param tags: a list, or ``None`` where the sender does not name them.

        >>> Push.of("team/app", ["v1", "sha256:0a", 7])
        Push(repository='team/app', tags=('v1',))
        >>> Push.of("Team/App", ["v1"]), Push.of("team/app", [])
        (None, None)
        """
        if not isinstance(repository, str) or not is_repository_name(repository):
            return None
        if tags is None:
            return cls(repository=repository, tags=None)
        named = {tag for tag in tags if isinstance(tag, str) and is_tag(tag)} if isinstance(tags, list) else set()
        return cls(repository=repository, tags=tuple(sorted(named))) if named else None


def is_repository_name(text: str) -> bool:
    """Return whether ``text`` is a repository name of the OCI grammar, without registry, tag and digest."""
    try:
        return bool(parse_repository_name(text))
    except ConfigurationError:
        return False


def merge_pushes(pushes: Iterable[Push]) -> tuple[Push, ...]:
    """The pushes with one for each repository, in the order of their first appearance.

    >>> one, two = Push(repository="a/b", tags=("v2",)), Push(repository="a/b", tags=("v1",))
    >>> merge_pushes([one, two]), merge_pushes([one, Push(repository="a/b", tags=None)])
    ((Push(repository='a/b', tags=('v1', 'v2')),), (Push(repository='a/b', tags=None),))
    """
    merged: dict[str, set[str] | None] = {}
    for push in pushes:
        known = merged.setdefault(push.repository, set())
        merged[push.repository] = None if known is None or push.tags is None else known | set(push.tags)
    return tuple(
        Push(repository=name, tags=None if tags is None else tuple(sorted(tags))) for name, tags in merged.items()
    )
