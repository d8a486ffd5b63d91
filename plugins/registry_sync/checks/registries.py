"""Check the access to each registry of a mirrors file: log in, list, read, and the rights of the login.

Nothing is written. Quay is not asked for the permission to push, because it creates a repository when a token for
pushing to it is requested.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from registry_sync.checks.finding import Finding, guarded
from registry_sync.checks.logins import check_login
from registry_sync.checks.remedies import to_reach, to_read
from registry_sync.config.connection_type import CONNECTION_TYPE, add_command, variable_command
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule, RepositoryRule
from registry_sync.errors import ConfigurationError, DeniedError, LoginRejected, NoConnection, RegistrySyncError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.kinds import deletion_privilege
from registry_sync.routes.route import Route, route_of
from registry_sync.sync.reading.named_tags import unpinned_names
from registry_sync.sync.session import Connections
from registry_sync.sync.threads import PROGRESS_SECONDS, thread_pool

log = logging.getLogger(__name__)

Remedy = Callable[[RegistrySyncError], str]
"""The remedy for an error; empty where the error says what to do."""

MAX_AT_ONCE = 8
"""Registries that are checked at the same time."""

MAX_REPOSITORIES = 100
"""Repositories of a mirror that are read at each registry, one request each. ``plan`` reads all."""


def check_registries(
    file: MirrorsFile, connections: Connections, tell: Callable[[str], None] = log.info
) -> Iterator[Finding]:
    """Check each registry: log in, list and read at a source, read at a destination.

    Several are checked at once, so that one which does not respond delays no other. The findings come in the order of
    the file.

    :param tell: takes a line about the progress every few seconds.
    """
    with thread_pool(MAX_AT_ONCE) as pool:
        calls = {
            registry.name: pool.submit(_check_all_of, registry, file, connections)
            for registry in file.registries.values()
        }
        _wait(calls, tell)
        for call in calls.values():
            yield from call.result()


def _check_all_of(registry: Registry, file: MirrorsFile, connections: Connections) -> list[Finding]:
    return list(guarded(f"registry {registry.name}", "address", check_registry(registry, file, connections)))


def _wait(calls: Mapping[str, Future[list[Finding]]], tell: Callable[[str], None]) -> None:
    """Wait for the checks of all registries, and tell which are not ready."""
    pending = set(calls.values())
    while pending:
        pending = wait(pending, timeout=PROGRESS_SECONDS).not_done
        if pending:
            names = ", ".join(name for name, call in calls.items() if call in pending)
            tell(f"{len(calls) - len(pending)} of {len(calls)} registries are checked; not yet: {names}")


def check_registry(registry: Registry, file: MirrorsFile, connections: Connections) -> Iterator[Finding]:
    """Check one registry, and its part in each mirror."""
    subject = f"registry {registry.name}"
    try:
        endpoint = connections.endpoint(registry)
    except RegistrySyncError as error:
        yield _unusable(registry, error)
        return
    try:
        opened = connections.client(registry)
    except RegistrySyncError as error:
        yield Finding.of_error(subject, error.part or "address", error)
        return
    with opened as client:
        findings = check_login(
            subject,
            endpoint,
            client,
            connection=registry.connection,
            remedy_of=lambda error: to_reach(registry, file.path, error),
        )
        login = list(guarded(subject, "log in", findings))
        yield from login
        if login[0].verdict == "ok":
            yield from _check_mirrors(registry, file, client, connections)


def _unusable(registry: Registry, error: RegistrySyncError) -> Finding:
    """The finding of a registry with unusable settings. The names at the start of the error move to its subject."""
    whole = f"Connection {registry.connection}" if registry.connection else registry.identity or "address"
    finding = Finding.of_error(
        f"registry {registry.name}", error.part or whole, error, remedy=_creation(registry, error)
    )
    text = finding.text.removeprefix(f"registry {registry.name!r}: ").removeprefix("proxy_connection: ")
    text = text.replace(f" of registry {registry.name!r}", "", 1)
    name = registry.proxy_connection if error.part else registry.connection
    for end in (" ", ": "):
        text = text.removeprefix(f"Connection {name!r}{end}")
    return replace(finding, text=text)


def _creation(registry: Registry, error: RegistrySyncError) -> str:
    """The command that creates the Connection, if there is none. Other errors say what to correct."""
    if not isinstance(error, NoConnection):
        return ""
    of_proxy = bool(error.part) or registry.connection is None
    if not error.has_database:
        name = registry.proxy_connection if of_proxy else registry.connection
        return variable_command(str(name), "http" if of_proxy else CONNECTION_TYPE)
    if error.part or registry.connection is None:
        login = '--conn-login "$USERNAME" --conn-password "$PASSWORD"'
        return f"airflow connections add {registry.proxy_connection} --conn-type http {login}"
    return add_command(registry.connection, registry.host, '"$USERNAME"', '"$PASSWORD"')


def _check_mirrors(
    registry: Registry, file: MirrorsFile, client: RegistryClient, connections: Connections
) -> Iterator[Finding]:
    subject = f"registry {registry.name}"
    for mirror in file.mirrors.values():
        if mirror.source == registry.name:
            reading = _check_source(registry, mirror, client, file.mirror_files.get(mirror.name, file.path))
            yield from guarded(subject, f"read (mirror {mirror.name})", reading)
        if registry.name in mirror.destinations:
            writing = _check_destination(registry, mirror, file.registries[mirror.source], client, connections)
            yield from guarded(subject, f"read and write (mirror {mirror.name})", writing)


def _check_source(registry: Registry, mirror: Mirror, client: RegistryClient, path: Path) -> Iterator[Finding]:
    """List each namespace and each repository; a rule with ``names`` alone needs no listing, so its tag is read."""
    subject = f"registry {registry.name}"
    remedies = [
        partial(to_read, registry, f"mirrors.{mirror.name}.repositories[{index}]", path)
        for index in range(len(mirror.rules))
    ]
    for rule, remedy in zip(mirror.rules, remedies, strict=True):
        if isinstance(rule, NamespaceRule):
            yield _checked(
                subject,
                f"list repositories of {rule.namespace} (mirror {mirror.name})",
                lambda rule=rule: _require_one(client, rule),  # type: ignore[misc]
                remedy,
            )
    rules = [pair for pair in zip(mirror.rules, remedies, strict=True) if isinstance(pair[0], RepositoryRule)]
    findings = (
        _check_repository_rule(registry, mirror, rule, client, remedy)
        for rule, remedy in islice(rules, MAX_REPOSITORIES)
        if isinstance(rule, RepositoryRule)
    )
    yield from _summarized(findings, mirror, len(rules))


def _check_repository_rule(
    registry: Registry, mirror: Mirror, rule: RepositoryRule, client: RegistryClient, remedy: Remedy
) -> Finding:
    subject, repository = f"registry {registry.name}", Repository.at(registry.host, rule.repository)
    if rule.settings.tags.named and unpinned_names(rule.settings) is not None:
        tag, pin = next(iter(rule.settings.tags.named.items()))
        check = f"read {repository.name}:{tag} (mirror {mirror.name})"
        return _checked(subject, check, lambda: _require_manifest(client, repository, pin or tag), remedy)
    check = f"list tags of {repository.name} (mirror {mirror.name})"
    return _checked(subject, check, lambda: next(iter(client.list_tags(repository)), None), remedy)


def _summarized(findings: Iterable[Finding], mirror: Mirror, total: int) -> Iterator[Finding]:
    """Failed checks of repositories one by one, and the passed ones in one line. An outage ends the reading."""
    passed: list[Finding] = []
    for finding in findings:
        if finding.verdict == "ok":
            passed.append(finding)
        else:
            yield finding
        if finding.verdict == "unknown":
            break
    if len(passed) == 1:
        yield passed[0]
    elif passed:
        remarks = {finding.text for finding in passed if finding.text}
        missing = sum(bool(finding.text) for finding in passed)
        text = f"{missing} {remarks.pop()}" if len(remarks) == 1 else ""
        yield replace(passed[0], check=f"read {len(passed)} repositories (mirror {mirror.name})", text=text)
    if total > MAX_REPOSITORIES:
        text = f"{total - MAX_REPOSITORIES} of {total} repositories; plan reads all"
        check = f"read the other repositories (mirror {mirror.name})"
        yield Finding(subject=f"mirror {mirror.name}", check=check, verdict="skipped", text=text)


def _require_manifest(client: RegistryClient, repository: Repository, target: str | Digest) -> None:
    """:raises ConfigurationError: when the source does not have it."""
    if client.head_manifest(repository, target) is None:
        raise ConfigurationError(f"{repository} does not have {str(target)!r}, which names lists; correct one of them")


def _require_one(client: RegistryClient, rule: NamespaceRule) -> None:
    """:raises ConfigurationError: when the listing is empty."""
    listed = client.list_repositories(rule.namespace, include_private=rule.include_private)
    if next(iter(listed), None) is None:
        raise ConfigurationError(
            f"no repository found in namespace {rule.namespace!r}; check its name, and that this user may list it"
        )


def _check_destination(
    registry: Registry, mirror: Mirror, source: Registry, client: RegistryClient, connections: Connections
) -> Iterator[Finding]:
    """Read the repositories that the mirror writes, and check the rights to push and delete where they are shown."""
    subject = f"registry {registry.name}"
    routes, total = _routes(mirror, source, registry, connections)
    findings = (_check_repository(subject, mirror, route.destination_repository, client) for route in routes)
    yield from _summarized(findings, mirror, total)
    if routes:
        yield _check_push(subject, mirror, routes[0].destination_repository, client)
    if registry.create_repository and (fault := client.create_fault()):
        remedy = "correct that, or create each repository yourself and remove create_repository"
        check = f"create repositories (mirror {mirror.name})"
        yield Finding(subject=subject, check=check, verdict="missing", text=fault, remedy=remedy)
    if any(rule.settings.deletes_tags for rule in mirror.rules):
        check, fault = f"delete tags (mirror {mirror.name})", client.delete_fault()
        if fault:
            yield Finding(subject=subject, check=check, verdict="missing", text=fault)
        else:
            text = f"needs {deletion_privilege(registry.api_kind)}"
            yield Finding(subject=subject, check=check, verdict="skipped", text=text)


def _routes(
    mirror: Mirror, source: Registry, destination: Registry, connections: Connections
) -> tuple[list[Route], int]:
    """Routes to a destination, and the number of repositories that are written by name.

    Without such repositories, one of a namespace; none when the source lists none, which the check of the source
    reports.
    """
    rules = [rule for rule in mirror.rules if isinstance(rule, RepositoryRule)]
    if rules:
        chosen = rules[:MAX_REPOSITORIES]
        return [route_of(mirror, rule, source, destination, rule.repository) for rule in chosen], len(rules)
    try:
        with connections.client(source) as client:
            for rule in mirror.rules:
                if isinstance(rule, NamespaceRule):
                    listed = client.list_repositories(rule.namespace, include_private=rule.include_private)
                    for name in (entry.name for entry in listed if rule.chooses(entry.name)):
                        return [route_of(mirror, rule, source, destination, name)], 1
    except RegistrySyncError:
        return [], 0
    return [], 0


HIDDEN = "missing, or hidden from this user"
"""Quay denies robot accounts access to a repository that does not exist, even if they may create it."""


def _check_repository(subject: str, mirror: Mirror, repository: Repository, client: RegistryClient) -> Finding:
    """Send a HEAD."""
    check, remark = f"read {repository.name} (mirror {mirror.name})", ""
    try:
        client.head_manifest(repository, "latest")
    except LoginRejected as error:
        return Finding.of_error(subject, check, error)
    except DeniedError:
        remark = HIDDEN
    except RegistrySyncError as error:
        return Finding.of_error(subject, check, error)
    try:
        fault = client.write_fault(repository)
    except RegistrySyncError as error:
        return Finding.of_error(subject, check, error)
    if fault:
        return Finding(subject=subject, check=check, verdict="missing", text=fault)
    return Finding(subject=subject, check=check, text=remark)


def _check_push(subject: str, mirror: Mirror, repository: Repository, client: RegistryClient) -> Finding:
    """Compare what the token service grants with what a push needs. No repository is created by that."""
    check = f"push to {repository.name} (mirror {mirror.name})"
    try:
        granted = client.granted_actions(repository)
    except RegistrySyncError as error:
        return Finding.of_error(subject, check, error)
    if granted is None:
        text = "only the first push shows it"
        return Finding(subject=subject, check=check, verdict="skipped", text=text)
    if "push" in granted or "*" in granted:
        return Finding(subject=subject, check=check, text="granted")
    text = f"the token service grants {', '.join(sorted(granted)) or 'nothing'} for {repository}, but not push"
    remedy = "give the account of the Connection the right to push there (docs/registries.md has the least rights)"
    return Finding(subject=subject, check=check, verdict="missing", text=text, remedy=remedy)


def _checked(subject: str, check: str, call: Callable[[], object], remedy: Remedy) -> Finding:
    try:
        call()
    except RegistrySyncError as error:
        return Finding.of_error(subject, check, error, remedy=remedy(error))
    return Finding(subject=subject, check=check)
