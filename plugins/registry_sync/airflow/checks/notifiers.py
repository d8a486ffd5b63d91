"""Checks of notifiers: their classes, arguments and Connections. No message is sent."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.airflow.notifications import notifier_fault
from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.config.notify import Notifier
from registry_sync.errors import RegistrySyncError


def check_notifiers(file: MirrorsFile) -> Iterator[Finding]:
    """Check each notifier once: its class can be imported, accepts the arguments, and its Connection exists."""
    notifiers: list[tuple[Notifier, list[str]]] = []
    for mirror in file.mirrors.values():
        for notifier in mirror.notify:
            known = next((mirrors for other, mirrors in notifiers if other == notifier), None)
            if known is None:
                notifiers.append((notifier, [mirror.name]))
            else:
                known.append(mirror.name)
    for notifier, mirrors in notifiers:
        yield _check(notifier, f"mirrors {', '.join(mirrors)}")


def _check(notifier: Notifier, check: str) -> Finding:
    subject = f"notifier {notifier.name}"
    try:
        fault = notifier_fault(notifier)
    except RegistrySyncError as error:
        return Finding.of_error(subject, check, error)
    if fault:
        return Finding(subject=subject, check=check, verdict="missing", text=fault)
    return Finding(subject=subject, check=check, text="nothing was sent")
