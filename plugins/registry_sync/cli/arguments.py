"""Arguments that several commands have, and exit codes."""

from __future__ import annotations

from collections.abc import Sequence

from registry_sync.config.model import Mirror, MirrorsFile
from registry_sync.errors import ConfigurationError

OK, FAILED, UNUSABLE = 0, 1, 2
"""Exit codes: done; something failed or would fail; the mirrors file or an argument cannot be used."""


def named_mirror(file: MirrorsFile, name: str) -> Mirror:
    """The mirror of a file by its name. :raises ConfigurationError: when the file has no such mirror."""
    if name not in file.mirrors:
        known = f"its mirrors are {', '.join(file.mirrors)}" if file.mirrors else "it has no mirrors at all"
        raise ConfigurationError(f"{file.path} has no mirror {name!r}; {known}")
    return file.mirrors[name]


def chosen_destinations(mirror: Mirror, chosen: Sequence[str]) -> Sequence[str]:
    """The chosen destinations, or all of them. :raises ConfigurationError: when the mirror does not have one."""
    if unknown := [name for name in chosen if name not in mirror.destinations]:
        raise ConfigurationError(f"{mirror.name!r} has no destination {unknown}; it has {list(mirror.destinations)}")
    return chosen or mirror.destinations
