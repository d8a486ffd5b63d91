"""Clouds that accept connections and never answer. The SDKs would wait for minutes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from registry_sync.errors import TemporaryError
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.identity import azure
from registry_sync.registry.identity.answers import ATTEMPTS
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsRole
from registry_sync.registry.identity.azure import METADATA_LIMITS, AzureIdentity
from registry_sync.registry.identity.google import GoogleIdentity
from testkit.aws import ACCOUNT
from testkit.project import PROJECT
from tests.integration.test_identities import ACR, ECR, GAR, MY_AWS, _loopback, google_key, serve_json

__all__ = ["_loopback"]

ROLE = f"arn:aws:iam::{ACCOUNT}:role/mirror"
ADVICE = "does a firewall, a network policy or a proxy hold back the requests of this worker?"

SDK_LINES = r"Found (endpoint|credentials)|Traceback|Refreshing temporary|Request (URL|method|headers)|\.get_token"


def without_time(error: TemporaryError) -> str:
    """The message; how long it took depends on the machine."""
    return re.sub(r"\bin \d+ seconds", "in N seconds", str(error))


class Silent:
    """A listener that accepts and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def connections(self) -> int:
        """Number of connections so far."""
        self._socket.settimeout(0.2)
        count = 0
        while True:
            try:
                self._socket.accept()[0].close()
            except TimeoutError:
                return count
            count += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    """It stands for all clouds. Time limits are those of the package, shortened."""
    for module in ("aws", "google_transport"):
        monkeypatch.setattr(f"registry_sync.registry.identity.{module}.READ_SECONDS", 0.6)
    for limits in ("SDK_LIMITS", "METADATA_LIMITS"):
        monkeypatch.setitem(getattr(azure, limits), "read_timeout", 0.6)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    listener = Silent()
    yield listener
    listener.close()


@pytest.mark.parametrize("way", ["keys", "role", "web identity", "web identity of a Connection"])
def test_aws(silent: Silent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str) -> None:
    """The SDK fetches the credentials of a web identity by a client of its own."""
    token = tmp_path / "token"
    token.write_text("of-the-pod")
    identity = MY_AWS
    if way == "role":
        identity = replace(MY_AWS, role=AwsRole(arn=ROLE))
    elif way == "web identity of a Connection":
        identity = replace(MY_AWS, role=AwsRole(arn=ROLE, token_file=str(token)))
    elif way == "web identity":
        identity = AwsIdentity(origin="Connection 'my_aws'")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent.url)
    with pytest.raises(TemporaryError) as caught:
        identity.log_in(Endpoint(host=ECR))
    assert without_time(caught.value) == (
        f"AWS did not answer ecr:GetAuthorizationToken of Connection 'my_aws' in N seconds; {ADVICE}"
    )
    assert silent.connections() == ATTEMPTS


def test_the_metadata_of_azure(silent: Silent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", silent.url)
    monkeypatch.setitem(METADATA_LIMITS, "retry_total", 1)
    monkeypatch.setattr("azure.core.pipeline.policies.RetryPolicy.get_backoff_time", lambda *_: 0.0)
    with pytest.raises(TemporaryError) as caught:
        AzureIdentity(origin="this worker").log_in(Endpoint(host=ACR))
    assert str(caught.value).startswith("the metadata server of Azure gave this worker no identity: ")
    assert silent.connections() == 2


def test_the_token_service_of_google(silent: Silent) -> None:
    identity = GoogleIdentity(origin="Connection 'my_gcp'", info=google_key(f"{silent.url}/token"))
    with pytest.raises(TemporaryError) as caught:
        identity.log_in(Endpoint(host=GAR))
    assert without_time(caught.value) == (
        f"Google did not answer a request for a token of Connection 'my_gcp' in N seconds; {ADVICE}"
    )
    assert silent.connections() == 1


def test_commands_print_no_lines_of_the_sdks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have requests, headers and places at level info, and tracebacks of errors that are raised too."""
    token = tmp_path / "token"
    token.write_text("of-the-pod")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    registries = {"aws": {"host": ECR, "identity": "ambient"}, "azure": {"host": ACR, "identity": "ambient"}}
    mirror = {"source": "azure", "destinations": ["aws"], "repositories": ["team/app"]}
    file = tmp_path / "mirrors.yaml"
    file.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
    with serve_json(lambda _: (400, {"error": "invalid_request"})) as clouds:
        environment = {
            **os.environ,
            "PYTHONPATH": str(PROJECT / "plugins"),
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/none.db",
            "AWS_ENDPOINT_URL": clouds.url,
            "AWS_ROLE_ARN": ROLE,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "IDENTITY_ENDPOINT": f"{clouds.url}/msi/token",
            "IDENTITY_HEADER": "secret-of-the-app",
        }
        command = [sys.executable, "-m", "registry_sync", "check", str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert len(clouds.shown) >= 2
    assert "registry aws" in done.stdout
    assert [line for line in done.stderr.splitlines() if re.search(SDK_LINES, line)] == []
