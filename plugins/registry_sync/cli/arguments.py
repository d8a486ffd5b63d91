"""Exit codes, and arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from registry_sync.errors import ConfigurationError

if TYPE_CHECKING:  # the help and exit codes need no mirrors file
    from registry_sync.config.document import MirrorsFile
    from registry_sync.config.mirror import Mirror

OK, FAILED, UNUSABLE, UNANSWERED = 0, 1, 2, 3
"""Exit codes: success; something failed, would fail or is missing; the mirrors file or an argument is not valid; a
registry, a secrets backend or Airflow's database did not respond, so that nothing is known."""

WIDTH = 118
"""Characters of a line of text, so that terminals of 120 do not break it."""


def cut_name(name: str, length: int) -> str:
    """A name with its middle replaced when it is longer than ``length``.

    >>> cut_name("giantswarm/hyperkube", 11)
    'giant…rkube'
    """
    half = (length - 1) // 2
    return name if len(name) <= length else f"{name[: length - 1 - half]}…{name[-half:]}"


def named_mirror(file: MirrorsFile, name: str) -> Mirror:
    """Return the mirror with this name. :raises ConfigurationError: when the file has no such mirror."""
    if name not in file.mirrors:
        names = f"its mirrors are {', '.join(file.mirrors)}" if file.mirrors else "it defines no mirrors"
        raise ConfigurationError(f"{file.path} has no mirror {name!r}; {names}")
    return file.mirrors[name]


def chosen_destinations(mirror: Mirror, chosen: Sequence[str]) -> Sequence[str]:
    """Return the chosen destinations, by default all. :raises ConfigurationError: for one that the mirror lacks."""
    if unknown := [name for name in chosen if name not in mirror.destinations]:
        names = ", ".join(mirror.destinations)
        raise ConfigurationError(f"mirror {mirror.name!r} has no destination {unknown}; its destinations are {names}")
    return chosen or mirror.destinations


def positive_seconds(text: str) -> float:
    """A number of seconds above 0. :raises argparse.ArgumentTypeError: for another one, and for infinity."""
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return seconds
