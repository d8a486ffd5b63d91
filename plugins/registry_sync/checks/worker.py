"""Checks of the machine that copies: skopeo, policies, CA files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.config.settings import RouteSettings, SkopeoOptions
from registry_sync.errors import RegistrySyncError, TemporaryError
from registry_sync.routes.route import settings_at
from registry_sync.skopeo.config_files import PolicyFiles
from registry_sync.skopeo.policy import check_policies
from registry_sync.skopeo.runner import SkopeoProgram, speed_limit
from registry_sync.sync.session import Connections, policy_files_of

_TO_COPY = "copy it to every worker, readable by Airflow's user, or correct {}:"


def check_worker(file: MirrorsFile, connections: Connections) -> Iterator[Finding]:
    """Check each skopeo that rules need, with their policies, and each file of registries."""
    yield from check_files(file)
    settings = [settings for settings in _all_settings(file) if settings.needs_skopeo]
    for options in dict.fromkeys(setting.skopeo for setting in settings):
        yield from _check_skopeo(options, [setting for setting in settings if setting.skopeo == options], connections)


def _all_settings(file: MirrorsFile) -> Iterator[RouteSettings]:
    """The settings of each rule at each destination."""
    for mirror in file.mirrors.values():
        for rule in mirror.rules:
            yield from (settings_at(rule, file.registries[name]) for name in mirror.destinations)


def check_files(file: MirrorsFile) -> Iterator[Finding]:
    """Check that each CA, client certificate and key can be read here."""
    for registry in file.registries.values():
        files = (
            ("CA file", "ca_file", registry.ca_file),
            ("client certificate", "client_certificate", registry.client_certificate),
            ("client key", "client_key", registry.client_key),
        )
        for check, key, path in files:
            if path:
                yield _check_file(f"registry {registry.name}", check, key, path)


def _check_file(subject: str, check: str, key: str, path: Path) -> Finding:
    try:
        path.read_bytes()
    except OSError as error:
        text = f"{str(path)!r} cannot be read on this machine: {error.strerror}"
        return Finding(subject=subject, check=check, verdict="missing", text=text, remedy=_TO_COPY.format(key))
    return Finding(subject=subject, check=check, text=str(path))


def _version_of(subject: str, skopeo: SkopeoProgram) -> Finding:
    text, limit = f"{skopeo.version}, {skopeo.label}", speed_limit(skopeo.version)
    if not limit:
        return Finding(subject=subject, check="version", text=text)
    remedy = "install a newer one, or write transfer: direct where no policy is needed"
    return Finding(subject=subject, check="version", verdict="warning", text=f"{text}: {limit}", remedy=remedy)


def _check_skopeo(
    options: SkopeoOptions, settings: Iterable[RouteSettings], connections: Connections
) -> Iterator[Finding]:
    subject = "skopeo" if options.runner == "local" else f"skopeo in {options.image}"
    try:
        skopeo = connections.skopeo(options)
    except RegistrySyncError as error:
        yield Finding.of_error(subject, "version", error)
        return
    yield _version_of(subject, skopeo)
    for policy in dict.fromkeys(map(policy_files_of, settings)):
        if policy is not None:
            try:
                check_policies([policy], skopeo)
            except RegistrySyncError as error:
                yield Finding.of_error(subject, "policy", error, remedy=_policy_remedy(policy, error))
            else:
                yield Finding(subject=subject, check="policy", text=str(policy.policy))


def _policy_remedy(policy: PolicyFiles, error: RegistrySyncError) -> str:
    """The remedy for files that cannot be read here. Other errors say what to correct."""
    if isinstance(error, TemporaryError):
        return ""
    if isinstance(error.__cause__, OSError):
        return _TO_COPY.format("policy")
    if policy.registries_d and not policy.registries_d.is_dir():
        return _TO_COPY.format("registries_d")
    return ""
