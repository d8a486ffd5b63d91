"""Events of your own CI: ``{"repository": "team/app", "tags": ["v1"]}``. Without ``tags``, all tags are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.push import is_repository_name
from registry_sync.events.reported import Ignored, Reported, listing, reported, text
from registry_sync.oci.reference import is_tag
from registry_sync.text import one_line

EXAMPLE = 'write {"repository": "team/app", "tags": ["v1"]}'

_KEYS = frozenset({"repository", "tags", "tag"})

_MEANT = _KEYS | {"repo", "repos", "repositories", "repository_name", "image", "images"}
"""Keys that people write in such a body."""

_OF_QUAY = frozenset({"updated_tags", "docker_url", "homepage", "namespace", "build_id"})
"""Keys of Quay's bodies, the only flat ones of a registry. Three refusals in a row turn its notification off."""

_SHOWN = 100
"""Characters of a name that a response repeats."""


def is_generic(document: Mapping[str, Any]) -> bool:
    """Return whether a body has this form and no other key."""
    return isinstance(document.get("repository"), str) and document.keys() <= _KEYS


def is_meant(document: Mapping[str, Any]) -> bool:
    """Return whether a body is more likely a mistake in this form than a registry's own form, which has objects.

    >>> is_meant({"repo": "team/app", "tags": ["v1"]}), is_meant({"repository": {"name": "app"}, "action": "deleted"})
    (True, False)
    """
    others = [value for key, value in document.items() if key not in ("tags", "tag")]
    is_flat = not any(isinstance(value, dict) for whole in others for value in [whole, *listing(whole)])
    return is_flat and bool(document.keys() & _MEANT) and not document.keys() & _OF_QUAY


def find_mistake(document: Mapping[str, Any], host: str) -> str:
    """The first mistake in a body of this form, and what to write; empty when there is none.

    :param host: of the registry, which people write in front of the name.
    """
    if unknown := sorted(document.keys() - _KEYS):
        return f"the key {_shown(unknown[0])} is not known; {EXAMPLE}"
    return _mistake_in_name(document.get("repository"), host) or _mistake_in_tags(document)


def _mistake_in_name(name: object, host: str) -> str:
    if not isinstance(name, str):
        return f"repository is not a text; {EXAMPLE}"
    if is_repository_name(name) and not name.startswith(f"{host}/"):
        return ""
    bare, _, rest = name.removeprefix("https://").removeprefix(f"{host}/").replace("@", ":").partition(":")
    problem = f"{_shown(name)} is not the name of a repository, without the registry, tag and digest"
    if not is_repository_name(bare):
        return f"{problem}; {EXAMPLE}"
    return f"{problem}; write {_shown(bare)}{', and the tag in tags' if rest else ''}"


def _mistake_in_tags(document: Mapping[str, Any]) -> str:
    if "tag" in document and "tags" in document:
        return f"it has both tag and tags; {EXAMPLE}"
    if "tag" in document:
        return _mistake_in_tag(document["tag"])
    tags = document.get("tags", ["all"])
    if not isinstance(tags, list):
        return f"tags is not a list; {EXAMPLE}"
    if not tags:
        return "tags is empty; name the tags, or leave the key out to have all tags looked at"
    return next(filter(None, map(_mistake_in_tag, tags)), "")


def _mistake_in_tag(tag: object) -> str:
    if isinstance(tag, str) and is_tag(tag):
        return ""
    return f"{_shown(tag) if isinstance(tag, str) else 'one that is not a text'} is not a tag; {EXAMPLE}"


def _shown(value: str) -> str:
    return repr(one_line(value, _SHOWN))


def read(document: Mapping[str, Any]) -> Reported:
    """The push of a body."""
    if not text(document.get("repository")):
        return Ignored(reason="it has no repository")
    tags = document.get("tags", [document["tag"]] if "tag" in document else None)
    return reported([document["repository"]], tags)
