"""The page of a long table that a caller asks for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

ROWS = 100
"""Rows on one page."""

Offset = Annotated[int, Query(ge=0, le=10_000_000)]
"""Rows before the first of the page."""
