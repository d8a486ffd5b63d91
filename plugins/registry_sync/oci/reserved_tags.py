"""Tags that registry_sync itself writes at a destination."""

from __future__ import annotations

MEMORY_PREFIX = "registry_sync-platforms"
"""How the tags begin, at a destination, of what is remembered there of source digests and chosen platforms."""


def memory_tag(mirror: str) -> str:
    """The tag of what one mirror remembers. Another that writes to the same repository may choose other platforms.

    >>> memory_tag("quay_to_acr")
    'registry_sync-platforms.quay_to_acr'
    """
    return f"{MEMORY_PREFIX}.{mirror}"
