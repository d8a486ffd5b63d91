"""The types of times and durations in states. Stored ones outside of them are a ``StateError``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import AwareDatetime, Field

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""Times of other zones beyond them cannot be converted to UTC. Registries do list the first one, Go's zero time."""

_LONGEST = 100 * 366 * 86_400

UtcTime: TypeAlias = Annotated[AwareDatetime, Field(ge=_FIRST, le=_LAST)]
"""An aware time, in UTC where this package writes it."""

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=_LONGEST, allow_inf_nan=False)]
"""A duration. JSON of Python may hold ``NaN`` and ``Infinity``, which no page and no answer can show."""
