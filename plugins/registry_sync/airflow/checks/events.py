"""Checks of the webhooks that start mirrors: the receiver needs a secret for each."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.airflow.receiver.secrets import read_secret
from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.errors import RegistrySyncError
from registry_sync.events.instructions import create_command
from registry_sync.events.subscription import subscriptions

SHORTEST_SECRET = 16
"""Minimum length of a secret that nobody can guess."""


def check_events(file: MirrorsFile) -> Iterator[Finding]:
    """Check the secret of each webhook, and that a mirror reads from each registry with one."""
    names: dict[str, list[str]] = {}
    for found in subscriptions(file):
        names.setdefault(found.secret, []).append(f"{found.address.scope} {found.address.name}")
    for connection, addresses in names.items():
        yield _check_secret(connection, ", ".join(dict.fromkeys(addresses)))
    sources = {mirror.source for mirror in file.mirrors.values()}
    for registry in file.registries.values():
        if registry.events and registry.name not in sources:
            text = "has no effect: no mirror reads from this registry"
            yield Finding(subject=f"registry {registry.name}", check="events", verdict="warning", text=text)


def _check_secret(connection: str, addresses: str) -> Finding:
    subject, check = f"events of {addresses}", f"Connection {connection}"
    try:
        secret = read_secret(connection)
    except RegistrySyncError as error:
        return Finding.of_error(subject, check, error)
    if secret is None:
        text = "does not exist, or has no password, so every event is refused; create it, or set its password"
        return Finding(subject=subject, check=check, verdict="missing", text=text, remedy=create_command(connection))
    if len(secret) < SHORTEST_SECRET:
        text = f"the secret has {len(secret)} characters; {SHORTEST_SECRET} or more cannot be found by trying"
        return Finding(subject=subject, check=check, verdict="warning", text=text)
    return Finding(subject=subject, check=check)
