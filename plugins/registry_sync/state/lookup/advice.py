"""Advice about a failing tag or route, by the class of its error."""

from __future__ import annotations

from collections.abc import Mapping

ADVICE: Mapping[str, str] = {
    "not_found": "Check that the repository or tag still exists at the source, and that the account may see it.",
    "temporary": "The next run tries again. If it goes on, look at the registry's status page and the proxy before it.",
    "rate_limited": "The next run continues. Use a Connection with a higher limit, or fewer requests_per_second.",
    "referrers_unavailable": "The image is mirrored; its signatures may be missing. Look at the source registry.",
    "denied": "Give the account of the registry's Connection the right that the reason names; test it with `check`.",
    "refused": "The registry does not accept this content: look at its quota, policies and supported types.",
    "locked": "Unlock the tag at the destination, or keep it with on_moved_tag.",
    "damaged": "Run the mirror with a deep check: it sends again what the destination lost.",
    "configuration": "Correct the mirrors file, the Connection or the worker as the reason says; then clear the task.",
    "unreported": "Look at the log of the task: it was killed, timed out, or its worker was lost.",
}
"""Advice by :attr:`~registry_sync.errors.RegistrySyncError.error_class`, and for tasks that ended without a report."""

OTHER = "Look at the log of the task."


def advice(error_class: str) -> str:
    """The advice for a class of errors."""
    return ADVICE.get(error_class, OTHER)
