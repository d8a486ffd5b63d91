"""Tags that registry_sync writes at a destination for itself."""

from __future__ import annotations

PLATFORM_CACHE_PREFIX = "registry_sync-platforms"
"""Prefix of the tags of platform caches at a destination. A cache maps source digests to the indexes made from them."""

RESERVED_TAG_REASON = "a platform cache of registry_sync, not an image"
"""The reason for which a reserved tag is not mirrored."""


def is_reserved_tag(tag: str) -> bool:
    """Return whether a tag may be one that registry_sync writes for itself."""
    return tag.startswith(PLATFORM_CACHE_PREFIX)


def platform_cache_tag(mirror: str) -> str:
    """The tag of one mirror's platform cache. Mirrors of the same repository may select different platforms.

    >>> platform_cache_tag("quay_to_acr")
    'registry_sync-platforms.quay_to_acr'
    """
    return f"{PLATFORM_CACHE_PREFIX}.{mirror}"
