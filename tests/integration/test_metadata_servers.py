"""Metadata servers of clouds that are down, slow or absent, and the proxies on the way to clouds. All on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError, RegistrySyncError, TemporaryError
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.registry.identity import azure
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsRole
from registry_sync.registry.identity.azure import AzureIdentity, AzureSecret
from registry_sync.registry.identity.cloud import CloudIdentity, with_identity
from registry_sync.registry.identity.google import GoogleIdentity
from testkit.aws import ACCOUNT, NOWHERE
from testkit.project import PROJECT
from testkit.proxy import ForwardProxy
from testkit.scripted import Reply, ScriptedServer
from tests.integration.test_identities import ACR, ECR, GAR, _loopback, google_key, managed_identity, serve_json
from tests.integration.test_identity_limits import Silent

__all__ = ["_loopback"]

ROLE = AwsRole(arn=f"arn:aws:iam::{ACCOUNT}:role/mirror")
ADVICE = (
    ". The next try asks it again; if that does not help, does a network policy or a hop limit of 1 (EC2: "
    "HttpPutResponseHopLimit) hold back this worker? Where there is no such server, name another identity"
)


@pytest.fixture
def silent() -> Iterator[Silent]:
    listener = Silent()
    yield listener
    listener.close()


@pytest.fixture
def on_aws(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the address of the metadata server."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1")
    return lambda url: monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)


@pytest.fixture
def of_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForwardProxy]:
    """The proxy of the environment, for all hosts. It leads nowhere."""
    with ForwardProxy({}) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield proxy


def failure(identity: CloudIdentity, host: str) -> RegistrySyncError:
    with pytest.raises(RegistrySyncError) as caught:
        identity.log_in(Endpoint(host=host))
    return caught.value


def answer_of_machine(target: str) -> bytes:
    """A session of IMDSv2, the name of a role, and its credentials."""
    if not target.endswith("/node"):
        return b"node"
    times = {"Expiration": "2126-01-01T00:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z"}
    keys = {"AccessKeyId": "AKIATEST", "SecretAccessKey": "of-aws", "Token": "one"}
    return json.dumps({"Code": "Success", **keys, **times}).encode()


class TestAws:
    @pytest.mark.parametrize("role", [None, ROLE])
    def test_a_silent_server_is_asked_again_later(
        self, silent: Silent, on_aws: Callable[[str], None], role: AwsRole | None
    ) -> None:
        on_aws(silent.url)
        error = failure(AwsIdentity(origin="this worker", role=role), ECR)
        assert isinstance(error, TemporaryError)
        assert str(error) == (
            "the metadata server of AWS gave this worker no identity: Read timeout on endpoint URL: "
            f'"{silent.url}/latest/meta-data/iam/security-credentials/"{ADVICE}'
        )

    @pytest.mark.parametrize("status", [500, 503, 429])
    def test_an_outage(self, on_aws: Callable[[str], None], status: int) -> None:
        with serve_json(lambda _: (status, {})) as metadata:
            on_aws(metadata.url)
            error = failure(AwsIdentity(origin="this worker"), ECR)
        assert isinstance(error, TemporaryError)
        assert str(error) == f"the metadata server of AWS gave this worker no identity: it answered {status}{ADVICE}"

    def test_a_server_that_the_environment_names_and_that_is_down(self, on_aws: Callable[[str], None]) -> None:
        on_aws(NOWHERE)
        assert isinstance(failure(AwsIdentity(origin="this worker"), ECR), TemporaryError)

    @pytest.mark.parametrize("status", [404, 403])
    def test_a_machine_without_a_role(self, on_aws: Callable[[str], None], status: int) -> None:
        with serve_json(lambda _: (status, {})) as metadata:
            on_aws(metadata.url)
            error = failure(AwsIdentity(origin="this worker"), ECR)
        assert isinstance(error, ConfigurationError)
        assert str(error).startswith("this worker has no AWS identity: none in the environment ")

    @pytest.mark.parametrize("way", ["refused", "silent", "outage"])
    def test_the_agent_of_a_container(self, silent: Silent, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
        """ECS, and Pod Identity of EKS."""
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.TIMEOUT_SECONDS", 0.3)
        with serve_json(lambda _: (503, {})) as agent:
            url = {"refused": NOWHERE, "silent": silent.url, "outage": agent.url}[way]
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")
            error = failure(AwsIdentity(origin="this worker"), ECR)
        assert isinstance(error, TemporaryError)
        assert str(error).startswith("AWS cannot be asked for the service ecr of this worker: Error when retrieving")

    def test_no_proxy_is_asked(self, on_aws: Callable[[str], None], of_environment: ForwardProxy) -> None:
        """The token of IMDSv2, the role and its credentials are read directly, and the login through the proxy."""
        with ScriptedServer(lambda request: Reply(body=answer_of_machine(request.target))) as metadata:
            on_aws(metadata.url)
            failure(AwsIdentity(origin="this worker"), ECR)
        assert [request.method for request in metadata.shown] == ["PUT", "GET", "GET"]
        assert {head.partition("\n")[0] for head in of_environment.heads} == {f"POST {NOWHERE}/ HTTP/1.1"}


class TestAzure:
    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(azure.METADATA_LIMITS, "read_timeout", 0.3)
        monkeypatch.setitem(azure.METADATA_LIMITS, "retry_total", 1)
        monkeypatch.setattr("azure.core.pipeline.policies.RetryPolicy.get_backoff_time", lambda *_: 0.0)

    @pytest.mark.parametrize("way", ["refused", "silent"])
    def test_a_server_that_does_not_answer(self, silent: Silent, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", silent.url if way == "silent" else NOWHERE)
        error = failure(AzureIdentity(origin="this worker"), ACR)
        assert isinstance(error, TemporaryError)
        assert str(error).startswith("the metadata server of Azure gave this worker no identity: ")
        assert str(error).endswith(ADVICE)

    @pytest.mark.parametrize("status", [410, 429, 500, 503])
    def test_an_outage(self, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
        """410 says that the server is being updated."""
        with serve_json(lambda _: (status, {"error": "x"})) as metadata:
            monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", metadata.url)
            assert isinstance(failure(AzureIdentity(origin="this worker"), ACR), TemporaryError)

    def test_no_proxy_is_asked(self, monkeypatch: pytest.MonkeyPatch, of_environment: ForwardProxy) -> None:
        with managed_identity(monkeypatch) as metadata:
            identity = AzureIdentity(origin="this worker").with_proxy(Proxy(url=of_environment.url))
            assert identity.describe(Endpoint(host=ACR)) == "client the-client of tenant the-tenant"
        assert len(metadata.shown) == 1
        assert of_environment.heads == []

    @pytest.mark.parametrize("way", ["proxy", "none", "environment"])
    def test_entra_is_asked_through_the_proxy_of_the_registry(
        self, monkeypatch: pytest.MonkeyPatch, of_environment: ForwardProxy, way: str
    ) -> None:
        names = list[str]()

        def find_none(host: str, *_: Any, **__: Any) -> Any:
            names.append(host)
            raise socket.gaierror("names are not looked up in tests")

        secret = AzureSecret(tenant_id="00000000-0000-0000-0000-000000000001", client_id="me", client_secret="word")
        with ForwardProxy({}) as proxy:
            proxies = {"proxy": Proxy(url=proxy.url), "none": Proxy(url=""), "environment": None}
            if way == "none":
                monkeypatch.setattr(socket, "getaddrinfo", find_none)
            endpoint = Endpoint(host=ACR, proxy=proxies[way])
            with pytest.raises(TemporaryError):
                logged_in(AzureIdentity(origin="this worker", secret=secret), endpoint)
            login = {"login.microsoftonline.com:443"}
            assert proxy.targets == (login if way == "proxy" else set())
            assert of_environment.targets == (login if way == "environment" else set())
            assert set(names) == ({"login.microsoftonline.com"} if way == "none" else set())


def logged_in(identity: CloudIdentity, endpoint: Endpoint) -> Credentials:
    """The login that a registry's client would use."""
    credentials = with_identity(endpoint, identity, lambda _: None).credentials
    assert credentials is not None
    return credentials.current()


TOKEN = {"access_token": "one", "expires_in": 3600, "token_type": "Bearer"}

OF_GOOGLE = """
import sys
from registry_sync.errors import RegistrySyncError
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.identity.google import GoogleIdentity
try:
    print(GoogleIdentity(origin="this worker").log_in(Endpoint(host="gcr.io")).secret)
except RegistrySyncError as error:
    print(type(error).__name__, error)
"""


def google_metadata(host: str, folder: Path, **variables: str) -> str:
    """What an identity says in a process of its own: the SDK reads the server's address when it is imported."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT / "plugins"),
        "CLOUDSDK_CONFIG": str(folder),
        "GCE_METADATA_HOST": host,
        "GCE_METADATA_IP": host,
        "GCE_METADATA_TIMEOUT": "1",
        "GCE_METADATA_DETECT_RETRIES": "1",
        **variables,
    }
    command = [sys.executable, "-c", OF_GOOGLE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class TestGoogle:
    @pytest.mark.parametrize("way", ["refused", "silent", "outage"])
    def test_a_server_that_does_not_answer(self, silent: Silent, tmp_path: Path, way: str) -> None:
        with serve_json(lambda _: (503, {})) as metadata:
            hosts = {"refused": "127.0.0.1:1", "silent": silent.url.removeprefix("http://"), "outage": metadata.host}
            said = google_metadata(hosts[way], tmp_path)
        assert said.startswith("TemporaryError the metadata server of Google Cloud gave this worker no identity: ")
        assert said.endswith(ADVICE)

    def test_no_proxy_is_asked(self, of_environment: ForwardProxy, tmp_path: Path) -> None:
        def answer(target: str) -> Reply:
            document = TOKEN if "/token" in target else {"email": "a@b.example", "scopes": [], "aliases": ["default"]}
            headers = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
            return Reply(headers=headers, body=json.dumps(document).encode())

        with ScriptedServer(lambda request: answer(request.target)) as metadata:
            variables = {"HTTP_PROXY": of_environment.url, "http_proxy": of_environment.url}
            assert google_metadata(metadata.host, tmp_path, **variables) == "one"
        assert len(metadata.shown) >= 2
        assert of_environment.heads == []

    @pytest.mark.parametrize("way", ["proxy", "none", "environment"])
    def test_tokens_are_asked_for_through_the_proxy_of_the_registry(
        self, of_environment: ForwardProxy, way: str
    ) -> None:
        with serve_json(lambda _: TOKEN) as api, ForwardProxy({api.host: api.host}) as proxy:
            of_environment.hosts[api.host] = api.host
            proxies = {"proxy": Proxy(url=proxy.url), "none": Proxy(url=""), "environment": None}
            identity = GoogleIdentity(origin="this worker", info=google_key(f"{api.url}/token"))
            assert logged_in(identity, Endpoint(host=GAR, proxy=proxies[way])).secret == "one"
            assert proxy.targets == ({api.host} if way == "proxy" else set())
            assert of_environment.targets == ({api.host} if way == "environment" else set())
