"""Files that variables of the environment name for identities at clouds, and that are not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from airflow.sdk.log import mask_secret

import registry_sync.airflow.hooks.registry  # noqa: F401 - Airflow binds its logging to what standard output is just now
from registry_sync.cli.arguments import FAILED
from registry_sync.cli.main import main
from registry_sync.errors import ConfigurationError
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsRole
from registry_sync.registry.identity.azure import AzureIdentity
from registry_sync.registry.identity.cloud import CloudIdentity
from registry_sync.registry.identity.google import GoogleIdentity
from testkit import images
from testkit.aws import ACCOUNT
from testkit.registry import RegistryProcess
from tests.integration.test_check import rows
from tests.integration.test_identities import ACR, ECR, GAR, MY_AWS, _loopback

__all__ = ["_loopback"]

ROLE = f"arn:aws:iam::{ACCOUNT}:role/mirror"
AWS, AZURE, GOOGLE = (kind(origin="this worker") for kind in (AwsIdentity, AzureIdentity, GoogleIdentity))
POD = "it is there only in pods with that identity: "


def federation(file: str) -> dict[str, object]:
    kind, token = "external_account", "urn:ietf:params:oauth:token-type:jwt"
    fields = {"type": kind, "audience": "a", "subject_token_type": token, "token_url": "https://sts.example/v1/token"}
    return {**fields, "credential_source": {"file": file}}


@pytest.mark.parametrize(
    ("identity", "host", "variable", "others", "advice"),
    [
        (
            AWS,
            ECR,
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            {"AWS_ROLE_ARN": ROLE},
            f"{POD}is the service account of the worker annotated with eks.amazonaws.com/role-arn?",
        ),
        (
            AWS,
            ECR,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/credentials"},
            f"{POD}has the service account of the worker a Pod Identity association?",
        ),
        (
            AZURE,
            ACR,
            "AZURE_FEDERATED_TOKEN_FILE",
            {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant"},
            (
                f"{POD}is the service account of the worker annotated with azure.workload.identity/client-id, and "
                "the pod labelled azure.workload.identity/use: 'true'?"
            ),
        ),
        (
            AZURE,
            ACR,
            "AZURE_CLIENT_CERTIFICATE_PATH",
            {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant"},
            "mount the certificate with its key, or remove the variable",
        ),
        (
            GOOGLE,
            GAR,
            "GOOGLE_APPLICATION_CREDENTIALS",
            {},
            "mount the key or configuration, or remove the variable",
        ),
    ],
)
@pytest.mark.parametrize("what", ["missing", "folder"])
def test_a_variable_that_names_an_unreadable_file(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    identity: CloudIdentity,
    host: str,
    variable: str,
    others: dict[str, str],
    advice: str,
    what: str,
) -> None:
    """It is the traceback of an SDK otherwise, which ends a task or the whole of ``check``."""
    path = tmp_path / what
    reason = "No such file or directory"
    if what == "folder":
        path.mkdir()
        reason = "Is a directory"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {variable: str(path), **others}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        replace(identity).log_in(Endpoint(host=host))  # type: ignore[type-var]
    assert str(caught.value) == (
        f"this worker has no usable identity: {variable} names {str(path)!r}, which cannot be read on this worker: "
        f"{reason}; {advice}"
    )


@pytest.mark.parametrize(
    ("identity", "host"),
    [
        (replace(MY_AWS, role=AwsRole(arn=ROLE, token_file="/nope")), ECR),
        (GoogleIdentity(origin="Connection 'my_aws'", file="/nope"), GAR),
        (GoogleIdentity(origin="Connection 'my_aws'", info=federation("/nope")), GAR),
        (GoogleIdentity(origin="Connection 'my_aws'", info=federation("/nope"), chain=("a@b.example",)), GAR),
    ],
)
def test_a_connection_that_names_a_missing_file(identity: CloudIdentity, host: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        identity.log_in(Endpoint(host=host))
    assert str(caught.value) == (
        "Connection 'my_aws' has no usable identity: '/nope' cannot be read on this worker: No such file or directory; "
        "mount it, or correct its path"
    )


def test_a_configuration_that_names_a_missing_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "configuration.json"
    path.write_text(json.dumps(federation("/nope")))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(ConfigurationError, match=r"^this worker has no usable identity: '/nope' cannot be read"):
        GoogleIdentity(origin="this worker").log_in(Endpoint(host=GAR))


def test_a_named_file_that_is_not_json_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "configuration.json"
    path.write_text("key: value")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(ConfigurationError) as caught:
        GoogleIdentity(origin="this worker").log_in(Endpoint(host=GAR))
    assert str(path) in str(caught.value)


class TestCheck:
    """``check`` prints its whole table, whatever one line comes to."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Iterator[str]:
        with RegistryProcess() as registry:
            images.push(registry.url, "team/app", "v1", images.multi_arch("app"))
            registries = {
                "aws": {"host": ECR, "identity": "ambient"},
                "azure": {"host": ACR, "identity": "ambient"},
                "origin": {"host": registry.host, "tls": False},
            }
            mirror = {"source": "origin", "destinations": ["aws", "azure"], "repositories": ["team/app"]}
            path = tmp_path / "mirrors.yaml"
            path.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
            yield str(path)

    def test_a_missing_token_file(
        self, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nope")
        monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/nope")
        monkeypatch.setenv("AZURE_CLIENT_ID", "client")
        monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
        assert main(["check", file]) == FAILED
        shown = rows(capsys.readouterr().out)
        assert [line for line in shown if "team/app" not in line] == [
            "aws log in MISSING",
            "azure log in MISSING",
            next(line for line in shown if line.startswith("origin anonymous access ok")),
        ]

    def test_an_error_that_nobody_expects(
        self, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Of the SDK, with a secret in its text."""
        mask_secret("of-the-robot-of-azure")

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("cannot use of-the-robot-of-azure\nhere")

        monkeypatch.setattr("azure.identity.ManagedIdentityCredential", fail)
        monkeypatch.setattr("botocore.session.Session.create_client", fail)
        main(["check", file])
        printed = capsys.readouterr()
        shown = rows(printed.out)
        assert [line for line in shown if line.startswith(("aws", "azure"))] == [
            "aws log in UNKNOWN",
            "azure log in UNKNOWN",
        ]
        assert any(line.startswith("origin anonymous access ok") for line in shown)
        assert (
            "UNKNOWN: registry azure: log in: this check ended unexpectedly: RuntimeError: cannot use *** here\n"
            "  → this is a defect of registry_sync, or of a library that it uses; please report it with this text"
        ) in printed.out
