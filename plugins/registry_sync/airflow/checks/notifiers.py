"""Checks of notifiers: their classes, arguments and Connections. No message is sent."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.airflow.messages.notifications import notifier_fault
from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.config.notify import Notifier
from registry_sync.errors import RegistrySyncError


def check_notifiers(file: MirrorsFile) -> Iterator[Finding]:
    """Check each notifier once: its class can be imported, accepts the arguments, and its Connection exists."""
    notifiers: list[tuple[Notifier, dict[str, list[str]]]] = []
    for kind, entries in (("mirrors", file.mirrors), ("nodes", file.node_pools)):
        for entry in entries.values():
            for notifier in entry.notify:
                known = next((users for other, users in notifiers if other == notifier), None)
                if known is None:
                    known = {}
                    notifiers.append((notifier, known))
                known.setdefault(kind, []).append(entry.name)
    for notifier, users in notifiers:
        yield _check(notifier, "; ".join(f"{kind} {', '.join(names)}" for kind, names in users.items()))


def _check(notifier: Notifier, check: str) -> Finding:
    subject = f"notifier {notifier.name}"
    try:
        fault = notifier_fault(notifier)
    except RegistrySyncError as error:
        return Finding.of_error(subject, check, error)
    if fault:
        return Finding(subject=subject, check=check, verdict="missing", text=fault)
    return Finding(subject=subject, check=check, text="nothing was sent")
