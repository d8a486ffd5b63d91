"""State values as JSON, and reading JSON that anybody with rights on Airflow's assets may have written."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from registry_sync.state.packed_tags import pack_tags, unpack_tags
from registry_sync.state.route import TagTable

Value = TypeVar("Value")


class StateError(ValueError):
    """A stored document is not a state of this version. It is treated as unknown, never as in sync."""


def as_document(value: Any) -> dict[str, Any]:
    """A state value as JSON-simple data. Fields at their defaults are omitted, and tags of routes are packed."""
    if isinstance(value, TagTable):
        return pack_tags(value)
    document: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json", exclude_defaults=True)
    return document


def read_document(kind: type[Value], document: Any) -> Value:
    """Read the result of :func:`as_document`.

    :raises StateError: for anything else, such as times without a zone.
    """
    try:
        value: Value = _adapter(kind).validate_python(unpack_tags(document) if kind is TagTable else document)
    except ValidationError as error:
        raise StateError(f"the stored {kind.__name__} cannot be read: {error.errors()[0]['msg']}") from None
    except ValueError as error:
        raise StateError(f"the stored {kind.__name__} cannot be read: {error}") from None
    return value


def prepare(kind: type[Any]) -> None:
    """Build what reads and writes a type now, and not at its first use."""
    _adapter(kind)


def size_of(document: Any) -> int:
    """The bytes of a document as Airflow stores and measures it."""
    return len(json.dumps(document))


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """The adapter of a type, cached because making one takes milliseconds."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
