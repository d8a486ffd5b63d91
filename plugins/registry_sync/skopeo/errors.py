"""What a failed skopeo means: the last words on its standard error as one of our errors. Pure functions.

Its exit code is 1 for everything from a wrong password to a full disk, so the text is all that there is. The patterns
were collected by injecting each fault into skopeo 1.9.3, 1.18 and 1.22; a test holds the texts.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    MissingContent,
    NotCopyableWhole,
    NotFound,
    NotTrusted,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
    UnsupportedArtifact,
)
from registry_sync.oci.reference import Reference

Side = Literal["source", "destination"]

_LONGEST_TEXT = 600

_LAST_WORDS = re.compile(r'\blevel=(?:fatal|error)\s+msg=(?:"((?:[^"\\]|\\.)*)"|(\S+))')

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

_READ_WITHIN_WRITE = "happened during read"

_NOT_WHOLE = re.compile(r"manifest list must be converted|unexpectedly received a manifest list")
"""The second is an index within an index. The first stands for whatever else skopeo cannot write as it is, such as
``artifactType`` in a descriptor before 1.15, or zstd layers without an annotation from 1.14 on."""

_NOT_TRUSTED = re.compile(r"source image rejected")

SIGSTORE_DISABLED = "sigstore disabled"
_NO_SIGSTORE = re.compile(SIGSTORE_DISABLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Texts of one meaning, which goes on where "source quay.io/a/b" began; with ``side``, only when that failed."""

    pattern: re.Pattern[str]
    error: type[RegistrySyncError]
    meaning: str
    side: Side | None = None


def _case(pattern: str, error: type[RegistrySyncError], meaning: str, side: Side | None = None) -> _Case:
    return _Case(pattern=re.compile(pattern), error=error, meaning=meaning, side=side)


def _status(codes: str) -> str:
    """The ways in which skopeo writes an HTTP status: ``StatusCode: 403, …``, ``registry 403 (…)``, ``: 403 (…)``."""
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
        "proxy authentication required",
        ConfigurationError,
        "is behind a proxy that asks for a password; put it into the proxy variables of this worker",
    ),
    _case(
        "trust policy|policy\\.json|unknown flag|unknown command|invalid reference format|unknown transport"
        "|getting username and password|is blocked in",
        ConfigurationError,
        "cannot be worked on with the skopeo of this worker; check its version and configuration",
    ),
    _case(
        f"pinging container registry.*{_status('404')}",
        TemporaryError,
        "does not answer like a registry; if that lasts, check what stands before it",
    ),
    _case("context deadline exceeded", TemporaryError, "took too long"),
    _case(f"too ?many ?requests|{_status('429')}", TemporaryError, "asks for fewer requests"),
    _case("did not match|does not match|digest invalid|size invalid", TemporaryError, "sent or got damaged content"),
    _case(
        "blob unknown|manifest unknown",
        MissingContent,
        "does not have content of this image that it claimed to have",
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
        "immutable|tag invalid|cannot be overwritten",
        RefusedError,
        "does not let it be changed (immutable)",
        "destination",
    ),
    _case("unknown manifest class", UnsupportedArtifact, "takes no artifact of this type", "destination"),
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
    _case(_status("5[0-9]{2}"), TemporaryError, "has an outage"),
    _case(
        "unsupported|manifest invalid|invalid character|saved with digest|would require|would change|rejected"
        f"|unexpectedly received|cannot modify|{_status('4[0-9]{2}')}",
        RefusedError,
        "refuses it as it is",
    ),
    _case(
        "connection re(?:fused|set)|no such host|unreachable|no route to host|timeout|broken pipe|closed|\\beof\\b",
        TemporaryError,
        "cannot be reached, or broke off",
    ),
)
"""The first that fits holds. What fits none is temporary: a further try is safe since it copies only what is missing,
and costs less than giving up on a tag for a fault that would have passed."""


def redact(line: str) -> str:
    """``line`` without the secrets that skopeo prints: those in a URL's query and before its ``@``.

    A query holds the state of an upload, or the signature that opens a blob at a storage provider.

    >>> redact('Patch "https://quay.io/v2/a/blobs/uploads/1?_state=x:y": EOF')
    'Patch "https://quay.io/v2/a/blobs/uploads/1?…": EOF'
    """
    return _USER_OF_URL.sub("…@", _QUERY.sub("?…", line))


def last_words(lines: Sequence[str]) -> str:
    r"""The message of the last line of level fatal or error, else the last line; digests are cut short.

    >>> last_words([r'time="…" level=fatal msg="reading \"a\": EOF"'])
    'reading "a": EOF'
    """
    found = [match for line in lines if (match := _LAST_WORDS.search(line))]
    if found:
        text = _GO_ESCAPE.sub(lambda match: " " if match[1] in "nrt" else match[1], found[-1][1] or found[-1][2] or "")
    else:
        text = next((each for each in reversed(lines) if each.strip()), "")
    text = " ".join(_HEX.sub(r"\1", redact(text)).split())
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def decode_failure(
    code: int,
    lines: Sequence[str],
    *,
    source: Reference,
    destination: Reference,
    is_index: bool,
    policy: Path | None = None,
) -> RegistrySyncError:
    """The error that skopeo's end means.

    :param code: its exit code, negative for a signal.
    :param lines: the last lines that it printed.
    :param policy: by which it judged what may be copied.
    """
    if code < 0:
        name = signal.strsignal(-code) or "unknown"
        return TemporaryError(f"skopeo was ended by signal {-code} ({name}) while it copied {source} to {destination}")
    words = last_words(lines) or f"no message, exit code {code}"
    text = _without_names(words, source, destination)
    if is_index and _NOT_WHOLE.search(text):
        return NotCopyableWhole(f"{source} cannot be copied in one piece (skopeo: {words})")
    if _NOT_TRUSTED.search(text) and not _NO_SIGSTORE.search(text):
        advice = "have it signed as that policy asks, or change the policy"
        return NotTrusted(f"{source} is not accepted by the policy {str(policy)!r}; {advice} (skopeo: {words})")
    side = _failed_side(text)
    who = _who(side, source, destination)
    for each in _CASES:
        if each.side in (None, side) and each.pattern.search(text):
            return each.error(f"{who} {each.meaning} (skopeo: {words})")
    return TemporaryError(f"{who} failed in a way that is not known, which is tried again (skopeo: {words})")


def _who(side: Side | None, source: Reference, destination: Reference) -> str:
    match side:
        case "source":
            return f"source {source.repository}"
        case "destination":
            return f"destination {destination.repository}"
        case None:
            return f"the copy of {source} to {destination.repository}"


def _failed_side(text: str) -> Side | None:
    """Whose words come first: they are skopeo's own, later ones may be a registry's. A write may fail for its read."""
    if _READ_WITHIN_WRITE in text:
        return "source"
    match = _SIDE.search(text)
    return None if match is None else "source" if match.lastgroup == "source" else "destination"


def _without_names(words: str, source: Reference, destination: Reference) -> str:
    """Lower case, and without what users name: a tag may be called ``x509``, and a repository ``quota``."""
    text = re.sub(r"(?:docker|https?)://[^\s\"]+|/v2/\S+", "", words)
    for each in (source.repository, destination.repository):
        text = re.sub(rf"{re.escape(each.host)}(?:/[^\s:@,\")]+)?", "", text)
        if "/" in each.name:
            text = re.sub(rf"(?<![\w/]){re.escape(each.name)}(?![\w/])", "", text)
    text = re.sub(r"((?:read|upload)ing manifest) \S+", r"\1", text)
    return re.sub(r"(destination repository) [^\s:]+", r"\1", text).lower()
