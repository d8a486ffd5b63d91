"""Recognize the configuration files of other mirroring tools by their content."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

Tool = Literal["regsync", "skopeo", "image-syncer", "dregsy", "crsync", "retagger", "promoter"]

_IMAGE = re.compile(r"[\w.-]+(?::\d+)?(?:/[\w.-]+)*(?:[:@].*)?", re.ASCII)


def recognize(value: Any) -> Tool | None:
    """The tool that a parsed file belongs to; ``None`` for mirrors files and files of other kinds.

    >>> recognize({"sync": ({"source": "busybox", "target": "registry.example/busybox"},)})
    'regsync'
    """
    if isinstance(value, Mapping) and "mirrors" in value:
        return None
    return next((tool for tool, is_file_of in _FORMS.items() if is_file_of(value)), None)


def recognize_text(text: str) -> Tool | None:
    """The tool that a command line belongs to: crsync has no configuration file. ``None`` for other texts.

    >>> recognize_text("crsync sync --src-name=quay.io --dst-name=docker.io")
    'crsync'
    """
    return "crsync" if re.search(r"--(?:dst|src)-name\b", text) and not _SECTION.search(text) else None


_SECTION = re.compile(r"""^\{?["']?(?:registries|mirrors|nodes|defaults)["']?\s*:""", re.MULTILINE)
"""A section of a mirrors file, whose comments and descriptions may quote any command."""


def foreign_file(tool: Tool, name: str) -> str:
    """The message for a file of another tool where a mirrors file belongs."""
    article = "an" if tool[0] in "aeiou" else "a"
    return f"this is {article} {tool} file; registry-sync import {name} turns it into a mirrors file"


def _is_regsync(value: Any) -> bool:
    return isinstance(value, Mapping) and _has_all(value.get("sync"), {"source", "target"})


def _is_dregsy(value: Any) -> bool:
    return isinstance(value, Mapping) and _has_all(value.get("tasks"), {"source", "target"})


_SKOPEO_KEYS = frozenset({"images", "images-by-tag-regex", "images-by-semver"})


def _is_skopeo(value: Any) -> bool:
    is_full = isinstance(value, Mapping) and bool(value)
    return is_full and all(isinstance(entry, Mapping) and _SKOPEO_KEYS & entry.keys() for entry in value.values())


def _is_promoter(value: Any) -> bool:
    """Return whether a file has the registries of a manifest, its images, or both."""
    if isinstance(value, Mapping):
        return _has_all(value.get("registries"), {"name"}) or _has_all(value.get("images"), {"name", "dmap"})
    return _has_all(value, {"name", "dmap"})


def _is_retagger(value: Any) -> bool:
    return _has_all(value, {"image"})


def _is_image_syncer(value: Any) -> bool:
    """Return whether a file has rules, logins, or both under ``auth`` and ``images``."""
    if not isinstance(value, Mapping) or not value:
        return False
    if value.keys() <= {"auth", "images"}:
        return all(isinstance(entry, Mapping) for entry in value.values())
    return _is_rules(value) or _is_logins(value)


def _is_rules(value: Mapping[str, Any]) -> bool:
    """Return whether each key is an image's name, and each value another or a list of them."""
    texts = [text for names in value.values() for text in (names if isinstance(names, tuple) else (names,))]
    names = [*value, *texts]
    return all(isinstance(name, str) and _IMAGE.fullmatch(name) for name in names) and any(
        "/" in name for name in names
    )


_LOGIN_KEYS = frozenset({"username", "password", "insecure"})


def _is_logins(value: Mapping[str, Any]) -> bool:
    return all(isinstance(login, Mapping) and login and login.keys() <= _LOGIN_KEYS for login in value.values())


def _has_all(value: Any, keys: set[str]) -> bool:
    """Return whether a value is a list of mappings, of which one has all these keys."""
    is_list = isinstance(value, tuple) and all(isinstance(entry, Mapping) for entry in value)
    return is_list and any(keys <= entry.keys() for entry in value)


_FORMS: Mapping[Tool, Callable[[Any], bool]] = {
    "regsync": _is_regsync,
    "dregsy": _is_dregsy,
    "promoter": _is_promoter,
    "retagger": _is_retagger,
    "skopeo": _is_skopeo,
    "image-syncer": _is_image_syncer,
}
