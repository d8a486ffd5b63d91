"""Refuse names of JSON fields that clients read in different ways, so that all of them see the same document.

Registries, skopeo and the runtimes are written in Go, whose JSON reads ``Manifests`` as ``manifests``, takes the last
of several, and merges repeated objects: https://pkg.go.dev/encoding/json#Unmarshal. A list of images that is checked
here would not be the list that machines pull.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def reject_repeated(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, for ``object_pairs_hook``. :raises ValueError: when it has a name twice."""
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise ValueError(f"it has the field {name!r} twice")
        document[name] = value
    return document


def check_names(document: Mapping[str, Any], fields: Iterable[str]) -> None:
    """Check that no name of an object differs from one of ``fields`` in case only.

    :raises ValueError: for the first such name.
    """
    expected = {field.casefold(): field for field in fields}
    for name in document:
        field = expected.get(name.casefold(), name)
        if field != name:
            raise ValueError(f"it has a field {name!r}, which some clients read as {field!r} and others ignore")
