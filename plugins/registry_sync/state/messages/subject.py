"""The subjects of messages: a mirror, the mirrors file, a pool of nodes."""

from __future__ import annotations

from dataclasses import dataclass

from registry_sync.state.names import FILE_KEY, pool_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The subject of messages.

    :ivar key: the key under which the last messages about it are stored.
    :ivar name: its name in sentences.
    :ivar mirror: the name of the mirror, if it is one.
    """

    key: str
    name: str
    mirror: str = ""

    @classmethod
    def of_mirror(cls, name: str) -> Subject:
        """A mirror."""
        return cls(key=name, name=f"mirror {name}", mirror=name)

    @classmethod
    def of_pool(cls, name: str) -> Subject:
        """A pool of nodes."""
        return cls(key=pool_key(name), name=f"node pool {name}")


MIRRORS_FILE = Subject(key=FILE_KEY, name="the mirrors file")
