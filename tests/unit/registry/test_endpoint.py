"""Credentials: the Basic header, and a secret that is never shown."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from registry_sync.registry.endpoint import ClientCertificate, Credentials, Endpoint

SECRET = "hunter2"


def test_the_secret_is_in_no_text() -> None:
    credentials = Credentials(username="robot", secret=SECRET)
    endpoint = Endpoint(host="quay.io", ca_file=Path("/ca.pem"), credentials=credentials)
    certificate = ClientCertificate(certificate="PEM", key=SECRET)
    assert repr(certificate) == "ClientCertificate(certificate='PEM', place='of the Connection')"
    assert f"{credentials} {credentials!r}" == "Credentials(username='robot') Credentials(username='robot')"
    assert repr(endpoint) == (
        "Endpoint(host='quay.io', tls=True, ca_file=PosixPath('/ca.pem'), ca_pem='', client_certificate=None, "
        "credentials=Credentials(username='robot'), identity=None, anonymous_by_design=False, "
        "proxy=None)"
    )


@pytest.mark.parametrize("secret", [SECRET, "pässwörd", "with:colon", ""])
def test_basic_is_user_and_secret_in_utf_8(secret: str) -> None:
    basic = Credentials(username="org+robot", secret=secret).basic()
    assert b64decode(basic).decode() == f"org+robot:{secret}"


def test_a_registry_is_reached_over_tls_and_anonymously_unless_said() -> None:
    assert Endpoint(host="quay.io") == Endpoint(host="quay.io", tls=True, ca_file=None, credentials=None)
