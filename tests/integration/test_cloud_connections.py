"""Connections of clouds, roles and ``identity: ambient``, as the identities of registries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.config.registry import Registry
from registry_sync.errors import ConfigurationError, MirrorsFileError
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsKeys, AwsRole
from registry_sync.registry.identity.azure import AzureIdentity, AzureSecret
from registry_sync.registry.identity.google import SCOPES, GoogleIdentity
from registry_sync.routes.load import load_mirrors

ECR, GAR, ACR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "europe-docker.pkg.dev", "mirror.azurecr.io"
ROLE = "arn:aws:iam::123456789012:role/mirror"
CLIENT = "11111111-2222-3333-4444-555555555555"
NAME = "Connection 'team'"


def endpoint(monkeypatch: pytest.MonkeyPatch, host: str, fields: dict[str, Any], **options: Any) -> Endpoint:
    monkeypatch.setenv("AIRFLOW_CONN_TEAM", json.dumps(fields))
    return RegistryHook(Registry(name="r", host=host, connection="team", **options)).endpoint


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        ({}, AwsIdentity(origin=NAME)),
        (
            {"login": "AKIA", "password": "secret", "extra": {"region_name": "eu-west-1", "aws_session_token": "t"}},
            AwsIdentity(
                origin=NAME,
                region="eu-west-1",
                keys=AwsKeys(access_key_id="AKIA", secret_access_key="secret", session_token="t"),
            ),
        ),
        (
            {"extra": {"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret"}},
            AwsIdentity(origin=NAME, keys=AwsKeys(access_key_id="AKIA", secret_access_key="secret")),
        ),
        ({"extra": {"profile_name": "mirror"}}, AwsIdentity(origin=NAME, profile="mirror")),
        (
            {"extra": {"role_arn": ROLE, "assume_role_kwargs": {"ExternalId": "42"}}},
            AwsIdentity(origin=NAME, role=AwsRole(arn=ROLE, arguments={"ExternalId": "42"})),
        ),
        (
            {
                "extra": {
                    "role_arn": ROLE,
                    "assume_role_method": "assume_role_with_web_identity",
                    "assume_role_with_web_identity_federation": "file",
                    "assume_role_with_web_identity_token_file": "/var/run/token",
                }
            },
            AwsIdentity(origin=NAME, role=AwsRole(arn=ROLE, token_file="/var/run/token")),
        ),
        (
            {"extra": {"endpoint_url": "https://vpce", "service_config": {"sts": {"endpoint_url": "https://sts"}}}},
            AwsIdentity(
                origin=NAME,
                endpoint_urls={"ecr": "https://vpce", "ecr-public": "https://vpce", "sts": "https://sts"},
            ),
        ),
    ],
)
def test_an_aws_connection(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], identity: AwsIdentity) -> None:
    found = endpoint(monkeypatch, ECR, {"conn_type": "aws", **fields})
    assert found.identity == identity
    assert found.credentials
    assert found.credentials.user == f"the AWS identity of {NAME}"


@pytest.mark.parametrize(
    ("extra", "identity"),
    [
        ({}, GoogleIdentity(origin=NAME)),
        (
            {"keyfile_dict": json.dumps({"type": "service_account", "private_key": "a\\nb"})},
            GoogleIdentity(origin=NAME, info={"type": "service_account", "private_key": "a\nb"}),
        ),
        ({"key_path": "/key.json"}, GoogleIdentity(origin=NAME, file="/key.json")),
        ({"extra__google_cloud_platform__key_path": "/key.json"}, GoogleIdentity(origin=NAME, file="/key.json")),
        ({"credential_config_file": "/wif.json"}, GoogleIdentity(origin=NAME, file="/wif.json")),
        (
            {"credential_config_file": {"type": "external_account"}},
            GoogleIdentity(origin=NAME, info={"type": "external_account"}),
        ),
        ({"impersonation_chain": "a@p, b@p"}, GoogleIdentity(origin=NAME, chain=("a@p", "b@p"))),
        ({"impersonation_chain": ["a@p"], "scope": ",".join(SCOPES)}, GoogleIdentity(origin=NAME, chain=("a@p",))),
    ],
)
def test_a_google_connection(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], identity: GoogleIdentity) -> None:
    found = endpoint(monkeypatch, GAR, {"conn_type": "google_cloud_platform", "extra": extra})
    assert found.identity == identity


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        ({}, AzureIdentity(origin=NAME)),
        (
            {"login": "app", "password": "secret", "extra": {"tenantId": "tenant"}},
            AzureIdentity(origin=NAME, secret=AzureSecret(client_id="app", client_secret="secret", tenant_id="tenant")),
        ),
        (
            {"extra": {"key_json": {"clientId": "app", "clientSecret": "secret", "tenantId": "tenant"}}},
            AzureIdentity(origin=NAME, secret=AzureSecret(client_id="app", client_secret="secret", tenant_id="tenant")),
        ),
        (
            {"extra": {"managed_identity_client_id": "m", "workload_identity_tenant_id": "t"}},
            AzureIdentity(origin=NAME, client_id="m", tenant_id="t"),
        ),
    ],
)
@pytest.mark.parametrize("host", [ACR, "mirror.azurecr.cn", "mirror.azurecr.us"])
def test_an_azure_connection(
    monkeypatch: pytest.MonkeyPatch, host: str, fields: dict[str, Any], identity: AzureIdentity
) -> None:
    assert endpoint(monkeypatch, host, {"conn_type": "azure", **fields}).identity == identity


@pytest.mark.parametrize(
    ("host", "role", "identity"),
    [
        (ECR, ROLE, AwsIdentity(origin=NAME, role=AwsRole(arn=ROLE))),
        ("public.ecr.aws", ROLE, AwsIdentity(origin=NAME, role=AwsRole(arn=ROLE))),
        (GAR, "m@p.iam.gserviceaccount.com", GoogleIdentity(origin=NAME, chain=("m@p.iam.gserviceaccount.com",))),
        (ACR, CLIENT, AzureIdentity(origin=NAME, client_id=CLIENT)),
    ],
)
def test_a_role_of_a_registry_s_connection(
    monkeypatch: pytest.MonkeyPatch, host: str, role: str, identity: object
) -> None:
    assert endpoint(monkeypatch, host, {"conn_type": "oci_registry", "extra": {"role": role}}).identity == identity


@pytest.mark.parametrize(
    "fields",
    [{"conn_type": "google_cloud_platform"}, {"conn_type": "oci_registry", "extra": {"role": "a@b.example"}}, None],
)
def test_an_api_elsewhere_gets_no_token_of_a_cloud(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any] | None
) -> None:
    """It is good for more than one registry. AWS' SDK signs its calls, so it may call an API at a VPC endpoint."""
    api = "https://api.example"
    with pytest.raises(ConfigurationError) as caught:
        if fields:
            endpoint(monkeypatch, GAR, fields, kind="harbor", api_url=api)
        else:
            _ = RegistryHook(Registry(name="r", host=GAR, identity="ambient", kind="harbor", api_url=api)).endpoint
    assert str(caught.value) == (
        f"registry 'r': {GAR} is reached with an identity of its cloud, whose token api_url '{api}' would get; nothing "
        "was sent. Remove api_url"
    )
    assert endpoint(monkeypatch, ECR, {"conn_type": "aws"}, api_url=api).identity == AwsIdentity(origin=NAME)


def test_the_identity_of_the_worker() -> None:
    found = RegistryHook(Registry(name="r", host=ACR, identity="ambient")).endpoint
    assert found.identity == AzureIdentity(origin="this worker")


@pytest.mark.parametrize(
    ("host", "fields", "message"),
    [
        (
            ECR,
            {"conn_type": "aws", "login": "AKIA"},
            f"{NAME} has only one of access key id (login) and secret access key (password)",
        ),
        (
            ECR,
            {"conn_type": "aws", "extra": {"role_arn": ROLE, "assume_role_method": "assume_role_with_saml"}},
            (
                f"{NAME}: assume_role_method assume_role_with_saml is not supported for registries; write assume_role, "
                "or assume_role_with_web_identity with assume_role_with_web_identity_federation: file"
            ),
        ),
        (
            ECR,
            {"conn_type": "aws", "extra": {"verify": False}},
            f"{NAME}: verify: false is not supported; write the path of a bundle, or remove it",
        ),
        (
            ECR,
            {"conn_type": "aws", "login": "key", "password": "secret", "extra": {"aws_session_token": ["token"]}},
            f"{NAME}: aws_access_key_id, aws_secret_access_key and aws_session_token must be text",
        ),
        (
            GAR,
            {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}},
            (
                f"{NAME}: is_anonymous is not supported for registries: remove connection: from the registry in the "
                "mirrors file for access without a login"
            ),
        ),
        (
            GAR,
            {"conn_type": "google_cloud_platform", "extra": {"key_path": "/k.json", "keyfile_dict": "{}"}},
            f"{NAME} has keyfile_dict and key_path; keep one of them",
        ),
        (
            ACR,
            {"conn_type": "azure", "login": "app", "password": "secret"},
            (
                f"{NAME} has no tenantId; an application needs client id, secret and tenantId, and a managed or "
                "workload identity none of them"
            ),
        ),
        (
            ECR,
            {"conn_type": "oci_registry", "extra": {"role": CLIENT}},
            f"{NAME}: its role is for {ECR}, of AWS, so it must be the ARN of a role",
        ),
        (
            "quay.io",
            {"conn_type": "oci_registry", "extra": {"role": ROLE}},
            "quay.io is not a registry of AWS, Google Cloud, Azure, so it has no identities",
        ),
        (
            ECR,
            {"conn_type": "oci_registry", "login": "u", "password": "p", "extra": {"role": ROLE}},
            f"{NAME} has a role, and a login or password; remove one of them",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    monkeypatch: pytest.MonkeyPatch, host: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        endpoint(monkeypatch, host, fields)
    assert str(caught.value) == f"registry 'r': {message}"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "{host: quay.io, identity: ambient}",
            (
                "identity is for registries of AWS, Google Cloud and Azure, and 'quay.io' is not a host of one; write "
                "a connection"
            ),
        ),
        (
            "{host: 12345678901.dkr.ecr.eu-west-1.amazonaws.com, identity: ambient}",
            (
                "'12345678901.dkr.ecr.eu-west-1.amazonaws.com' looks like ECR, but its hosts have "
                "the form ACCOUNT.dkr.ecr.REGION.amazonaws.com, with an ACCOUNT of 12 digits; correct it"
            ),
        ),
        (
            "{host: 123456789012.dkr.ecr.amazonaws.com, identity: ambient}",
            (
                "'123456789012.dkr.ecr.amazonaws.com' looks like ECR, but its hosts have "
                "the form ACCOUNT.dkr.ecr.REGION.amazonaws.com, with an ACCOUNT of 12 digits; correct it"
            ),
        ),
        (
            "{host: 123456789012.ecr.eu-west-1.amazonaws.com, identity: ambient}",
            (
                "'123456789012.ecr.eu-west-1.amazonaws.com' looks like ECR, but its hosts have "
                "the form ACCOUNT.dkr.ecr.REGION.amazonaws.com, with an ACCOUNT of 12 digits; correct it"
            ),
        ),
        (
            "{host: mirror.azurecr.io, identity: ambient, connection: team}",
            "identity: ambient replaces a connection; remove one of them",
        ),
        (
            "{host: mirror.azurecr.io, identity: ambient, tls: false}",
            "tls: false would send tokens of the identity in clear text; remove it",
        ),
        (
            "{host: registry.example, kind: acr, identity: ambient}",
            (
                "identity is for registries of AWS, Google Cloud and Azure, and 'registry.example' is not a host of "
                "one; write a connection"
            ),
        ),
    ],
)
def test_a_wrong_identity_is_shown_with_its_line(tmp_path: Path, entry: str, message: str) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text(
        f"registries:\n  hub: {{host: docker.io}}\n  r: {entry}\n"
        "mirrors:\n  m: {source: hub, destinations: [r], repositories: [library/a]}\n"
    )
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(path)
    assert str(caught.value) == f"mirrors.yaml:3: registries.r: {message}"


@pytest.mark.parametrize(
    ("host", "kind", "slip", "meant"),
    [
        (ECR, "aws", "rolearn", "role_arn"),
        (ECR, "aws", "role-arn", "role_arn"),
        (ECR, "aws", "region_nam", "region_name"),
        (GAR, "google_cloud_platform", "keypath", "key_path"),
        (GAR, "google_cloud_platform", "impersonation_chains", "impersonation_chain"),
        (ACR, "azure", "tenant_id", "tenantId"),
    ],
)
def test_a_slip_in_the_name_of_a_field(
    monkeypatch: pytest.MonkeyPatch, host: str, kind: str, slip: str, meant: str
) -> None:
    """The identity would be another one, such as that of the worker in place of a role."""
    with pytest.raises(ConfigurationError) as caught:
        endpoint(monkeypatch, host, {"conn_type": kind, "extra": {slip: "x"}})
    assert str(caught.value) == f"registry 'r': {NAME}: its extra has {slip!r}; did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("host", "kind", "field"),
    [
        (ECR, "aws", "aws_account_id"),
        (ECR, "aws", "external_id"),
        (ECR, "aws", "team"),
        (GAR, "google_cloud_platform", "num_retries"),
        (ACR, "azure", "subscriptionId"),
    ],
)
def test_other_fields_have_no_effect(monkeypatch: pytest.MonkeyPatch, host: str, kind: str, field: str) -> None:
    assert endpoint(monkeypatch, host, {"conn_type": kind, "extra": {field: "x"}}).identity
