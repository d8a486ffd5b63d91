"""Identities at clouds whose services answer 200 with something else, as proxies and portals of networks do."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError, LoginRejected, RegistrySyncError, TemporaryError
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.identity.aws_sessions import AwsRole
from registry_sync.registry.identity.azure import AzureIdentity
from registry_sync.registry.identity.google import GoogleIdentity
from testkit.aws import ACCOUNT
from testkit.scripted import Reply, ScriptedServer
from tests.integration.test_identities import ACR, ECR, GAR, KEYS, MY_AWS, _loopback, aws, ecr_answer, google_key

__all__ = ["_loopback"]

OF_AWS = "urn:ietf:params:aws:token-type:aws4_request"

BODIES = (
    b"<html><body>Please log in</body></html>",
    b"",
    b"null",
    b"[]",
    b"{}",
    b'{"error": "invalid_grant"}',
    b'{"authorizationData": "x", "access_token": 5, "expires_in": "x", "expires_on": []}',
    b'{"authorizationData": [], "access_token": null, "expires_in": {}, "expires_on": "x"}',
    b'{"authorizationData": [5], "access_token": "", "expires_in": 3600, "expires_on": null}',
    b'{"authorizationData": [{"authorizationToken": "\xc3\xa9", "proxyEndpoint": 5}], "access_token": ["x"]}',
    b"\xff\xfe",
)


def serve(body: bytes) -> ScriptedServer:
    return ScriptedServer(lambda _: Reply(headers={"Content-Type": "application/json"}, body=body))


def expected(cloud: str, action: str, origin: str) -> str:
    return f"{cloud} answered {action} of {origin} with something else; does a proxy answer in its place?"


@pytest.mark.parametrize("body", BODIES)
class TestAnswers:
    """None of them is an error of Python that ends a task, and none is a verdict about the identity."""

    def test_aws(self, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
        identity = replace(MY_AWS, role=AwsRole(arn=f"arn:aws:iam::{ACCOUNT}:role/mirror"))
        with serve(body) as api:
            monkeypatch.setenv("AWS_ENDPOINT_URL", api.url)
            with pytest.raises(TemporaryError) as of_sts:
                MY_AWS.describe(Endpoint(host=ECR))
            with pytest.raises(TemporaryError) as of_role:
                identity.log_in(Endpoint(host=ECR))
            with pytest.raises(RegistrySyncError, match=r"^AWS (answered|issued a token for)"):
                MY_AWS.log_in(Endpoint(host=ECR))
            with pytest.raises(TemporaryError, match=r"^AWS answered"):
                MY_AWS.log_in(Endpoint(host="public.ecr.aws"))
        assert str(of_sts.value) == expected("AWS", "sts:GetCallerIdentity", "Connection 'my_aws'")
        assert str(of_role.value) == expected("AWS", "ecr:GetAuthorizationToken", "Connection 'my_aws'")

    def test_google(self, body: bytes) -> None:
        with serve(body) as api, pytest.raises(RegistrySyncError) as caught:
            info = google_key(f"{api.url}/token")
            GoogleIdentity(origin="Connection 'my_gcp'", info=info).log_in(Endpoint(host=GAR))
        assert str(caught.value) == expected("Google", "a request for a token", "Connection 'my_gcp'") or (
            isinstance(caught.value, LoginRejected) and "No access token in response" in str(caught.value)
        )

    def test_azure(self, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
        with serve(body) as api:
            monkeypatch.setenv("IDENTITY_ENDPOINT", f"{api.url}/msi/token")
            monkeypatch.setenv("IDENTITY_HEADER", "secret-of-the-app")
            with pytest.raises(RegistrySyncError, match=r"(Entra ID|Azure) (answered|did not)|has no Azure identity"):
                AzureIdentity(origin="this worker").log_in(Endpoint(host=ACR))


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint_urls": {"ecr": "api.example"}},
        {"endpoint_urls": {"ecr": "https://"}},
        {"endpoint_urls": {"ecr": "\x00"}},
        {"options": {"retries": "x"}},
        {"options": {"connect_timeout": "x"}},
        {"options": {"proxies": "x"}},
        {"options": {"s3": "x"}},
        {"profile": 5},
    ],
)
def test_settings_of_aws_that_cannot_be_used_name_their_connection(settings: dict[str, Any]) -> None:
    with pytest.raises(RegistrySyncError) as caught:
        replace(MY_AWS, **settings).log_in(Endpoint(host=ECR))
    assert "Connection 'my_aws'" in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"credential_source": "x"},
        {"credential_source": {"certificate": "x"}},
        {"credential_source": "x", "subject_token_type": OF_AWS},
        {
            "credential_source": {"environment_id": 5},
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        },
        {"type": "service_account", "client_email": 5, "token_uri": 5, "private_key": 5},
        {"type": "authorized_user"},
        {"type": ["service_account"]},
    ],
)
def test_configurations_of_google_that_cannot_be_used_name_their_connection(fields: dict[str, Any]) -> None:
    federation = {
        "type": "external_account",
        "audience": "a",
        "subject_token_type": "x",
        "token_url": "https://sts.x/v1",
    }
    with pytest.raises(ConfigurationError, match=r"^Connection 'my_gcp' has "):
        GoogleIdentity(origin="Connection 'my_gcp'", info={**federation, **fields}).log_in(Endpoint(host=GAR))


def test_the_sdk_of_aws_logs_no_secrets(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """At level debug it would log whole requests and answers, before our own code can have them masked."""
    caplog.set_level(logging.DEBUG)
    identity = replace(MY_AWS, keys=replace(KEYS, session_token="of-the-session"))
    with aws(monkeypatch, lambda _: ecr_answer("issued-by-aws")):
        assert identity.log_in(Endpoint(host=ECR)).secret == "issued-by-aws"
    secrets = ("of-aws", "of-the-session", "issued-by-aws", Credentials(username="AWS", secret="issued-by-aws").basic())
    assert "botocore" in caplog.text
    assert [secret for secret in secrets if secret in caplog.text] == []
