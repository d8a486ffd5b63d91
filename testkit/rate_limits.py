"""Rate limits that earlier parts of a test have met."""

from __future__ import annotations

from registry_sync.worker.shared_directory import shared_directory


def forget_rate_limits() -> None:
    """Forget every pause and pace of this worker."""
    directory = shared_directory()
    for file in directory.glob("rate-*") if directory else ():
        file.unlink(missing_ok=True)
