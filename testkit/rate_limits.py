"""Rate limits that earlier parts of a test have met."""

from __future__ import annotations

from registry_sync.worker.shared_directory import shared_directory


def forget_rate_limits() -> None:
    """Forget every pause, every pace, and the pulls that are left to this worker."""
    directory = shared_directory()
    for pattern in ("rate-*", "pulls-*"):
        for file in directory.glob(pattern) if directory else ():
            file.unlink(missing_ok=True)
