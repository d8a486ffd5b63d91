"""Tags that registry_sync itself writes at a destination."""

from __future__ import annotations

PLATFORM_CACHE_PREFIX = "registry_sync-platforms"
"""How the tags begin, at a destination, of what is remembered there of source digests and chosen platforms."""


def platform_cache_tag(mirror: str) -> str:
    """The tag of what one mirror remembers. Another that writes to the same repository may choose other platforms.

    >>> platform_cache_tag("quay_to_acr")
    'registry_sync-platforms.quay_to_acr'
    """
    return f"{PLATFORM_CACHE_PREFIX}.{mirror}"
