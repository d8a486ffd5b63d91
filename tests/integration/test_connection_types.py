"""Airflow Connections as logins: types, fields, where they are looked for, and the button *Test*."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from airflow.sdk import Connection
from airflow.sdk.bases.hook import BaseHook
from airflow.secrets import BaseSecretsBackend

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.airflow.hooks.connections import HookConnections
from registry_sync.airflow.hooks.find_connection import find_connection
from registry_sync.airflow.hooks.oci_registry import OciRegistryHook
from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.masking import masked_text
from registry_sync.config.connection_type import CONNECTION_TYPES
from registry_sync.config.registry import Registry
from registry_sync.errors import ConfigurationError, NoConnection, TemporaryError
from registry_sync.oci.reference import Repository
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.registry.proxies import with_login
from registry_sync.routes.load import load_mirrors
from registry_sync.skopeo.config_files import write_skopeo_files
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import open_session
from registry_sync.sync.window import ALL_TAGS
from testkit import images
from testkit.registry import Htpasswd, RegistryProcess
from testkit.routes import counted, make_route, sync_report
from testkit.task_runner import FakeApi, run
from testkit.tls import Certificate, CertificateAuthority
from testkit.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from airflow.sdk.execution_time.supervisor import TaskRunResult

HOST = "registry.example"

LOGIN = {"conn_type": "oci_registry", "login": "robot", "password": "of-the-robot-1"}


def given(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """Put a Connection ``team`` into the environment."""
    monkeypatch.setenv("AIRFLOW_CONN_TEAM", json.dumps(fields))


def endpoint(**options: Any) -> Endpoint:
    return RegistryHook(Registry(name="acr", host=HOST, connection="team", **options)).endpoint


def refusal(**options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        endpoint(**options)
    return str(caught.value)


OTHER_TYPE = (
    "registry 'acr': Connection 'team' has {}, which is not one of container registries, so nothing of it was sent; "
    "write the id of a Connection of type oci_registry or docker, with the login and password that docs/connections.md "
    "has for each registry, or of type aws, google_cloud_platform or azure for a registry of that cloud"
)


class TestTypes:
    @pytest.mark.parametrize("conn_type", ["docker", "oci_registry"])
    def test_those_of_registries_give_the_login(self, monkeypatch: pytest.MonkeyPatch, conn_type: str) -> None:
        given(monkeypatch, **{**LOGIN, "conn_type": conn_type, "host": HOST})
        credentials = endpoint().credentials
        assert credentials is not None
        assert (credentials.current().username, credentials.current().secret) == ("robot", "of-the-robot-1")

    @pytest.mark.parametrize("conn_type", ["azure_container_registry", "wasb", "http", "kubernetes", "oci"])
    def test_others_are_refused_by_name(self, monkeypatch: pytest.MonkeyPatch, conn_type: str) -> None:
        given(monkeypatch, **{**LOGIN, "conn_type": conn_type})
        assert refusal() == OTHER_TYPE.format(f"the type {conn_type!r}")

    def test_one_that_airflow_stored_for_an_unknown_type_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given(monkeypatch, **{**LOGIN, "conn_type": "generic"})
        stored = "(Airflow's command stores it in place of a type that it does not know)"
        assert refusal() == OTHER_TYPE.format(f"the type 'generic' {stored}")

    def test_one_without_a_type_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given(monkeypatch, login="robot", password="of-the-robot-1")
        assert refusal() == OTHER_TYPE.format("no type")

    def test_a_uri_is_read_alike(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_TEAM", f"oci-registry://robot:of%2Fthe@{HOST}:443")
        credentials = endpoint().credentials
        assert credentials is not None
        assert credentials.current().secret == "of/the"


@pytest.mark.parametrize(
    ("fields", "lacking"),
    [
        ({"login": ""}, "no login"),
        ({"password": ""}, "no password"),
        ({"login": None, "password": None}, "no login and no password"),
    ],
)
@pytest.mark.parametrize("conn_type", ["docker", "oci_registry"])
def test_a_connection_without_login_is_not_anonymous_access(
    monkeypatch: pytest.MonkeyPatch, conn_type: str, fields: dict[str, Any], lacking: str
) -> None:
    given(monkeypatch, **{**LOGIN, "conn_type": conn_type, **fields})
    assert refusal() == (
        f"registry 'acr': Connection 'team' (type {conn_type}) has {lacking}; edit it. A token is the password "
        "(docs/connections.md has the login that goes with it); for access without a login, remove connection: from "
        "the registry in the mirrors file"
    )


PEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
OF = "of Connection 'team'"


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        (
            {"host": "other.example"},
            {},
            (
                f"Connection 'team' is for host 'other.example', but registry 'acr' of the mirrors file is {HOST!r}; "
                "its password was not sent. Correct the host of the Connection or of the registry"
            ),
        ),
        (
            {"host": f"https://{HOST}"},
            {"tls": False},
            (
                f"Connection 'team' is for 'https://{HOST}', but registry 'acr' has tls: false; its password was not "
                "sent in clear text. Correct the host of the Connection or tls: of the registry"
            ),
        ),
        (
            {"host": f"HTTPS://{HOST}/v2/"},
            {"tls": False},
            (
                f"Connection 'team' is for 'https://{HOST}', but registry 'acr' has tls: false; its password was not "
                "sent in clear text. Correct the host of the Connection or tls: of the registry"
            ),
        ),
        (
            {"host": f"docker://{HOST}"},
            {},
            "registry 'acr': Connection 'team': its host begins with docker://; write the host alone",
        ),
        (
            {"host": f"https://robot:s3cr3t-word@{HOST}"},
            {},
            (
                "registry 'acr': Connection 'team' has an '@' in its host; write the host alone, and the login into "
                "its fields"
            ),
        ),
        (
            {"host": f"{HOST}:443", "port": 444},
            {},
            f"registry 'acr': Connection 'team' has the host '{HOST}:443', and the port 444; correct one of them",
        ),
        (
            {"port": 443},
            {},
            "registry 'acr': Connection 'team' has the port 443, but no host; write both, or none",
        ),
        (
            {"extra": {"ca": PEM}},
            {"tls": False},
            "Connection 'team' has ca, but registry 'acr' has tls: false; remove one of them",
        ),
        (
            {"extra": {"ca": PEM}},
            {"ca_file": Path("/x")},
            "Connection 'team' has ca, and registry 'acr' has ca_file; remove one of them",
        ),
        (
            {"login": "a:b"},
            {},
            (
                "registry 'acr': Connection 'team' has a ':' in its login, which no registry can read (RFC 7617): "
                "write what is before it as login, and what follows as password"
            ),
        ),
        (
            {"extra": {"role_arn": "arn:aws:iam::1:role/x"}},
            {},
            (
                "registry 'acr': Connection 'team': its extra has 'role_arn', but a Connection of type oci_registry "
                "has only role, ca, client_certificate, client_private_key; remove what is not needed"
            ),
        ),
        (
            {"extra": "[1]"},
            {},
            "registry 'acr': Connection 'team': its extra is not a JSON object; correct or empty it",
        ),
        (
            {"schema": "x"},
            {},
            "registry 'acr': Connection 'team': schema means nothing for a Connection of type oci_registry; remove it",
        ),
        (
            {"conn_type": "docker", "extra": {"ca": PEM}},
            {},
            "registry 'acr': Connection 'team' is of type docker, which has no ca; give it the type oci_registry",
        ),
        (
            {"extra": {"client_certificate": PEM}},
            {},
            "registry 'acr': Connection 'team' has client_certificate, but no client_private_key; write both, or none",
        ),
        (
            {"extra": {"ca": "ca.pem"}},
            {},
            f"registry 'acr': ca {OF} is neither PEM nor an absolute path of a file on the workers",
        ),
        (
            {"extra": {"ca": "/nowhere/ca.pem"}},
            {},
            f"registry 'acr': ca {OF}: '/nowhere/ca.pem' cannot be read on this worker: No such file or directory",
        ),
        (
            {"extra": {"ca": PEM[:40]}},
            {},
            f"registry 'acr': ca {OF} is not PEM: it has no whole block from -----BEGIN …----- to -----END …-----",
        ),
        (
            {"extra": {"client_certificate": PEM, "client_private_key": PEM.replace("CERT", "ENCRYPTED CERT")}},
            {},
            (
                f"registry 'acr': client_private_key {OF} is encrypted, and there is no field for its password; store "
                "it decrypted"
            ),
        ),
        ({"extra": {"ca": 5}}, {}, "registry 'acr': Connection 'team': ca must be text: PEM, or the path of a file"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    given(monkeypatch, **{**LOGIN, **fields})
    assert refusal(**options) == message


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ({"host": HOST}, HOST),
        ({"host": HOST, "port": 443}, HOST),
        ({"host": f"HTTPS://{HOST}:443/v2/", "port": 443}, HOST),
        ({"host": f"http://{HOST}/"}, HOST),
        ({"host": "http://t.t", "port": 5000}, "t.t:5000"),
        ({"host": "https://index.docker.io/v1/"}, "docker.io"),
    ],
)
def test_forms_of_a_host_that_are_its_own(monkeypatch: pytest.MonkeyPatch, written: dict[str, Any], host: str) -> None:
    given(monkeypatch, **LOGIN, **written)
    assert RegistryHook(Registry(name="acr", host=host, connection="team")).endpoint.credentials is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("oci-registry://robot:s3cr3t/word@registry.example", ""),
        ("oci-registry://robot:s3cr3t#word@registry.example", ""),
        ("oci-registry://robot:s3cr3t?word@registry.example", ""),
        ("oci-registry://robot:[s3cr3t@registry.example", ""),
        (json.dumps({**LOGIN, "password": "s3cr3t", "port": "s3cr3t"}), ""),
        (
            json.dumps(LOGIN)[:-1],
            (
                f" (JSONDecodeError: Expecting ',' delimiter: line 1 column {len(json.dumps(LOGIN))} (char "
                f"{len(json.dumps(LOGIN)) - 1}))"
            ),
        ),
        (
            '{"conn_type": "docker", "passwd": "s3cr3t"}',
            " (TypeError: Connection.__attrs_init__() got an unexpected keyword argument 'passwd')",
        ),
    ],
)
def test_a_text_that_is_no_connection_is_a_mistake_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    """Python's error about the URI quotes the part of the password before the special character."""
    monkeypatch.setenv("AIRFLOW_CONN_TEAM", text)
    assert refusal() == (
        f"the environment has a Connection 'team' that Airflow cannot read{reason}; correct its JSON, or "
        "percent-encode the special characters of its URI (docs/connections.md)"
    )


def test_fields_of_the_docker_provider_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, **{**LOGIN, "conn_type": "docker", "extra": {"reauth": False, "email": "a@example.org"}})
    assert endpoint().credentials is not None


class Down(BaseSecretsBackend):
    """A secrets backend that does not respond."""

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Connection | None:  # noqa: ARG002 - as Airflow calls it
        raise ConnectionError(f"vault.example:8200 refused {conn_id}")


class Blinking(BaseSecretsBackend):
    """A secrets backend that fails once."""

    def __init__(self) -> None:
        self.calls = 0

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Connection | None:  # noqa: ARG002 - as Airflow calls it
        self.calls += 1
        if self.calls == 1:
            raise TimeoutError
        return Connection(conn_id=conn_id, conn_type="docker", login="robot", password="of-the-robot-1")


BACKENDS = f"{__name__}."


def with_backend(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", BACKENDS + name)
    monkeypatch.setattr("airflow.sdk.configuration._secrets_backend_cache", {})


class TestBackends:
    def test_what_no_place_has_is_missing(self) -> None:
        assert find_connection("team") is None
        assert refusal() == (
            "registry 'acr': no Airflow Connection named 'team'; create it (type oci_registry or docker, with login "
            "and password: docs/connections.md), or remove 'connection:' if anonymous pulls are enough"
        )

    def test_one_that_is_down_is_named_and_temporary(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with_backend(monkeypatch, "Down")
        with pytest.raises(TemporaryError) as caught:
            endpoint()
        assert str(caught.value) == (
            "it is unknown whether Airflow has a Connection 'team': the secrets backend Down could not be asked "
            "(ConnectionError: vault.example:8200 refused team); each new try looks for it again"
        )

    def test_one_that_is_down_does_not_hide_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with_backend(monkeypatch, "Down")
        given(monkeypatch, **LOGIN)
        assert endpoint().credentials is not None

    def test_one_that_blinks_is_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with_backend(monkeypatch, "Blinking")
        assert endpoint().credentials is not None

    def test_one_that_does_not_exist_is_a_mistake_of_the_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with_backend(monkeypatch, "Nowhere")
        assert refusal().startswith("Airflow cannot read the Connection 'team': ")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client(authority: CertificateAuthority) -> Certificate:
    return authority.issue(["robot"], is_client=True)


@pytest.fixture(scope="module")
def secure(authority: CertificateAuthority, client: Certificate) -> Iterator[RegistryProcess]:
    """A registry with a private CA that requires a client certificate and a login."""
    auth = Htpasswd(users={"robot": LOGIN["password"]})
    with RegistryProcess(tls=authority.issue(), client_ca=authority.ca_file, client=client, auth=auth) as registry:
        yield registry


def certificates(authority: CertificateAuthority, client: Certificate, form: str) -> dict[str, str]:
    files = {
        "ca": authority.ca_file,
        "client_certificate": client.cert_file,
        "client_private_key": client.key_file,
    }
    texts = {name: file.read_text() for name, file in files.items()}
    match form:
        case "paths":
            return {name: str(file) for name, file in files.items()}
        case "one line":
            return {name: text.replace("\n", " ") for name, text in texts.items()}
        case "escaped":
            return {name: text.replace("\n", "\\n") for name, text in texts.items()}
    return texts


class TestCertificates:
    @pytest.mark.parametrize("form", ["PEM", "paths", "one line", "escaped"])
    def test_they_reach_our_client(
        self,
        monkeypatch: pytest.MonkeyPatch,
        secure: RegistryProcess,
        authority: CertificateAuthority,
        client: Certificate,
        form: str,
    ) -> None:
        given(monkeypatch, **LOGIN, host=secure.host, extra=certificates(authority, client, form))
        hook = RegistryHook(Registry(name="own", host=secure.host, connection="team"))
        opened = hook.get_conn()
        opened.ping()
        assert opened.head_manifest(Repository(secure.host, "team/none"), "v1") is None
        opened.close()
        assert OciRegistryHook("team").test_connection() == (True, f"logged in to {secure.host} as 'robot'")

    def test_without_the_key_of_the_certificate_nothing_is_sent(
        self,
        monkeypatch: pytest.MonkeyPatch,
        secure: RegistryProcess,
        authority: CertificateAuthority,
        client: Certificate,
    ) -> None:
        extra = certificates(authority, client, "PEM") | {
            "client_private_key": authority.issue(["other"], is_client=True).key_file.read_text()
        }
        given(monkeypatch, **LOGIN, host=secure.host, extra=extra)
        is_well, message = OciRegistryHook("team").test_connection()
        assert not is_well
        assert message.startswith("the client certificate of the Connection cannot be used: ")
        assert message.endswith("; does its key belong to it?")


ONE = images.multi_arch("behind a client certificate")


def shown(client: Certificate) -> requests.Session:
    """A session that shows a client certificate."""
    session = requests.Session()
    session.cert = (str(client.cert_file), str(client.key_file))
    return session


class TestCertificatesOfTheFile:
    """``client_certificate`` and ``client_key`` of a registry, for access without a Connection too."""

    def test_they_reach_our_client_and_skopeo(
        self, authority: CertificateAuthority, client: Certificate, tmp_path: Path
    ) -> None:
        with RegistryProcess(tls=authority.issue(), client_ca=authority.ca_file, client=client) as anonymous:
            digest = images.push(anonymous.url, "team/app", "v1", ONE, ca_file=authority.ca_file, session=shown(client))
            options: dict[str, Any] = {"client_certificate": client.cert_file, "client_key": client.key_file}
            own = Registry(name="own", host=anonymous.host, ca_file=authority.ca_file, **options)
            for opened in (RegistryHook(own).get_conn(), RegistryHook(own).get_node_conn(PATIENCE_SECONDS)):
                assert opened.head_manifest(Repository(anonymous.host, "team/app"), "v1") == digest
                opened.close()
            files = write_skopeo_files(
                tmp_path, source=RegistryHook(own).endpoint, destination=Endpoint(host="b.example")
            )
            directory = files.source.cert_dir
            assert directory is not None
            assert (directory / "client.cert").read_text() == client.cert_file.read_text()
            assert (directory / "client.key").read_text() == client.key_file.read_text()
            assert (directory / "client.key").stat().st_mode & 0o777 == 0o600

    def test_they_stand_beside_a_login(
        self,
        monkeypatch: pytest.MonkeyPatch,
        secure: RegistryProcess,
        authority: CertificateAuthority,
        client: Certificate,
    ) -> None:
        given(monkeypatch, **LOGIN)
        files: dict[str, Any] = {
            "client_certificate": client.cert_file,
            "client_key": client.key_file,
            "ca_file": authority.ca_file,
        }
        opened = RegistryHook(Registry(name="own", host=secure.host, connection="team", **files)).get_conn()
        opened.ping()
        opened.close()

    def test_both_places_are_a_mistake(
        self, monkeypatch: pytest.MonkeyPatch, authority: CertificateAuthority, client: Certificate
    ) -> None:
        extra = certificates(authority, client, "paths")
        del extra["ca"]
        given(monkeypatch, **LOGIN, extra=extra)
        assert refusal(client_certificate=client.cert_file, client_key=client.key_file) == (
            "Connection 'team' has client_certificate, and registry 'acr' has client_certificate; remove one of them"
        )

    def test_files_that_cannot_be_used_are_named(
        self, authority: CertificateAuthority, client: Certificate, tmp_path: Path
    ) -> None:
        missing, other = tmp_path / "none.key", authority.issue(["other"], is_client=True)
        page = tmp_path / "page.key"
        page.write_text("<html>")
        for key, start in (
            (missing, f"client_key of registry 'own': '{missing}' cannot be read on this worker: No such file or"),
            (page, f"client_key of registry 'own', '{page}', is not PEM: it has no whole block from"),
            (other.key_file, "the client certificate of registry 'own' cannot be used: "),
        ):
            own = Registry(name="own", host=HOST, client_certificate=client.cert_file, client_key=key)
            with pytest.raises(ConfigurationError) as caught:
                RegistryHook(own).get_conn().ping()
            assert str(caught.value).startswith(start)


PROXY = "http://proxy.example:3128"


class TestProxies:
    """``proxy`` and ``proxy_connection`` of a registry."""

    def proxy(self, **options: Any) -> Proxy | None:
        return RegistryHook(Registry(name="acr", host=HOST, **options)).endpoint.proxy

    def test_the_address_is_that_of_the_file(self) -> None:
        assert self.proxy() is None
        assert self.proxy(proxy="none") == Proxy(url="")
        assert self.proxy(proxy=PROXY) == Proxy(url=PROXY)

    @pytest.mark.parametrize(
        "host", ["", "proxy.example", "Proxy.Example", "proxy.example:3128", "http://proxy.example:3128/"]
    )
    @pytest.mark.parametrize("conn_type", ["http", "generic"])
    def test_the_login_is_that_of_the_connection(
        self, monkeypatch: pytest.MonkeyPatch, host: str, conn_type: str
    ) -> None:
        given(monkeypatch, **{**LOGIN, "conn_type": conn_type, "host": host})
        proxy = self.proxy(proxy=PROXY, proxy_connection="team")
        assert proxy == Proxy(url=PROXY, credentials=Credentials(username="robot", secret="of-the-robot-1"))
        assert proxy is not None
        assert masked_text(with_login(proxy)) == "http://***@proxy.example:3128"

    @pytest.mark.parametrize(
        "fields",
        [
            *({"host": host} for host in ("[fd00::1]", "[fd00::1]:3128", "fd00::1", "FD00::1", "http://[fd00::1]/")),
            {"host": "fd00::1", "port": 3128, "schema": "http"},
        ],
    )
    def test_an_address_of_ipv6_may_be_the_host(self, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]) -> None:
        given(monkeypatch, **{**LOGIN, "conn_type": "http", **fields})
        proxy = self.proxy(proxy="http://[fd00::1]:3128", proxy_connection="team")
        assert proxy is not None
        assert proxy.credentials is not None

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            (
                {"host": "other.example"},
                (
                    "Connection 'team' is for host 'other.example', but the proxy is 'http://proxy.example:3128'; its "
                    "password was not sent. Correct one of them, or leave the host and port of the Connection empty"
                ),
            ),
            (
                {"host": "proxy.example:8080"},
                (
                    "Connection 'team' is for host 'proxy.example:8080', but the proxy is 'http://proxy.example:3128'; "
                    "its password was not sent. Correct one of them, or leave the host and port of the Connection empty"
                ),
            ),
            (
                {"host": "proxy.example", "port": 8080},
                (
                    "Connection 'team' is for port 8080, but the proxy is 'http://proxy.example:3128'; its password "
                    "was not sent. Correct one of them, or leave the host and port of the Connection empty"
                ),
            ),
            *(
                (
                    fields,
                    (
                        "Connection 'team' is for https, but the proxy is 'http://proxy.example:3128'; its password "
                        "was not sent in clear text. Correct one of them"
                    ),
                )
                for fields in ({"host": "https://proxy.example"}, {"host": "proxy.example", "schema": "https"})
            ),
            ({"login": "a:b"}, "Connection 'team' has a ':' in its login, which no proxy can read"),
            ({"password": ""}, "Connection 'team' has no login and password; edit it"),
            (
                {"conn_type": "aws"},
                (
                    "Connection 'team' has the type 'aws', so nothing of it was sent; write the id of a Connection of "
                    "type http"
                ),
            ),
        ],
    )
    def test_what_cannot_be_used_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], problem: str
    ) -> None:
        given(monkeypatch, **{**LOGIN, "conn_type": "http", **fields})
        with pytest.raises(ConfigurationError) as caught:
            self.proxy(proxy=PROXY, proxy_connection="team")
        assert str(caught.value) == f"registry 'acr': proxy_connection: {problem}"

    def test_one_that_does_not_exist_is_named(self) -> None:
        with pytest.raises(NoConnection) as caught:
            self.proxy(proxy=PROXY, proxy_connection="nobody")
        assert str(caught.value) == (
            "registry 'acr': proxy_connection: no Airflow Connection named 'nobody'; create it (type http, with login "
            "and password)"
        )


NO_HOST = (
    "the Connection has no host, so it does not say where to log in; the mirrors file has the host then: run "
    "registry-sync check"
)


@pytest.fixture(scope="module")
def locked() -> Iterator[RegistryProcess]:
    with RegistryProcess(auth=Htpasswd(users={"robot": LOGIN["password"]})) as registry:
        yield registry


class TestButton:
    """``Connection.test_connection``, which Airflow's API server and its workers call."""

    @pytest.mark.parametrize("form", ["{host}", "{host}/v2/", "http://{host}/"])
    def test_it_logs_in(self, monkeypatch: pytest.MonkeyPatch, locked: RegistryProcess, form: str) -> None:
        given(monkeypatch, **LOGIN, host="http://" + form.format(host=locked.host).removeprefix("http://"))
        assert OciRegistryHook("team").test_connection() == (True, f"logged in to {locked.host} as 'robot'")

    def test_a_wrong_password_is_said_and_not_shown(
        self, monkeypatch: pytest.MonkeyPatch, locked: RegistryProcess
    ) -> None:
        given(monkeypatch, **{**LOGIN, "password": "something-wrong"}, host=f"http://{locked.host}")
        is_well, message = OciRegistryHook("team").test_connection()
        assert not is_well
        assert message.startswith(f"{locked.host} rejects the login of 'robot': GET {locked.url}/v2/ answered 401")
        assert "something-wrong" not in message

    def test_a_registry_that_is_down_is_asked_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given(monkeypatch, **LOGIN, host="http://127.0.0.1:1")
        is_well, message = OciRegistryHook("team").test_connection()
        assert not is_well
        assert message.startswith("http://127.0.0.1:1 cannot be reached: ")

    def test_a_connection_without_host_cannot_be_tested(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given(monkeypatch, **LOGIN)
        assert OciRegistryHook("team").test_connection() == (
            False,
            NO_HOST,
        )

    def test_the_provider_names_this_hook(self) -> None:
        """Airflow makes the hook with ``conn_name_attr`` as its only argument."""
        (described,) = CONNECTION_TYPES
        hook = OciRegistryHook
        assert described["hook-class-name"] == f"{hook.__module__}.{hook.__name__}"
        assert described["connection-type"] == hook.conn_type
        assert described["hook-name"] == hook.hook_name
        assert issubclass(hook, BaseHook)
        assert hook(**{hook.conn_name_attr: "team"}).registry_conn_id == "team"


@pytest.mark.parametrize("mover", ["skopeo", "direct"])
def test_both_movers_use_the_certificates(
    monkeypatch: pytest.MonkeyPatch,
    source: RegistryProcess,
    secure: RegistryProcess,
    authority: CertificateAuthority,
    client: Certificate,
    mover: str,
) -> None:
    """Skopeo gets them by its ``--dest-cert-dir``."""
    images.push(source.url, mover, "v1", images.multi_arch(mover))
    given(monkeypatch, **LOGIN, extra=certificates(authority, client, "PEM"))
    route = make_route(source, secure, mover, transfer=mover)
    backup = Registry(name="backup", host=secure.host, connection="team")
    with open_session(replace(route, destination=backup), HookConnections(task="a test")) as session:
        report = sync_report(session, RouteScope(window=ALL_TAGS))
    assert counted(report) == {"copied": 1}, report.error


class TestTasks:
    """Where a task looks: the environment, and Airflow's API server."""

    def plan(self, tmp_path: Path, **api: Any) -> TaskRunResult:
        registries = {"origin": {"host": "127.0.0.1:1", "tls": False, "connection": "team"}, "acr": {"host": HOST}}
        mirror = {"source": "acr", "destinations": ["origin"], "repositories": ["team/app"]}
        path = tmp_path / "mirrors.yaml"
        path.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
        file = load_mirrors(path)
        dag = build_dag(file.mirrors["team"], file)
        return run(dag, "routes_to_origin", FakeApi(dag_id=dag.dag_id, **api))

    def test_another_type_fails_the_first_task(self, tmp_path: Path) -> None:
        fields = {"conn_type": "wasb", "login": "AKIA", "password": "the-secret-key"}
        result = self.plan(tmp_path, connections={"team": fields})
        assert (result.state, type(result.error)) == ("failed", ConfigurationError)
        assert str(result.error) == OTHER_TYPE.format("the type 'wasb'").replace("acr", "origin")

    def test_a_cloud_s_identity_for_another_registry_fails_the_first_task(self, tmp_path: Path) -> None:
        fields = {"conn_type": "aws", "login": "AKIA", "password": "the-secret-key"}
        result = self.plan(tmp_path, connections={"team": fields})
        assert (result.state, type(result.error)) == ("failed", ConfigurationError)
        assert str(result.error) == (
            "registry 'origin': Connection 'team' has an identity of AWS, but 127.0.0.1:1 is not a host of a registry "
            "of AWS; nothing was sent. Write a Connection that belongs to this registry"
        )

    @pytest.mark.parametrize("status", [400, 409, 422])
    def test_an_api_server_that_does_not_say_is_temporary(self, tmp_path: Path, status: int) -> None:
        """A 5xx is alike, after half a minute of retries by Airflow."""
        result = self.plan(tmp_path, connection_status=status)
        assert (result.state, type(result.error)) == ("up_for_retry", TemporaryError)
        assert str(result.error).startswith(
            "it is unknown whether Airflow has a Connection 'team': Airflow's API server could not be asked ("
        )

    def test_a_denied_connection_is_not_missing(self, tmp_path: Path) -> None:
        result = self.plan(tmp_path, connection_status=403)
        assert (result.state, type(result.error)) == ("failed", ConfigurationError)
        assert str(result.error).startswith("Airflow denies this task the Connection 'team': ")
