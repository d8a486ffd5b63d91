"""The type of the times in states."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import AwareDatetime

UtcTime: TypeAlias = AwareDatetime
"""An aware time, in UTC where this package writes it. A stored time without a zone is a ``StateError``."""
