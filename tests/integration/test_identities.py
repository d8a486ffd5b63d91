"""Identities at clouds: their logins, by stand-ins for the clouds' services, and whole routes that outlive a login."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from registry_sync.airflow.hooks.oci_registry import OciRegistryHook
from registry_sync.checks.logins import check_login
from registry_sync.config.entries.registry import RegistryEntry
from registry_sync.config.registry import Registry
from registry_sync.config.settings import SkopeoOptions
from registry_sync.errors import ConfigurationError, LoginRejected, TemporaryError
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.clouds import cloud_of
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsKeys, AwsRole
from registry_sync.registry.identity.azure import AzureIdentity
from registry_sync.registry.identity.cloud import CloudIdentity, with_identity
from registry_sync.registry.identity.google import GoogleIdentity
from registry_sync.registry.open import open_client
from registry_sync.skopeo.local import find_known_skopeo, find_skopeo
from registry_sync.skopeo.runner import SkopeoProgram
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import open_session
from registry_sync.sync.window import ALL_TAGS
from testkit import images
from testkit.aws import ACCOUNT, ENVIRONMENT
from testkit.cloud import CloudRegistry, NamedHosts
from testkit.interceptor import Answer
from testkit.project import PROJECT
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, sync_report
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.sleeping_clock import SleepingClock
from testkit.tls import CertificateAuthority

ECR = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
GAR = "europe-docker.pkg.dev"
ACR = "mirror.azurecr.io"

CLOUD_VARIABLES = ("AWS_", "AZURE_", "GOOGLE_", "GCE_", "CLOUDSDK_", "IDENTITY_", "MSI_", "IMDS_")


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variables of this machine, and no connection that leaves it."""
    for name in [each for each in os.environ if each.startswith(CLOUD_VARIABLES)]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    connect, strays = socket.socket.connect, list[Any]()

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            strays.append(address)
            raise ConnectionRefusedError(f"a test connects to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    yield
    assert strays == []


def serve_json(answer: Callable[[ScriptedRequest], Any]) -> ScriptedServer:
    """A server of JSON; a tuple is a status and a document."""

    def script(request: ScriptedRequest) -> Reply:
        status, document = given if isinstance(given := answer(request), tuple) else (200, given)
        return Reply(status=status, headers={"Content-Type": "application/json"}, body=json.dumps(document).encode())

    return ScriptedServer(script)


def basic_token(secret: str) -> str:
    return Credentials(username="AWS", secret=secret).basic()


def ecr_answer(secret: str = "one", *, host: str = ECR, seconds: float = 43200) -> dict[str, Any]:
    token = {"authorizationToken": basic_token(secret), "expiresAt": time.time() + seconds}
    return {"authorizationData": [{**token, "proxyEndpoint": f"https://{host}"}]}


KEYS = AwsKeys(access_key_id="AKIATEST", secret_access_key="of-aws")
MY_AWS = AwsIdentity(origin="Connection 'my_aws'", keys=KEYS)


def aws(monkeypatch: pytest.MonkeyPatch, answer: Callable[[ScriptedRequest], Any]) -> ScriptedServer:
    server = serve_json(answer)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    return server


class TestAws:
    def test_the_login_is_for_the_account_of_the_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with aws(monkeypatch, lambda _: ecr_answer("one")) as api:
            credentials = MY_AWS.log_in(Endpoint(host=ECR))
        assert (credentials.username, credentials.secret) == ("AWS", "one")
        assert credentials.expires_at is not None
        assert 43100 < credentials.expires_at.timestamp() - time.time() < 43300
        assert [json.loads(request.body) for request in api.shown] == [{"registryIds": [ACCOUNT]}]
        assert "/eu-west-1/ecr/" in (api.shown[0].authorization or "")

    @pytest.mark.parametrize(
        "host",
        [
            ECR.replace("dkr.ecr.", "dkr.ecr-fips."),
            f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws",
        ],
    )
    def test_other_hosts_of_the_same_registry_take_the_login(self, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
        with aws(monkeypatch, lambda _: ecr_answer("one")):
            assert MY_AWS.log_in(Endpoint(host=host)).secret == "one"

    @pytest.mark.parametrize(
        "issued_for",
        [ECR.replace(ACCOUNT, "999999999999"), ECR.replace("eu-west-1", "us-east-1"), "registry.example"],
    )
    def test_a_login_for_another_registry_is_not_sent(self, monkeypatch: pytest.MonkeyPatch, issued_for: str) -> None:
        """Account and region are compared before anything is sent to the registry."""
        endpoint = with_identity(Endpoint(host=ECR), MY_AWS, lambda _: None)
        with (
            NamedHosts({}) as proxy,
            aws(monkeypatch, lambda _: ecr_answer(host=issued_for)),
            closing(open_client("distribution", endpoint, max_connections=1)) as client,
        ):
            for name, value in proxy.environment.items():
                monkeypatch.setenv(name, value)
            with pytest.raises(ConfigurationError) as caught:
                client.ping()
        assert str(caught.value) == (
            f"AWS issued a token for 'https://{issued_for}' to Connection 'my_aws', not for {ECR}, so nothing was sent "
            "there; correct the host of the registry, or the endpoint_url of the Connection"
        )
        assert proxy.refused == []

    def test_public_images_have_a_login_of_their_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        token = {"authorizationToken": basic_token("public"), "expiresAt": time.time() + 43200}
        with aws(monkeypatch, lambda _: {"authorizationData": token}) as api:
            assert MY_AWS.log_in(Endpoint(host="public.ecr.aws")).secret == "public"
        assert "/us-east-1/ecr-public/" in (api.shown[0].authorization or "")

    def test_a_denied_call_names_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = "User: arn:aws:iam::1:user/x is not authorized to perform: ecr:GetAuthorizationToken"
        with aws(monkeypatch, lambda _: (400, {"__type": "AccessDeniedException", "message": said})):
            with pytest.raises(LoginRejected) as caught:
                MY_AWS.log_in(Endpoint(host=ECR))
        assert str(caught.value) == (
            f"AWS denies ecr:GetAuthorizationToken to Connection 'my_aws' (AccessDeniedException: {said})"
        )

    def test_a_denied_role_names_the_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        body = (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            "<Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error>"
            "</ErrorResponse>"
        )
        role = AwsRole(arn=f"arn:aws:iam::{ACCOUNT}:role/mirror", arguments={"ExternalId": "42"})
        identity = replace(MY_AWS, role=role)
        with ScriptedServer(lambda _: Reply(status=403, headers={}, body=body.encode())) as api:
            monkeypatch.setenv("AWS_ENDPOINT_URL", api.url)
            with pytest.raises(LoginRejected) as caught:
                identity.log_in(Endpoint(host=ECR))
        assert str(caught.value) == (
            "AWS denies sts:AssumeRole to Connection 'my_aws' (AccessDenied: not authorized to perform: sts:AssumeRole)"
        )
        asked = parse_qs(api.shown[0].body.decode())
        assert (asked["RoleArn"], asked["ExternalId"], asked["RoleSessionName"]) == (
            [role.arn],
            ["42"],
            ["registry_sync"],
        )

    def test_an_outage_is_temporary(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
        with aws(monkeypatch, lambda _: (503, {"__type": "ServerException", "message": "try later"})):
            with pytest.raises(TemporaryError) as caught:
                MY_AWS.log_in(Endpoint(host=ECR))
        assert str(caught.value) == (
            "AWS did not answer ecr:GetAuthorizationToken of Connection 'my_aws' (ServerException: try later)"
        )

    def test_no_identity_names_where_it_was_looked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The machine has no role."""
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        with serve_json(lambda _: (404, {})) as metadata:
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
            with pytest.raises(ConfigurationError) as caught:
                AwsIdentity(origin="this worker").log_in(Endpoint(host=ECR))
        assert str(caught.value) == (
            "this worker has no AWS identity: none in the environment (AWS_ACCESS_KEY_ID, or AWS_ROLE_ARN with "
            "AWS_WEB_IDENTITY_TOKEN_FILE), the shared config and credentials files, the container's credentials "
            "(AWS_CONTAINER_CREDENTIALS_FULL_URI), and the instance's metadata"
        )

    @pytest.mark.parametrize("role", ["", f"arn:aws:iam::{ACCOUNT}:role/mirror"])
    def test_metadata_that_is_turned_off_is_not_said_to_be_asked(
        self, monkeypatch: pytest.MonkeyPatch, role: str
    ) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        identity = AwsIdentity(origin="Connection 'my_aws'", role=AwsRole(arn=role) if role else None)
        with pytest.raises(ConfigurationError) as caught:
            identity.log_in(Endpoint(host=ECR))
        message = (
            "Connection 'my_aws' has no AWS identity: none in the environment (AWS_ACCESS_KEY_ID, or AWS_ROLE_ARN with "
            "AWS_WEB_IDENTITY_TOKEN_FILE), the shared config and credentials files, the container's credentials "
            "(AWS_CONTAINER_CREDENTIALS_FULL_URI); the instance's metadata was not asked, because "
            "AWS_EC2_METADATA_DISABLED is true"
        )
        needed = (
            f". To assume role {role}, credentials of an identity that may do so are needed: an access key as login "
            "and password of the Connection, or one of these places"
        )
        assert str(caught.value) == message + (needed if role else "")

    def test_roles_of_moto(self, monkeypatch: pytest.MonkeyPatch) -> None:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
            identity = replace(MY_AWS, role=AwsRole(arn=f"arn:aws:iam::{ACCOUNT}:role/mirror"))
            assert identity.log_in(Endpoint(host=ECR)).username == "AWS"
            assert identity.describe(Endpoint(host=ECR)) == (
                f"arn:aws:sts::{ACCOUNT}:assumed-role/mirror/registry_sync"
            )
        finally:
            server.stop()


def google_key(token_uri: str) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    email = "mirror@project.iam.gserviceaccount.com"
    return {"type": "service_account", "client_email": email, "private_key": pem, "token_uri": token_uri}


METADATA = """
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.identity.google import GoogleIdentity
identity, endpoint = GoogleIdentity(origin="this worker"), Endpoint(host="gcr.io")
credentials = identity.log_in(endpoint)
print(credentials.username, credentials.secret, credentials.expires_at is not None, identity.describe(endpoint))
"""


class TestGoogle:
    def test_a_key_gives_an_access_token(self) -> None:
        with serve_json(lambda _: {"access_token": "one", "expires_in": 3600, "token_type": "Bearer"}) as api:
            identity = GoogleIdentity(origin="Connection 'my_gcp'", info=google_key(f"{api.url}/token"))
            credentials = identity.log_in(Endpoint(host=GAR))
            assert identity.describe(Endpoint(host=GAR)) == "mirror@project.iam.gserviceaccount.com"
        assert (credentials.username, credentials.secret) == ("oauth2accesstoken", "one")
        assert credentials.expires_at is not None
        assert 3500 < credentials.expires_at.timestamp() - time.time() < 3700
        assert len(api.shown) == 1

    def test_a_denied_token_says_why(self) -> None:
        answer = {"error": "invalid_grant", "error_description": "account not found"}
        with serve_json(lambda _: (400, answer)) as api:
            identity = GoogleIdentity(origin="Connection 'my_gcp'", info=google_key(f"{api.url}/token"))
            with pytest.raises(LoginRejected) as caught:
                identity.log_in(Endpoint(host=GAR))
        assert str(caught.value).startswith(
            "Google denies a token to Connection 'my_gcp': ('invalid_grant: account not"
        )

    def test_no_identity_names_where_it_was_looked_for(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", True)
        with pytest.raises(ConfigurationError) as caught:
            GoogleIdentity(origin="this worker").log_in(Endpoint(host=GAR))
        assert str(caught.value) == (
            "this worker has no usable Google identity: none in GOOGLE_APPLICATION_CREDENTIALS, the login of gcloud "
            "(application_default_credentials.json), and the metadata server (GCE_METADATA_HOST, by default "
            "metadata.google.internal)"
        )

    def test_the_metadata_server_gives_the_identity_of_the_machine(self, tmp_path: Path) -> None:
        """In a process of its own: the SDK reads the address of the server when it is imported."""

        def answer(request: ScriptedRequest) -> Reply:
            document: Any = {"email": "node@project.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]}
            if "/token" in request.target:
                document = {"access_token": "one", "expires_in": 3600, "token_type": "Bearer"}
            headers = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
            return Reply(headers=headers, body=json.dumps(document).encode())

        with ScriptedServer(answer) as metadata:
            environment = {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(PROJECT / "plugins"),
                "CLOUDSDK_CONFIG": str(tmp_path),
                "GCE_METADATA_HOST": metadata.host,
                "GCE_METADATA_IP": metadata.host,
            }
            command = [sys.executable, "-c", METADATA]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout.splitlines()[-1:] == ["oauth2accesstoken one True node@project.iam.gserviceaccount.com"], (
            done.stderr
        )


def acr_token(seconds: float = 10800, name: str = "one") -> str:
    claims = {"exp": int(time.time() + seconds), "jti": name}
    return jwt.encode(claims, "0123456789abcdef0123456789abcdef", algorithm="HS256")


ENTRA_TOKEN = jwt.encode(
    {"tid": "the-tenant", "appid": "the-client"}, "0123456789abcdef0123456789abcdef", algorithm="HS256"
)


def managed_identity(monkeypatch: pytest.MonkeyPatch, answer: Any = None) -> ScriptedServer:
    """The token service of Azure's App Service."""
    token = {"access_token": ENTRA_TOKEN, "expires_on": str(int(time.time()) + 86400), "token_type": "Bearer"}
    server = serve_json(lambda _: answer or token)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "secret-of-the-app")
    return server


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Registries under the names of clouds, which a proxy leads to."""

    registries: Mapping[str, CloudRegistry]
    upstreams: Mapping[str, RegistryProcess]
    proxy: NamedHosts
    ca_file: Path

    def endpoint(self, host: str) -> Endpoint:
        return Endpoint(host=host, ca_file=self.ca_file)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    authority = CertificateAuthority.create(tmp_path / "ca")
    certificate = authority.issue((ECR, GAR, ACR))
    with ExitStack() as stack:
        upstreams = {host: stack.enter_context(RegistryProcess()) for host in (GAR, ACR)}
        registries = {host: stack.enter_context(CloudRegistry(upstreams[host].url, certificate)) for host in upstreams}
        registries[ECR] = stack.enter_context(CloudRegistry(upstreams[ACR].url, certificate, status=403))
        proxy = stack.enter_context(NamedHosts({host: server.host for host, server in registries.items()}))
        for name, value in proxy.environment.items():
            monkeypatch.setenv(name, value)
        yield Cloud(registries=registries, upstreams=upstreams, proxy=proxy, ca_file=authority.ca_file)


class TestAzure:
    def test_a_token_is_exchanged_at_the_registry(self, monkeypatch: pytest.MonkeyPatch, cloud: Cloud) -> None:
        bodies, token = list[bytes](), acr_token()
        cloud.registries[ACR].answers = {"/oauth2/exchange": lambda body: _exchanged(bodies, body, token)}
        with managed_identity(monkeypatch) as metadata:
            identity = AzureIdentity(origin="Connection 'my_azure'", client_id="of-the-identity")
            credentials = identity.log_in(cloud.endpoint(ACR))
            assert identity.describe(cloud.endpoint(ACR)) == "client the-client of tenant the-tenant"
        assert (credentials.username, credentials.secret) == ("00000000-0000-0000-0000-000000000000", token)
        assert credentials.expires_at is not None
        assert parse_qs(bodies[0].decode()) == {
            "grant_type": ["access_token"],
            "service": [ACR],
            "access_token": [ENTRA_TOKEN],
            "tenant": ["the-tenant"],
        }
        assert ["client_id=of-the-identity" in request.target for request in metadata.shown] == [True]
        assert cloud.proxy.refused == []

    def test_the_button_test_says_who_and_until_when(self, monkeypatch: pytest.MonkeyPatch, cloud: Cloud) -> None:
        token = acr_token(10800)
        cloud.registries[ACR].answers = {"/oauth2/exchange": lambda body: _exchanged([], body, token)}
        cloud.registries[ACR].accept("00000000-0000-0000-0000-000000000000", token)
        extra = {"role": "11111111-2222-3333-4444-555555555555", "ca": str(cloud.ca_file)}
        fields = {"conn_type": "oci_registry", "host": ACR, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_TEAM", json.dumps(fields))
        end = jwt.decode(token, options={"verify_signature": False})["exp"]
        with managed_identity(monkeypatch):
            assert OciRegistryHook("team").test_connection() == (
                True,
                (
                    f"logged in to {ACR} as client the-client of tenant the-tenant, until "
                    f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC"
                ),
            )

    def test_an_identity_without_a_role_is_told_so(self, monkeypatch: pytest.MonkeyPatch, cloud: Cloud) -> None:
        refused = Answer(status=401, body=b'{"errors":[{"code":"UNAUTHORIZED","message":"no role"}]}', headers={})
        cloud.registries[ACR].answers = {"/oauth2/exchange": lambda _: refused}
        with managed_identity(monkeypatch), pytest.raises(LoginRejected) as caught:
            AzureIdentity(origin="this worker").log_in(cloud.endpoint(ACR))
        assert str(caught.value) == (
            f"{ACR} does not accept the identity of this worker: POST https://{ACR}/oauth2/exchange answered 401 "
            "UNAUTHORIZED: no role; give it a role at the registry, such as AcrPull or AcrPush"
        )

    def test_no_identity_names_where_it_was_looked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with serve_json(lambda _: (400, {"error": "invalid_request", "error_description": "not found"})) as metadata:
            monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", metadata.url)
            with pytest.raises(ConfigurationError) as caught:
                AzureIdentity(origin="this worker").log_in(Endpoint(host=ACR))
        assert str(caught.value).startswith(
            "this worker has no Azure identity: none in the environment (AZURE_CLIENT_SECRET, "
            "AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE), and no managed identity (IDENTITY_ENDPOINT, "
            "or the metadata server of the machine): "
        )


def _exchanged(bodies: list[bytes], body: bytes, token: str) -> Answer:
    bodies.append(body)
    document = json.dumps({"refresh_token": token}).encode()
    return Answer(status=200, body=document, headers={"Content-Type": "application/json"})


WITHOUT_EXTRAS = """
import sys
from importlib.abc import MetaPathFinder

class NoSdk(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("boto3", "google.auth", "azure.identity"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoSdk())
from registry_sync.errors import ConfigurationError
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.azure import AzureIdentity
from registry_sync.registry.identity.google import GoogleIdentity
hosts = ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "gcr.io", "mirror.azurecr.io")
for kind, host in zip((AwsIdentity, GoogleIdentity, AzureIdentity), hosts):
    try:
        kind(origin="this worker").log_in(Endpoint(host=host))
    except ConfigurationError as error:
        print(error)
"""


def test_a_missing_sdk_names_its_extra() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT / "plugins")}
    command = [sys.executable, "-c", WITHOUT_EXTRAS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"this worker has no Python package {package!r}, which a registry with this identity needs; install it in the "
        f"environment of Airflow: pip install {package}, or the extra [{extra}] of registry-sync (docs/install.md)"
        for package, extra in (("boto3", "amazon"), ("google-auth", "google"), ("azure-identity", "azure"))
    ]


@dataclass(kw_only=True)
class Logins:
    """An identity whose logins a registry accepts for a time."""

    cloud: str
    origin: str
    registry: CloudRegistry
    seconds: float = 3600
    issued: list[Credentials] = field(default_factory=list)

    def log_in(self, _: Endpoint) -> Credentials:
        end = datetime.now(UTC) + timedelta(seconds=self.seconds)
        credentials = Credentials(username="user", secret=f"login-{len(self.issued)}", expires_at=end)
        self.issued.append(credentials)
        self.registry.accept("user", credentials.secret, seconds=self.seconds)
        return credentials

    def with_proxy(self, _: Proxy | None) -> Logins:
        return self

    def describe(self, _: Endpoint) -> str:
        return self.origin


@dataclass(frozen=True, kw_only=True)
class CloudConnections:
    """The connections of a session, with an identity for each registry."""

    endpoints: Mapping[str, Endpoint]

    def endpoint(self, registry: Registry, /) -> Endpoint:
        return self.endpoints[registry.host]

    def client(self, registry: Registry, /) -> AbstractContextManager[RegistryClient]:
        return closing(open_client("distribution", self.endpoints[registry.host], max_connections=4))

    def skopeo(self, _: SkopeoOptions, /) -> SkopeoProgram:
        return find_skopeo()

    def known_skopeo(self, _: SkopeoOptions, /) -> SkopeoProgram:
        return find_known_skopeo()


IMAGES = {f"v{number}": images.image([], labels={"number": str(number)}) for number in range(4)}


def run_between_clouds(cloud: Cloud, identities: Mapping[str, Any], **settings: Any) -> dict[str, int]:
    for tag, image in IMAGES.items():
        images.push(cloud.upstreams[GAR].url, "project/app", tag, image)
    masked: list[str] = []
    connections = CloudConnections(
        endpoints={host: with_identity(cloud.endpoint(host), identities[host], masked.append) for host in identities}
    )
    written = next(host for host in identities if host != GAR)
    source, destination = (
        RegistryEntry(host=host, ca_file=cloud.ca_file, identity="ambient").parse(host) for host in (GAR, written)
    )
    route = replace(
        make_route(cloud.upstreams[GAR], cloud.upstreams[ACR], "project/app", **settings),
        source=source,
        destination=destination,
    )
    route = replace(
        route,
        source_repository=replace(route.source_repository, host=GAR),
        destination_repository=replace(route.destination_repository, host=written),
    )
    with open_session(route, connections) as session:
        report = sync_report(session, RouteScope(window=ALL_TAGS))
    secrets = {each.secret for identity in identities.values() for each in identity.issued}
    assert secrets <= set(masked)
    return counted(report)


@pytest.mark.parametrize("at", ["/manifests/", "/blobs/uploads/"])
@pytest.mark.parametrize(("written", "name"), [(ACR, "azure"), (ECR, "aws")])
@pytest.mark.parametrize("transfer", ["skopeo", "direct"])
def test_logins_that_are_revoked_in_mid_run_are_renewed(
    cloud: Cloud, transfer: str, written: str, name: str, at: str
) -> None:
    """After the first content that arrives, neither registry accepts the logins that the run began with."""
    identities = {
        GAR: Logins(cloud="google", origin="this worker", registry=cloud.registries[GAR]),
        written: Logins(cloud=name, origin="this worker", registry=cloud.registries[written]),
    }

    def revoke(_: object) -> None:
        for registry in (cloud.registries[GAR], cloud.registries[written]):
            registry.reject_all()

    cloud.registries[written].after("PUT" if at == "/manifests/" else "POST", at, revoke, times=1)
    outcome = run_between_clouds(cloud, identities, transfer=transfer, parallel_copies=1)
    assert outcome == {"copied": len(IMAGES)}
    assert [len(identity.issued) for identity in identities.values()] == [2, 2]
    assert cloud.proxy.refused == []


@pytest.mark.parametrize("transfer", ["skopeo", "direct"])
def test_logins_that_end_in_mid_run_are_renewed_before(
    cloud: Cloud, transfer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No registry ever sees a login that has ended. Each manifest takes two minutes, by a clock of this test."""
    clock = SleepingClock()
    monkeypatch.setattr("registry_sync.registry.identity.renewal.time", clock)
    monkeypatch.setattr("testkit.cloud.time", clock)
    identities = {
        GAR: Logins(cloud="google", origin="this worker", registry=cloud.registries[GAR], seconds=600),
        ACR: Logins(cloud="azure", origin="this worker", registry=cloud.registries[ACR], seconds=600),
    }
    cloud.registries[ACR].after("PUT", "/manifests/", lambda _: clock.sleep(140))
    outcome = run_between_clouds(cloud, identities, transfer=transfer, parallel_copies=1)
    assert outcome == {"copied": len(IMAGES)}
    assert min(len(identity.issued) for identity in identities.values()) > 1
    assert [registry.rejected for registry in cloud.registries.values()] == [0, 0, 0]


def test_ecr_s_answer_to_a_login_that_has_ended_renews_it(cloud: Cloud) -> None:
    """It is 403, not 401."""
    logins = Logins(cloud="aws", origin="this worker", registry=cloud.registries[ECR])
    endpoint = with_identity(cloud.endpoint(ECR), logins, lambda _: None)  # type: ignore[arg-type]
    with closing(open_client("distribution", endpoint, max_connections=1)) as client:
        client.ping()
        cloud.registries[ECR].reject_all()
        client.ping()
    assert (len(logins.issued), cloud.registries[ECR].rejected) == (2, 1)


def test_check_says_who_we_are_and_until_when(cloud: Cloud) -> None:
    logins = Logins(cloud="azure", origin="client the-client of tenant the-tenant", registry=cloud.registries[ACR])
    endpoint = with_identity(cloud.endpoint(ACR), logins, lambda _: None)  # type: ignore[arg-type]
    with closing(open_client("distribution", endpoint, max_connections=1)) as client:
        findings = list(check_login("registry acr", endpoint, client, connection=None))
    end = logins.issued[0].expires_at
    who = f"{ACR} as {logins.origin} (the Azure identity of {logins.origin}) through the proxy "
    assert findings[0].text.startswith(who)
    assert [(finding.check, finding.verdict) for finding in findings] == [("log in", "ok"), ("end of the login", "ok")]
    assert findings[1].text.startswith(f"the token is valid until {end:%Y-%m-%d %H:%M} UTC, for ")
    assert findings[1].text.endswith(", and is renewed before")


@pytest.mark.parametrize(
    ("host", "realm", "is_asked"),
    [
        (GAR, f"https://{GAR}/v2/token", True),
        ("eu.gcr.io", "https://gcr.io/v2/token", True),
        (GAR, "https://token.example/v2/token", False),
        (GAR, f"https://{GAR}.evil.example/token", False),
        (GAR, f"https://{GAR}@evil.example/token", False),
        (GAR, f"https://{ACR}/oauth2/token", False),
        (ACR, f"https://{GAR}/v2/token", False),
        (ACR, "https://mirror.azurecr.io.evil.example/oauth2/token", False),
    ],
)
def test_a_token_service_of_another_cloud_gets_no_token(
    cloud: Cloud, tmp_path: Path, host: str, realm: str, is_asked: bool
) -> None:
    authority = CertificateAuthority.create(tmp_path / "other")
    asked = urlsplit(realm).hostname or ""

    def script(request: ScriptedRequest) -> Reply:
        if "token" in request.target:
            return Reply(body=b'{"token": "of-the-registry"}')
        challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}
        return Reply() if request.authorization else Reply(status=401, headers=challenge)

    logins = Logins(cloud=str(cloud_of(host)), origin="c", registry=cloud.registries[GAR])
    with ScriptedServer(script, tls=authority.issue((host, asked))) as server:
        cloud.proxy.servers |= {host: server.host, asked: server.host}
        endpoint = with_identity(Endpoint(host=host, ca_file=authority.ca_file), logins, lambda _: None)  # type: ignore[arg-type]
        with closing(open_client("distribution", endpoint, max_connections=1)) as client:
            if is_asked:
                client.ping()
            else:
                with pytest.raises(ConfigurationError) as caught:
                    client.ping()
                assert str(caught.value) == (
                    f"{host} sends logins to {realm!r}, which is not an https URL, or not one of the cloud that issued "
                    "them; nothing was sent there"
                )
    assert any("token" in request.target for request in server.shown) == is_asked


def test_a_token_service_may_reject_an_ended_login_by_403(cloud: Cloud, tmp_path: Path) -> None:
    """As that of ECR Public does: "Your authorization token has expired"."""
    authority = CertificateAuthority.create(tmp_path / "other")
    seen = list[str | None]()

    def script(request: ScriptedRequest) -> Reply:
        if "/token" in request.target:
            seen.append(request.authorization)
            return Reply(status=403) if len(seen) == 1 else Reply(body=b'{"token": "of-the-registry"}')
        challenge = {"WWW-Authenticate": f'Bearer realm="https://{GAR}/token",service="s"'}
        return Reply() if request.authorization else Reply(status=401, headers=challenge)

    logins = Logins(cloud="google", origin="c", registry=cloud.registries[GAR])
    with ScriptedServer(script, tls=authority.issue((GAR,))) as server:
        cloud.proxy.servers[GAR] = server.host
        endpoint = with_identity(Endpoint(host=GAR, ca_file=authority.ca_file), logins, lambda _: None)  # type: ignore[arg-type]
        with closing(open_client("distribution", endpoint, max_connections=1)) as client:
            client.ping()
    assert seen == [f"Basic {credentials.basic()}" for credentials in logins.issued]
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("identity", "host", "message"),
    [
        (MY_AWS, ACR, f"Connection 'my_aws' has an identity of AWS, but {ACR} is a registry of Azure"),
        (
            MY_AWS,
            "quay.io",
            "Connection 'my_aws' has an identity of AWS, but quay.io is not a host of a registry of AWS",
        ),
        (GoogleIdentity(origin="c"), ECR, f"c has an identity of Google Cloud, but {ECR} is a registry of AWS"),
        (AzureIdentity(origin="c"), GAR, f"c has an identity of Azure, but {GAR} is a registry of Google Cloud"),
        (
            AzureIdentity(origin="c"),
            f"{ACR}.evil.example",
            f"c has an identity of Azure, but {ACR}.evil.example is not",
        ),
    ],
)
def test_a_token_is_for_registries_of_its_cloud(identity: CloudIdentity, host: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_identity(Endpoint(host=host), identity, lambda _: None)
    assert str(caught.value).startswith(message)
    assert "nothing was sent" in str(caught.value)
