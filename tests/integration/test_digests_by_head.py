"""The digest of a tag where a HEAD is refused, believed missing, or answered with an odd digest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from registry_sync.errors import DeniedError, RateLimited, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.distribution import DistributionClient
from testkit import images
from testkit.clients import connect
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess

IMAGE = images.multi_arch("one")
NAME = "team/app"
HEX = IMAGE.digest.encoded
TAG = f"/v2/{NAME}/manifests/v1"
pytestmark = pytest.mark.usefixtures("recorded_pauses")


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v1", IMAGE)
        yield registry


@pytest.fixture
def wire(registry: RegistryProcess) -> Iterator[Interceptor]:
    with Interceptor(registry.url) as interceptor:
        yield interceptor


def digest_of(wire: Interceptor, tag: str | Digest = "v1", *, is_expected: bool = False) -> Digest | None:
    with connect(DistributionClient, wire) as asked:
        return asked.head_manifest(Repository(wire.host, NAME), tag, is_expected=is_expected)


def methods(wire: Interceptor) -> list[str]:
    return [request.method for request in wire.requests()]


def test_a_head_is_one_request(wire: Interceptor) -> None:
    assert digest_of(wire, is_expected=True) == IMAGE.digest
    assert methods(wire) == ["HEAD"]


@pytest.mark.parametrize("status", [400, 403, 405, 406, 412, 415, 451, 501])
def test_a_refused_head_is_settled_by_one_get(wire: Interceptor, status: int) -> None:
    wire.answer("HEAD", TAG, status)
    assert digest_of(wire) == IMAGE.digest
    assert methods(wire) == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("status", "expected", "advice"),
    [
        (403, DeniedError, " (not permitted with these credentials, or it does not exist)"),
        (412, RefusedError, ""),
        (451, RefusedError, ""),
    ],
)
def test_the_reason_of_a_refusal_is_in_the_body_of_a_get(
    wire: Interceptor, status: int, expected: type[RegistrySyncError], advice: str
) -> None:
    """Harbor's pull policies answer 412 to both; only the GET has words."""
    wire.answer("HEAD", TAG, status)
    wire.answer("GET", TAG, status, b'{"errors": [{"code": "DENIED", "message": "not signed"}]}')
    with pytest.raises(RegistrySyncError) as caught:
        digest_of(wire)
    assert type(caught.value) is expected
    assert str(caught.value) == f"GET {wire.url}{TAG} answered {status} DENIED: not signed{advice}"
    assert methods(wire) == ["HEAD", "GET"]


def test_a_missing_tag_is_believed_unless_it_was_listed(wire: Interceptor) -> None:
    wire.answer("HEAD", TAG, 404)
    assert digest_of(wire) is None
    assert digest_of(wire, is_expected=True) == IMAGE.digest
    assert methods(wire) == ["HEAD", "HEAD", "GET"]


def test_a_listed_tag_that_is_gone(wire: Interceptor) -> None:
    assert digest_of(wire, "v2", is_expected=True) is None
    assert methods(wire) == ["HEAD", "GET"]


@pytest.mark.parametrize("status", [429, 503])
def test_an_outage_and_a_rate_limit_are_not_settled_by_a_get(wire: Interceptor, status: int) -> None:
    wire.answer("HEAD", TAG, status, headers={"Retry-After": "60"})
    with pytest.raises((RateLimited, TemporaryError), match=f"HEAD .* answered {status}"):
        digest_of(wire)
    assert methods(wire) == ["HEAD"]


@pytest.mark.parametrize(
    "header",
    [
        f"sha256:{HEX.upper()}",
        f"SHA256:{HEX.upper()}",
        f'"sha256:{HEX}"',
        f" 'sha256:{HEX}' ",
        f"sha256:{HEX}, sha256:{HEX}",
        f"sha256:{HEX},sha256:{HEX.upper()}",
    ],
)
def test_forms_of_the_digest_header(wire: Interceptor, header: str) -> None:
    wire.answer("HEAD", TAG, 200, headers={"Docker-Content-Digest": header})
    assert digest_of(wire) == IMAGE.digest
    assert methods(wire) == ["HEAD"]


@pytest.mark.parametrize("header", ["", "sha256:short", "md5:00", f"sha256:{HEX}, sha256:{64 * '0'}", "latest", "\xff"])
def test_any_other_digest_header_is_settled_by_one_get(wire: Interceptor, header: str) -> None:
    wire.answer("HEAD", TAG, 200, headers={"Docker-Content-Digest": header})
    assert digest_of(wire) == IMAGE.digest
    assert methods(wire) == ["HEAD", "GET"]


def test_a_sha512_digest_without_a_header_is_computed_as_such(wire: Interceptor) -> None:
    digest = Digest.of(IMAGE.content, "sha512")
    wire.answer("HEAD", "/manifests/", 200)
    wire.answer("GET", "/manifests/", 200, IMAGE.content)
    assert digest_of(wire, digest) == digest


def test_a_web_page_is_not_a_manifest(wire: Interceptor) -> None:
    wire.answer("HEAD", TAG, 404)
    wire.answer("GET", TAG, 200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
    with pytest.raises(TemporaryError) as caught:
        digest_of(wire, is_expected=True)
    assert str(caught.value) == f"{wire.url}{TAG} answered 200 with text/html, not JSON"
