"""Error texts of skopeo 1.9.3 and 1.22, collected by injecting faults, and the errors they become."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    ManifestNotStored,
    ManifestRefused,
    MissingContent,
    NotCopyableWhole,
    NotFound,
    NotTrusted,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
    UnsupportedArtifact,
)
from registry_sync.oci.reference import Digest, Reference, Repository
from registry_sync.skopeo.errors import decode_failure
from registry_sync.skopeo.image_copy import ImageCopy
from testkit.times import Due

DIGEST = Digest.of(b"image")
BLOB = Digest.of(b"blob")

PLAIN = Reference(Repository("quay.io", "team/app"), DIGEST), Reference(Repository("acr.example:5000", "a/b"), DIGEST)
MISLEADING = (
    Reference(Repository("x509.example", "quota/immutable"), DIGEST),
    Reference(Repository("denied.example", "toomanyrequests/x509"), DIGEST),
)

# In the texts: S and D are the references, SREPO and DREPO without digest, SHOST, DHOST, DNAME, TARGET, BLOB.
SRC = "initializing source docker://S: "
IMG = "copying image 1/2 from manifest list: "
READ = f"{SRC}reading manifest TARGET in SREPO: "
REUSE = f"{IMG}trying to reuse blob BLOB at destination: "
EXISTS = f"{REUSE}checking whether a blob BLOB exists in DREPO: "
START = f"{IMG}writing blob: initiating layer upload to /v2/DNAME/blobs/uploads/ in DHOST: "
CHUNK = f"{IMG}writing blob: uploading layer chunked: "
LAYER = f"{IMG}writing blob: uploading layer to https://DHOST/v2/DNAME/blobs/uploads/1?_state=secret: "
PATCH = f'{IMG}writing blob: Patch "https://DHOST/v2/DNAME/blobs/uploads/1?_state=secret": '
FETCH = f"{IMG}reading blob BLOB: "
PUT = f"{IMG}writing manifest: uploading manifest TARGET to DREPO: "
LIST = "Uploading manifest list failed, attempted the following formats: application/vnd.oci.image.index.v1+json("
INDEX = f"{LIST}uploading manifest TARGET to DREPO: "
ASK_S = f'{SRC}pinging container registry SHOST: Get "https://SHOST/v2/": '
ASK_D = f'{REUSE}pinging container registry DHOST: Get "https://DHOST/v2/": '
TCP = "readfrom tcp 192.0.2.1:1->192.0.2.2:443: happened during read: "
HTTP = "received unexpected HTTP status: "
CODE = "invalid status code from registry "
TOKEN = "unable to retrieve auth token: invalid username/password: "

SOURCE, DESTINATION, EITHER = "source SREPO", "destination DREPO", "the copy of S to DREPO"

TEXTS: list[tuple[str, type[RegistrySyncError], str]] = [
    (f"{READ}manifest unknown: manifest unknown", NotFound, SOURCE),
    (f"{READ}name unknown", NotFound, SOURCE),
    (f"{READ}StatusCode: 404, not found", NotFound, SOURCE),
    (f'{READ}StatusCode: 404, "not found"', NotFound, SOURCE),
    (
        f"{IMG}determining manifest MIME type for docker://S: reading manifest BLOB in SREPO: manifest unknown",
        NotFound,
        SOURCE,
    ),
    (f"{FETCH}Error fetching blob: {CODE}404 (Not Found)", NotFound, SOURCE),
    (f"{FETCH}fetching blob: blob unknown", NotFound, SOURCE),
    (f"{SRC}pinging container registry SHOST: {CODE}404 (Not Found)", TemporaryError, SOURCE),
    (f'{REUSE}pinging container registry DHOST: StatusCode: 404, ""', TemporaryError, DESTINATION),
    (f"{START}name unknown: The repository with name 'DNAME' does not exist", RefusedError, DESTINATION),
    (f"{START}StatusCode: 404, <html>", RefusedError, DESTINATION),
    (f"{CHUNK}StatusCode: 404, upload gone", TemporaryError, DESTINATION),
    (f"{READ}unauthorized: access to the requested resource is not authorized", DeniedError, SOURCE),
    (f"{SRC}{TOKEN}unauthorized: incorrect username or password", DeniedError, SOURCE),
    (f"{REUSE}{TOKEN}unauthorized: incorrect username or password", DeniedError, DESTINATION),
    (f"{EXISTS}unauthorized: authentication required", DeniedError, DESTINATION),
    (f"{EXISTS}authentication required", DeniedError, DESTINATION),
    (f"{IMG}reading config blob BLOB: {TOKEN}unauthorized", TemporaryError, SOURCE),
    (f"{FETCH}authentication required", TemporaryError, SOURCE),
    (f"{CHUNK}unauthorized: token expired", TemporaryError, DESTINATION),
    (f"{START}unauthorized", DeniedError, DESTINATION),
    (f"{READ}denied", DeniedError, SOURCE),
    (f"{START}denied: requested access to the resource is denied", DeniedError, DESTINATION),
    (f"{READ}StatusCode: 403, <html><body>no", DeniedError, SOURCE),
    (f'{READ}StatusCode: 403, "<html><body>no"', DeniedError, SOURCE),
    (f"{FETCH}Error fetching blob: {CODE}403 (Forbidden)", DeniedError, SOURCE),
    (f"{FETCH}fetching blob: denied", DeniedError, SOURCE),
    (f"{REUSE}failed to read from destination repository DNAME: 403 (Forbidden)", DeniedError, DESTINATION),
    (f'{EXISTS}StatusCode: 403, ""', DeniedError, DESTINATION),
    (f"{SRC}Requesting bearer token: {CODE}403 (Forbidden)", DeniedError, SOURCE),
    (f"{SRC}Requesting bearer token: {HTTP}403 Forbidden", DeniedError, SOURCE),
    (
        f"{START}denied: adding 50.2 KiB of storage resource, which will exceed the configured upper limit of 1.0 GiB",
        RefusedError,
        DESTINATION,
    ),
    (f"{READ}toomanyrequests: You have reached your pull rate limit.", RateLimited, SOURCE),
    (f"{SRC}pinging container registry SHOST: too many requests to registry", RateLimited, SOURCE),
    (f'{SRC}pinging container registry SHOST: StatusCode: 429, ""', RateLimited, SOURCE),
    (f"{FETCH}too many requests to registry", RateLimited, SOURCE),
    (f"{FETCH}fetching blob: toomanyrequests", RateLimited, SOURCE),
    (f"{INDEX}StatusCode: 429, )", RateLimited, DESTINATION),
    (f"{READ}{HTTP}503 Service Unavailable", TemporaryError, SOURCE),
    (f"{SRC}pinging container registry SHOST: {CODE}503 (Service Unavailable)", TemporaryError, SOURCE),
    (f"{FETCH}Error fetching blob: {CODE}502 (Bad Gateway)", TemporaryError, SOURCE),
    (f"{FETCH}fetching blob: {HTTP}502 Bad Gateway", TemporaryError, SOURCE),
    (
        f"{REUSE}failed to read from destination repository DNAME: 500 (Internal Server Error)",
        TemporaryError,
        DESTINATION,
    ),
    (f"{EXISTS}{HTTP}500 Internal Server Error", TemporaryError, DESTINATION),
    (f"{START}{HTTP}503 Service Unavailable", TemporaryError, DESTINATION),
    (f"{LAYER}{HTTP}504 Gateway Timeout", TemporaryError, DESTINATION),
    (f"{INDEX}{HTTP}500 Internal Server Error)", ManifestNotStored, DESTINATION),
    (f"{IMG}writing manifest: uploading manifest TARGET to DREPO: {HTTP}500 Internal", ManifestNotStored, DESTINATION),
    (f'{SRC}Get "https://SHOST/v2/": EOF', TemporaryError, SOURCE),
    (f"{ASK_S}dial tcp 192.0.2.1:443: connect: connection refused", TemporaryError, SOURCE),
    (f"{ASK_D}dial tcp: lookup DHOST on 192.0.2.53:53: no such host", TemporaryError, DESTINATION),
    (f"{PATCH}{TCP}read tcp 192.0.2.1:2->192.0.2.3:443: read: connection reset by peer", TemporaryError, SOURCE),
    (f"{PATCH}{TCP}unexpected EOF", TemporaryError, SOURCE),
    (f"{PATCH}write tcp 192.0.2.1:1->192.0.2.2:443: write: broken pipe", TemporaryError, DESTINATION),
    (f"{PATCH}use of closed network connection", TemporaryError, DESTINATION),
    (f"{PATCH}net/http: TLS handshake timeout", TemporaryError, DESTINATION),
    (f"{START}StatusCode: 405, Method not allowed", RefusedError, DESTINATION),
    (f"{CHUNK}StatusCode: 413, <html>", RefusedError, DESTINATION),
    (f"{ASK_S}x509: certificate signed by unknown authority", ConfigurationError, SOURCE),
    (
        f"{ASK_D}tls: failed to verify certificate: x509: certificate is valid for other.example, not DHOST",
        ConfigurationError,
        DESTINATION,
    ),
    (f"{ASK_S}tls: first record does not look like a TLS handshake", ConfigurationError, SOURCE),
    (f"{ASK_S}http: server gave HTTP response to HTTPS client", ConfigurationError, SOURCE),
    (f'{SRC}Get "https://SHOST/v2/": Proxy Authentication Required', ConfigurationError, SOURCE),
    (f"{PATCH}happened during read: Digest did not match, expected BLOB, got BLOB", TemporaryError, SOURCE),
    (f"{IMG}Download config.json digest BLOB does not match expected BLOB", TemporaryError, SOURCE),
    (f"{LAYER}digest invalid: provided digest did not match uploaded content", TemporaryError, DESTINATION),
    (f"{LAYER}provided digest did not match uploaded content", TemporaryError, DESTINATION),
    (
        f"{SRC}reading manifest TARGET in SREPO: Manifest does not match provided manifest digest TARGET",
        TemporaryError,
        SOURCE,
    ),
    (f"{PUT}manifest invalid: not this", ManifestRefused, DESTINATION),
    (f"{PUT}StatusCode: 415, not this type", ManifestRefused, DESTINATION),
    (f"{PUT}unsupported: The operation is unsupported.", ManifestRefused, DESTINATION),
    (f"{PUT}StatusCode: 405, no", ManifestRefused, DESTINATION),
    (f"{START}denied: The system is in read only mode. Any modification is prohibited.", TemporaryError, DESTINATION),
    (f"{START}denied: can not push artifact to a proxy project: proxy", RefusedError, DESTINATION),
    (f"{START}unsupported: The operation is unsupported.", RefusedError, DESTINATION),
    (f"{PUT}manifest blob unknown: blob unknown to registry", MissingContent, DESTINATION),
    (f"{PUT}blob unknown to registry", MissingContent, DESTINATION),
    (f"{INDEX}manifest unknown)", MissingContent, DESTINATION),
    (f"{PUT}unknown: tag is immutable", RefusedError, DESTINATION),
    (f"{PUT}tag invalid: this tag may not be overwritten", RefusedError, DESTINATION),
    (f"{INDEX}unknown: tag is immutable)", RefusedError, DESTINATION),
    (
        f"{PUT}denied: unknown manifest class for application/vnd.oci.empty.v1+json",
        UnsupportedArtifact,
        DESTINATION,
    ),
    (f"{INDEX}unauthorized: no)", DeniedError, DESTINATION),
    (f"{INDEX}denied)", DeniedError, DESTINATION),
    (f"{SRC}reading manifest TARGET in SREPO: context deadline exceeded", TemporaryError, SOURCE),
    (f"{IMG}Source image rejected: Debian-local change: sigstore disabled", ConfigurationError, SOURCE),
    (
        "Error loading trust policy: open /etc/containers/policy.json: no such file or directory",
        ConfigurationError,
        EITHER,
    ),
    ("Error loading trust policy: no policy.json file found at any of the following: …", ConfigurationError, EITHER),
    ("unknown flag: --preserve-digests", ConfigurationError, EITHER),
    (
        "Invalid source name docker://S: invalid reference format: repository name must be lowercase",
        ConfigurationError,
        EITHER,
    ),
    ("fatal error: something that nobody has seen yet", TemporaryError, EITHER),
]

CONVERT = (
    'Manifest list must be converted to type "application/vnd.oci.image.index.v1+json" to be written to destination'
)
NOT_WHOLE = [
    f"{IMG}Unexpectedly received a manifest list instead of a manifest for a single image",
    f'{CONVERT}, but we cannot modify it: "Instructed to preserve digests"',
]


NOT_COPYABLE = [
    "initializing image from source docker://S: invalid character '<' looking for …",
    "initializing image from source docker://S: invalid character 'ï' looking for beginning of value",
    "initializing image from source docker://S: unsupported schema version 2",
    f"{IMG}Internal error writing blob BLOB, saved with digest sha256:0",
    'Error preparing updated manifest: unsupported docker v2s2 media type: "application/vnd.oci.image.layer.v1.tar"',
    f"{SRC}json: cannot unmarshal string into Go struct field bearerToken.expires_in of type int",
    "reading config blob BLOB: exceeded maximum allowed size of 4194304 bytes",
    f"{READ}Manifest does not match provided manifest digest sha512:{128 * 'a'}",
]


def fill(text: str, names: tuple[Reference, Reference]) -> str:
    source, destination = names
    for name, value in (
        ("SREPO", source.repository),
        ("DREPO", destination.repository),
        ("SHOST", source.repository.host),
        ("DHOST", destination.repository.host),
        ("DNAME", destination.repository.name),
        ("TARGET", source.target),
        ("BLOB", BLOB),
        ("docker://S", f"docker://{source}"),
        ("the copy of S ", f"the copy of {source} "),
    ):
        text = text.replace(name, str(value))
    return text


def logged(text: str) -> str:
    """A line of logrus. For these texts Go quotes like JSON."""
    return f'time="2026-11-23T10:00:00Z" level=fatal msg={json.dumps(text, ensure_ascii=False)}'


def a_copy(names: tuple[Reference, Reference], *, is_index: bool = True) -> ImageCopy:
    return ImageCopy(source=names[0], destination=names[1], is_index=is_index, format="oci")


def decode(text: str, names: tuple[Reference, Reference], *, is_index: bool = True) -> RegistrySyncError:
    lines = ["Copying blob sha256:0", logged(text)]
    return decode_failure(1, lines, a_copy(names, is_index=is_index))


@pytest.mark.parametrize("names", [PLAIN, MISLEADING], ids=["plain", "misleading"])
@pytest.mark.parametrize(("text", "expected", "who"), TEXTS, ids=[text[-60:] for text, _, _ in TEXTS])
def test_a_text_becomes_an_error_of_its_class(
    text: str, expected: type[RegistrySyncError], who: str, names: tuple[Reference, Reference]
) -> None:
    error = decode(fill(text, names), names)
    assert type(error) is expected, str(error)
    assert str(error).startswith(f"{fill(who, names)} "), str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("text", NOT_WHOLE)
def test_an_index_that_cannot_be_copied_whole_has_its_own_error(text: str) -> None:
    error = decode(text, PLAIN)
    assert type(error) is NotCopyableWhole
    assert str(error).startswith(f"{PLAIN[0]} cannot be copied in one piece (skopeo: ")


@pytest.mark.parametrize("is_index", [True, False])
@pytest.mark.parametrize("text", NOT_COPYABLE)
def test_limits_of_skopeo_are_not_those_of_a_registry(text: str, is_index: bool) -> None:
    error = decode(fill(text, PLAIN), PLAIN, is_index=is_index)
    assert type(error) is NotCopyableWhole
    assert str(error).startswith(f"skopeo cannot copy {PLAIN[0]} as it is (skopeo: ")


TAKES_NONE = "takes no pushes: it is read-only, or a cache; choose another registry as the destination"
LIMITED = "or a proxy in front of it limits the size of uploads; raise that limit, such as nginx's client_max_body_size"
WRONG_TYPE = (
    "does not accept a manifest of this type or with these fields; zot accepts Docker's types only with "
    '"http": {"compat": ["docker2s2"]}'
)
NO_MANIFESTS = "does not accept a manifest of this type or with these fields, or takes no pushes (is it read-only?)"
READ_ONLY = "is in read-only mode, such as during a garbage collection, and takes no pushes meanwhile"
CACHE = "is in a project that caches another registry, and takes no pushes; choose another project"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (f"{START}StatusCode: 405, Method not allowed", TAKES_NONE),
        (f"{CHUNK}StatusCode: 413, <html>", LIMITED),
        (f"{PUT}manifest invalid: manifest invalid", WRONG_TYPE),
        (f"{PUT}StatusCode: 415, ", WRONG_TYPE),
        (f"{PUT}StatusCode: 405, ", NO_MANIFESTS),
        (f"{PUT}unsupported: Invalid parameter", NO_MANIFESTS),
        (f"{START}denied: The system is in read only mode. Any modification is prohibited.", READ_ONLY),
        (f"{START}denied: can not push artifact to a proxy project: proxy", CACHE),
    ],
)
def test_a_refusal_says_what_to_do(text: str, meaning: str) -> None:
    assert str(decode(fill(text, PLAIN), PLAIN)).startswith(f"destination acr.example:5000/a/b {meaning} (skopeo: ")


@pytest.mark.parametrize("names", [PLAIN, MISLEADING], ids=["plain", "misleading"])
@pytest.mark.parametrize(
    "why",
    [
        "Running image docker://S is rejected by policy.",
        "A signature was required, but no signature exists",
        "Signature for identity docker://S is not accepted",
    ],
)
def test_an_image_that_a_policy_rejects_is_not_trusted(why: str, names: tuple[Reference, Reference]) -> None:
    words = fill(f"{IMG}Source image rejected: {why}", names)
    error = decode_failure(1, [logged(words)], a_copy(names), Path("/etc/team.json"))
    assert type(error) is NotTrusted
    assert str(error).startswith(
        f"{names[0]} is not accepted by the policy '/etc/team.json'; sign it as the policy requires, or change the "
        "policy (skopeo: copying image 1/2 from manifest list: Source image rejected: "
    )


def test_a_message_says_where_what_and_what_to_do() -> None:
    error = decode(fill(f"{START}name unknown: no such\n\trepository", PLAIN), PLAIN)
    assert str(error) == (
        "destination acr.example:5000/a/b cannot be pushed to; create it at the registry first "
        "(skopeo: copying image 1/2 from manifest list: writing blob: initiating layer upload to "
        "/v2/a/b/blobs/uploads/ in acr.example:5000: name unknown: no such repository)"
    )


def test_tags_that_look_like_errors_are_ignored() -> None:
    tagged = (Reference(PLAIN[0].repository, "x509"), Reference(PLAIN[1].repository, "denied"))
    error = decode("initializing source docker://quay.io/team/app:x509: reading manifest x509 in quay.io/team/app: "
                   "manifest unknown", tagged)  # fmt: skip
    assert type(error) is NotFound
    error = decode("writing manifest: uploading manifest denied to acr.example:5000/a/b: EOF", tagged)
    assert type(error) is TemporaryError


@pytest.mark.parametrize(
    ("text", "host", "minutes"),
    [
        (f"{SRC}pinging container registry SHOST: too many requests to registry", "quay.io", 0),
        (f"{INDEX}StatusCode: 429, )", "acr.example:5000", 0),
        ("toomanyrequests", "", 0),
        (f"{READ}toomanyrequests: You have reached your pull rate limit.", "quay.io", 30),
    ],
)
def test_a_rate_limit_has_its_host_and_the_delay_that_is_known(text: str, host: str, minutes: int) -> None:
    due = Due(timedelta(minutes=minutes))
    error = decode(fill(text, PLAIN), PLAIN)
    assert isinstance(error, RateLimited)
    assert error.host == host
    assert due.is_at(error.retry_at)


@pytest.mark.parametrize(("code", "name"), [(-9, "9 (Killed)"), (-15, "15 (Terminated)")])
def test_a_signal_is_a_temporary_error(code: int, name: str) -> None:
    error = decode_failure(code, [], a_copy(PLAIN))
    assert type(error) is TemporaryError
    assert str(error) == f"skopeo was killed by signal {name} while copying {PLAIN[0]} to {PLAIN[1]}"


def test_output_without_an_error_is_a_temporary_error() -> None:
    error = decode_failure(3, ["", ""], a_copy(PLAIN))
    assert type(error) is TemporaryError
    assert str(error).endswith("failed for an unknown reason, and is retried (skopeo: no message, exit code 3)")
