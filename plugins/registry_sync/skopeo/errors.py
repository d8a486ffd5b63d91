"""Translate the error message of a failed skopeo into one of our errors. Pure.

Skopeo exits with 1 for everything from a wrong password to a full disk, so only the text tells the cause. The patterns
were collected by injecting each fault into skopeo 1.9.3, 1.18 and 1.22; a test contains the texts.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

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
from registry_sync.oci.reference import Reference
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.proxy_errors import decode_proxy_failure

Side = Literal["source", "destination"]

_MAX_TEXT_LENGTH = 600

_LOGGED_ERROR = re.compile(r'\blevel=(?:fatal|error)\s+msg=(?:"((?:[^"\\]|\\.)*)"|(\S+))')

_GO_ESCAPE = re.compile(r"\\(.)")

_QUERY = re.compile(r"\?(?:[^\s\"\\:]|:(?=[^\s\"\\]))+")

_USER_OF_URL = re.compile(r"(?<=://)[^\s/\"\\@]+@")

_HEX = re.compile(r"\b(sha(?:256|512):[0-9a-f]{12})[0-9a-f]+")

_SIDE = re.compile(
    r"(?P<source>initializing source|image from source|source image|reading manifest|determining manifest"
    r"|reading blob|reading config blob|fetching blob|download config)"
    r"|(?P<destination>initializing destination|at destination|destination repository|trying to reuse blob"
    r"|checking whether a blob|writing|initiating layer upload|uploading)"
)

_READ_ERROR_IN_WRITE = "happened during read"

_NOT_WHOLE = re.compile(r"manifest list must be converted|unexpectedly received a manifest list")
"""Indexes that skopeo cannot copy whole.

The first text covers everything that skopeo cannot write unchanged, such as ``artifactType`` in a descriptor before
1.15, or zstd layers without an annotation from 1.14 on. The second is an index within an index.
"""

_NOT_COPYABLE = re.compile(
    "unsupported docker v2s2 media type|exceeded maximum allowed size|saved with digest"
    "|does not match provided manifest digest sha512|unsupported schema version|would require|would change"
    "|cannot modify|ambiguous manifest"
)
"""Limits of skopeo: types of layers in Docker's format, configs over 4 MiB, digests by sha512."""

_UNREADABLE = re.compile("invalid character|cannot unmarshal")
"""JSON of the source that skopeo cannot read, such as a manifest after a byte order mark, or the lifetime of a token in
quotes. A destination's error page has the same words.
"""

_NOT_TRUSTED = re.compile(r"source image rejected")

SIGSTORE_DISABLED = "sigstore disabled"
"""Part of the message of a skopeo that was built without sigstore."""

_NO_SIGSTORE = re.compile(SIGSTORE_DISABLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Texts with one cause.

    :param meaning: continues a message that starts with "source quay.io/a/b".
    :param side: the case applies only to failures of this side.
    """

    pattern: re.Pattern[str]
    error: type[RegistrySyncError]
    meaning: str
    side: Side | None = None


def _case(pattern: str, error: type[RegistrySyncError], meaning: str, side: Side | None = None) -> _Case:
    return _Case(pattern=re.compile(pattern), error=error, meaning=meaning, side=side)


def _status(codes: str) -> str:
    """Pattern for an HTTP status as skopeo prints it: ``StatusCode: 403, …``, ``registry 403 (…)``, ``: 403 (…)``."""
    return rf"(?:statuscode: |http status: |from registry |: )(?:{codes})\b"


_CASES = (
    _case(
        _NO_SIGSTORE.pattern,
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


def redact(line: str) -> str:
    """Remove the secrets of URLs from a line of skopeo's output: the query, and the user part before ``@``.

    A query contains the state of an upload, or the signature of a blob's address at a storage provider.

    >>> redact('Patch "https://quay.io/v2/a/blobs/uploads/1?_state=x:y": EOF')
    'Patch "https://quay.io/v2/a/blobs/uploads/1?…": EOF'
    """
    return _USER_OF_URL.sub("…@", _QUERY.sub("?…", line))


def last_words(lines: Sequence[str]) -> str:
    r"""The message of the last line of level fatal or error, else the last line. Digests are shortened.

    >>> last_words([r'time="…" level=fatal msg="reading \"a\": EOF"'])
    'reading "a": EOF'
    """
    logged = [match[1] or match[2] or "" for line in lines if (match := _LOGGED_ERROR.search(line))]
    if logged:
        text = _GO_ESCAPE.sub(lambda escape: " " if escape[1] in "nrt" else escape[1], logged[-1])
    else:
        text = next((line for line in reversed(lines) if line.strip()), "")
    text = " ".join(_HEX.sub(r"\1", redact(text)).split())
    return text if len(text) <= _MAX_TEXT_LENGTH else f"{text[: _MAX_TEXT_LENGTH - 1]}…"


def decode_failure(
    code: int, lines: Sequence[str], image: ImageCopy, policy: Path | None = None, proxy: str = ""
) -> RegistrySyncError:
    """Translate a failed run of skopeo into an error.

    :param code: exit code, negative for a signal.
    :param lines: the last lines of its output.
    :param policy: the policy that was applied.
    :param proxy: the address of its proxy, without the login.
    """
    source, destination = image.source, image.destination
    if code < 0:
        name = signal.strsignal(-code) or "unknown"
        return TemporaryError(f"skopeo was killed by signal {-code} ({name}) while copying {source} to {destination}")
    words = last_words(lines) or f"no message, exit code {code}"
    text = _without_names(words, source, destination)
    if image.is_index and _NOT_WHOLE.search(text):
        return NotCopyableWhole(f"{source} cannot be copied in one piece (skopeo: {words})")
    if _NOT_TRUSTED.search(text) and not _NO_SIGSTORE.search(text):
        advice = "sign it as the policy requires, or change the policy"
        return NotTrusted(f"{source} is not accepted by the policy {str(policy)!r}; {advice} (skopeo: {words})")
    side = _failed_side(text)
    if _NOT_COPYABLE.search(text) or (side != "destination" and _UNREADABLE.search(text)):
        return NotCopyableWhole(f"skopeo cannot copy {source} as it is (skopeo: {words})")
    who = _name_side(side, source, destination)
    if failure := decode_proxy_failure(text, who, words, proxy):
        return failure
    for case in _CASES:
        if case.side in (None, side) and case.pattern.search(text):
            return _error(case, f"{who} {case.meaning} (skopeo: {words})", _host(side, source, destination))
    return TemporaryError(f"{who} failed for an unknown reason, and is retried (skopeo: {words})")


def _error(case: _Case, message: str, host: str) -> RegistrySyncError:
    """The error of a case. skopeo's message has no delay of a rate limit.

    Docker Hub's pull limit is counted over six hours, so it is worth a twelfth of them
    (https://docs.docker.com/docker-hub/usage/pulls/); other limits may end at once.
    """
    if not issubclass(case.error, RateLimited):
        return case.error(message)
    delay = timedelta(minutes=30) if "pull rate limit" in message else timedelta()
    return case.error(message, retry_at=datetime.now(UTC) + delay, host=host)


def _host(side: Side | None, source: Reference, destination: Reference) -> str:
    """The host of the side that failed; empty where that is not known."""
    return {"source": source.repository.host, "destination": destination.repository.host, None: ""}[side]


def _name_side(side: Side | None, source: Reference, destination: Reference) -> str:
    match side:
        case "source":
            return f"source {source.repository}"
        case "destination":
            return f"destination {destination.repository}"
        case None:
            return f"the copy of {source} to {destination.repository}"


def _failed_side(text: str) -> Side | None:
    """The side that failed, by the first match: skopeo's own words come before those of a registry.

    A failed write may be caused by its read, which is an error of the source.
    """
    if _READ_ERROR_IN_WRITE in text:
        return "source"
    match = _SIDE.search(text)
    return None if match is None else "source" if match.lastgroup == "source" else "destination"


def _without_names(words: str, source: Reference, destination: Reference) -> str:
    """Remove URLs and names that users choose, such as a tag ``x509`` or a repository ``quota``; then lower case."""
    text = re.sub(r"(?:docker|https?)://[^\s\"]+|/v2/\S+", "", words)
    for repository in (source.repository, destination.repository):
        text = re.sub(rf"{re.escape(repository.host)}(?:/[^\s:@,\")]+)?", "", text)
        if "/" in repository.name:
            text = re.sub(rf"(?<![\w/]){re.escape(repository.name)}(?![\w/])", "", text)
    text = re.sub(r"((?:read|upload)ing manifest) \S+", r"\1", text)
    return re.sub(r"(destination repository) [^\s:]+", r"\1", text).lower()
