"""Fields of the rows that Amazon ECR's API lists."""

from __future__ import annotations

from registry_sync.errors import TemporaryError
from registry_sync.registry.vendors.ecr.api import Row


def text_of(row: Row, key: str) -> str:
    """:raises TemporaryError: when a row of a listing has no such text."""
    text = row.get(key)
    if not isinstance(text, str):
        raise TemporaryError(f"ECR returned an item without {key}, only {sorted(row)[:10]}")
    return text
