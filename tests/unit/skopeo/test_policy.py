"""Checks of policies before a run. Tests of their enforcement are in tests/integration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry_sync.config.settings import RouteSettings
from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.skopeo import policy
from registry_sync.skopeo.config_files import PolicyFiles
from registry_sync.skopeo.local import SkopeoBinary
from registry_sync.skopeo.policy import check_policies
from registry_sync.skopeo.runner import SkopeoVersion
from registry_sync.sync.session import policy_files_of

GPG = {"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/keys/team.gpg"}]}
SIGSTORE = {"default": [{"type": "reject"}], "transports": {"docker": {"quay.io": [{"type": "sigstoreSigned"}]}}}
WITHOUT_SIGSTORE = 'echo "Source image rejected: Debian-local change: sigstore disabled" >&2; exit 1'
WITH_SIGSTORE = 'echo "Source image rejected: parsing public key: PEM decoding failed" >&2; exit 1'


def a_skopeo(directory: Path, script: str) -> SkopeoBinary:
    path = directory / "skopeo"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return SkopeoBinary(path=path, version=SkopeoVersion(1, 9, 3))


def write_policy(directory: Path, document: Any) -> RouteSettings:
    path = directory / "policy.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return RouteSettings(policy=path)


def problem(settings: RouteSettings, skopeo: SkopeoBinary) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_policies([policy_files_of(settings)], skopeo)
    return str(caught.value)


def test_without_a_policy_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert policy_files_of(RouteSettings()) is None
    check_policies([policy_files_of(RouteSettings())], a_skopeo(tmp_path, "exit 1"))


def test_policy_files_have_both_paths() -> None:
    settings = RouteSettings(policy=Path("/p.json"), registries_d=Path("/d"))
    assert policy_files_of(settings) == PolicyFiles(policy=Path("/p.json"), registries_d=Path("/d"))


def test_a_policy_for_gpg_needs_no_sigstore(tmp_path: Path) -> None:
    check_policies([policy_files_of(write_policy(tmp_path, GPG))], a_skopeo(tmp_path, WITHOUT_SIGSTORE))


def test_a_policy_for_sigstore_needs_a_skopeo_with_sigstore(tmp_path: Path) -> None:
    settings = write_policy(tmp_path, SIGSTORE)
    check_policies([policy_files_of(settings)], a_skopeo(tmp_path, WITH_SIGSTORE))
    skopeo = a_skopeo(tmp_path, WITHOUT_SIGSTORE)
    assert problem(settings, skopeo) == (
        f"the policy '{settings.policy}' requires sigstore signatures (sigstoreSigned), which {skopeo.path} 1.9.3 "
        "cannot verify: Debian 12 builds it without; install skopeo 1.18 or later, as Debian 13 and "
        "https://github.com/containers/skopeo/blob/main/install.md have it, or require signedBy (GPG)"
    )


def test_each_policy_is_checked_once(tmp_path: Path) -> None:
    settings = write_policy(tmp_path, SIGSTORE)
    log = tmp_path / "log"
    check_policies([policy_files_of(settings), policy_files_of(settings)], a_skopeo(tmp_path, f"echo once >>{log}"))
    assert log.read_text() == "once\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "is not a containers-policy.json(5): it has no 'default'"),
        ("{}", "is not a containers-policy.json(5): it has no 'default'"),
    ],
)
def test_a_file_that_is_not_a_policy_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    settings = write_policy(tmp_path, content)
    assert problem(settings, a_skopeo(tmp_path, "")) == f"the policy '{settings.policy}' {expected}"


def test_missing_files_are_reported(tmp_path: Path) -> None:
    skopeo, lost = a_skopeo(tmp_path, ""), tmp_path / "lost"
    assert problem(RouteSettings(policy=lost), skopeo) == (
        f"the policy '{lost}' cannot be read on this worker: No such file or directory"
    )
    settings = replace(write_policy(tmp_path, GPG), registries_d=lost)
    assert problem(settings, skopeo) == f"registries_d '{lost}' is not a directory on this worker"


def test_a_skopeo_that_cannot_be_started_now_is_a_temporary_error(tmp_path: Path) -> None:
    skopeo = SkopeoBinary(path=tmp_path / "gone", version=SkopeoVersion(1, 9, 3))
    with pytest.raises(TemporaryError, match=r"skopeo could not be started: .*No such file or directory"):
        check_policies([policy_files_of(write_policy(tmp_path, SIGSTORE))], skopeo)


def test_a_skopeo_that_does_not_end_in_time_is_a_temporary_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "PROBE_SECONDS", 0.2)
    skopeo = a_skopeo(tmp_path, "exec /bin/sleep 30")
    with pytest.raises(TemporaryError) as caught:
        check_policies([policy_files_of(write_policy(tmp_path, SIGSTORE))], skopeo)
    assert str(caught.value) == f"{skopeo.path} did not end in 0.2 s on this worker"
