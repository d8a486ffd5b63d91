"""Choose the blobs that a check reads whole, within a budget of bytes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date

from registry_sync.oci.reference import Digest


def choose_reads(sizes: Mapping[Digest, int], budget_bytes: int, today: date) -> list[Digest]:
    """The blobs to download today, as many as fit into the budget. The order changes daily, and is not random.

    >>> a = Digest.of(b"a")
    >>> choose_reads({a: 10}, 10, date(2026, 1, 1)) == [a], choose_reads({a: 10}, 9, date(2026, 1, 1))
    (True, [])
    """
    chosen, left = [], budget_bytes
    for digest in sorted(sizes, key=lambda digest: hashlib.sha256(f"{today}{digest}".encode()).digest()):
        if sizes[digest] <= left:
            chosen.append(digest)
            left -= sizes[digest]
    return chosen
