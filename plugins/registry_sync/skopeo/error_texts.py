"""Texts in the error messages of skopeo, and the error that each one means.

Skopeo exits with 1 for everything from a wrong password to a full disk, so only the text tells the cause. The patterns
were collected by injecting each fault into skopeo 1.9.3, 1.18 and 1.22; a test contains the texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    ManifestNotStored,
    ManifestRefused,
    MissingContent,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
    UnsupportedArtifact,
)

Side = Literal["source", "destination"]

NOT_WHOLE = re.compile(r"manifest list must be converted|unexpectedly received a manifest list")
"""Indexes that skopeo cannot copy whole.

The first text covers everything that skopeo cannot write unchanged, such as ``artifactType`` in a descriptor before
1.15, or zstd layers without an annotation from 1.14 on. The second is an index within an index.
"""

NOT_COPYABLE = re.compile(
    "unsupported docker v2s2 media type|exceeded maximum allowed size|saved with digest"
    "|does not match provided manifest digest sha512|unsupported schema version|would require|would change"
    "|cannot modify|ambiguous manifest"
)
"""Limits of skopeo: types of layers in Docker's format, configs over 4 MiB, digests by sha512."""

UNREADABLE = re.compile("invalid character|cannot unmarshal")
"""JSON of the source that skopeo cannot read, such as a manifest after a byte order mark, or the lifetime of a token in
quotes. A destination's error page has the same words.
"""

NOT_TRUSTED = re.compile(r"source image rejected")

SIGSTORE_DISABLED = "sigstore disabled"
"""Part of the message of a skopeo that was built without sigstore."""

NO_SIGSTORE = re.compile(SIGSTORE_DISABLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCase:
    """Texts with one cause.

    :param meaning: continues a message that starts with "source quay.io/a/b".
    :param side: the case applies only to failures of this side.
    """

    pattern: re.Pattern[str]
    error: type[RegistrySyncError]
    meaning: str
    side: Side | None = None


def _case(pattern: str, error: type[RegistrySyncError], meaning: str, side: Side | None = None) -> ErrorCase:
    return ErrorCase(pattern=re.compile(pattern), error=error, meaning=meaning, side=side)


def _status(codes: str) -> str:
    """Pattern for an HTTP status as skopeo prints it: ``StatusCode: 403, …``, ``registry 403 (…)``, ``: 403 (…)``."""
    return rf"(?:statuscode: |http status: |from registry |: )(?:{codes})\b"


ERROR_CASES = (
    _case(
        NO_SIGSTORE.pattern,
        ConfigurationError,
        "cannot be checked by the skopeo of this worker, which was built without sigstore; install another one",
    ),
    _case(
        "x509: ",
        ConfigurationError,
        "shows a certificate that is not accepted; give its registry a ca_file, or have the certificate renewed",
    ),
    _case(
        "first record does not look like a tls handshake|server gave http response to https client",
        ConfigurationError,
        "does not speak TLS; if that is right, write tls: false for its registry",
    ),
    _case(
        "trust policy|policy\\.json|unknown flag|unknown command|invalid reference format|unknown transport"
        "|getting username and password|is blocked in",
        ConfigurationError,
        "cannot be used with the skopeo of this worker; check its version and configuration",
    ),
    _case(
        f"pinging container registry.*{_status('404')}",
        TemporaryError,
        "does not answer like a registry; if it persists, check the proxy or load balancer in front of it",
    ),
    _case("context deadline exceeded", TemporaryError, "took too long"),
    _case(f"too ?many ?requests|{_status('429')}", RateLimited, "rate-limits us"),
    _case("did not match|does not match|digest invalid|size invalid", TemporaryError, "sent or got damaged content"),
    _case(
        "blob unknown|manifest unknown",
        MissingContent,
        "is missing content of this image that it had reported as present",
        "destination",
    ),
    _case(
        "name unknown|repository .*(?:not found|does not exist)",
        RefusedError,
        "cannot be pushed to; create it at the registry first",
        "destination",
    ),
    _case("name unknown|manifest unknown|blob unknown", NotFound, "does not have it", "source"),
    _case(
        "quota|upper limit|insufficient storage",
        RefusedError,
        "has no room left for it; raise its quota or remove images",
        "destination",
    ),
    _case(
        "read.only mode",
        TemporaryError,
        "is in read-only mode, such as during a garbage collection, and takes no pushes meanwhile",
        "destination",
    ),
    _case(
        "proxy project",
        RefusedError,
        "is in a project that caches another registry, and takes no pushes; choose another project",
        "destination",
    ),
    _case(
        _status("413") + "|entity too large|payload too large",
        RefusedError,
        "or a proxy in front of it limits the size of uploads; raise that limit, such as nginx's client_max_body_size",
        "destination",
    ),
    _case(
        f"initiating layer upload.*(?:{_status('405')}|unsupported)",
        RefusedError,
        "takes no pushes: it is read-only, or a cache; choose another registry as the destination",
        "destination",
    ),
    _case(
        "immutable|tag invalid|cannot be overwritten",
        RefusedError,
        "does not let it be changed (immutable)",
        "destination",
    ),
    _case("unknown manifest class", UnsupportedArtifact, "does not accept artifacts of this type", "destination"),
    _case(
        "(?:reading blob|reading config blob|uploading layer).*(?:unauthorized|authentication required)",
        TemporaryError,
        "no longer accepted the log-in in the middle of the copy",
    ),
    _case(
        f"unauthorized|authentication required|denied|forbidden|insufficient_scope|{_status('401|403')}",
        DeniedError,
        "does not permit it with our credentials, or does not have it; check its Connection",
    ),
    _case(
        "initiating layer upload.*" + _status("404"),
        RefusedError,
        "cannot be pushed to; create it at the registry first",
        "destination",
    ),
    _case(_status("404"), NotFound, "does not have it", "source"),
    _case(_status("404|408|425"), TemporaryError, "broke off the upload"),
    _case(f"uploading manifest.*{_status('5[0-9]{2}')}", ManifestNotStored, "has an outage", "destination"),
    _case(_status("5[0-9]{2}"), TemporaryError, "has an outage"),
    _case(
        f"uploading manifest.*(?:unsupported|{_status('405')})",
        ManifestRefused,
        "does not accept a manifest of this type or with these fields, or takes no pushes (is it read-only?)",
        "destination",
    ),
    _case(
        f"uploading manifest.*(?:manifest invalid|{_status('400|406|415|422')})",
        ManifestRefused,
        "does not accept a manifest of this type or with these fields; zot accepts Docker's types only with "
        '"http": {"compat": ["docker2s2"]}',
        "destination",
    ),
    _case(
        f"unsupported|manifest invalid|invalid character|rejected|unexpectedly received|{_status('4[0-9]{2}')}",
        RefusedError,
        "refuses it as it is",
    ),
    _case(
        "connection re(?:fused|set)|no such host|unreachable|no route to host|timeout|broken pipe|closed|\\beof\\b",
        TemporaryError,
        "cannot be reached, or broke off",
    ),
)
"""The first match decides. An unknown text is a temporary error: a retry is safe, because it copies only missing
content, and costs less than failing a tag for an error that would have passed.
"""
