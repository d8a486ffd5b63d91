"""Check the notifiers of a mirrors file: classes, arguments and Connections. Nothing is sent."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass

from registry_sync.cli.connections import without_airflow
from registry_sync.config.model import MirrorsFile
from registry_sync.config.notify import Notifier


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierCheck:
    """The check of one notifier, which several mirrors may have. ``problem`` is empty when it passed."""

    notifier: Notifier
    mirrors: tuple[str, ...]
    problem: str = ""


def check_notifiers(file: MirrorsFile) -> list[NotifierCheck]:
    """Check each notifier once: its class can be imported, accepts the arguments, and its Connection exists.

    :raises ConfigurationError: when Airflow is not installed.
    """
    notifiers: list[tuple[Notifier, list[str]]] = []
    for mirror in file.mirrors.values():
        for notifier in mirror.notify:
            known = next((mirrors for other, mirrors in notifiers if other == notifier), None)
            if known is None:
                notifiers.append((notifier, [mirror.name]))
            else:
                known.append(mirror.name)
    return [
        NotifierCheck(notifier=notifier, mirrors=tuple(mirrors), problem=_problem(notifier))
        for notifier, mirrors in notifiers
    ]


def _problem(notifier: Notifier) -> str:
    with redirect_stdout(sys.stderr):
        try:
            from registry_sync.airflow.notifications import notifier_fault
        except ModuleNotFoundError as error:
            raise without_airflow(error) from error
        return notifier_fault(notifier)
