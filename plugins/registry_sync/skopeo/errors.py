"""Translate the error message of a failed skopeo into one of our errors. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from registry_sync.errors import NotCopyableWhole, NotTrusted, RateLimited, RegistrySyncError, TemporaryError
from registry_sync.oci.reference import Reference
from registry_sync.skopeo.error_texts import (
    ERROR_CASES,
    NO_SIGSTORE,
    NOT_COPYABLE,
    NOT_TRUSTED,
    NOT_WHOLE,
    UNREADABLE,
    ErrorCase,
    Side,
)
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.output import last_words
from registry_sync.skopeo.proxy_errors import decode_proxy_failure

_SIDE = re.compile(
    r"(?P<source>initializing source|image from source|source image|reading manifest|determining manifest"
    r"|reading blob|reading config blob|fetching blob|download config)"
    r"|(?P<destination>initializing destination|at destination|destination repository|trying to reuse blob"
    r"|checking whether a blob|writing|initiating layer upload|uploading)"
)

_READ_ERROR_IN_WRITE = "happened during read"


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
    if image.is_index and NOT_WHOLE.search(text):
        return NotCopyableWhole(f"{source} cannot be copied in one piece (skopeo: {words})")
    if NOT_TRUSTED.search(text) and not NO_SIGSTORE.search(text):
        advice = "sign it as the policy requires, or change the policy"
        return NotTrusted(f"{source} is not accepted by the policy {str(policy)!r}; {advice} (skopeo: {words})")
    side = _failed_side(text)
    if NOT_COPYABLE.search(text) or (side != "destination" and UNREADABLE.search(text)):
        return NotCopyableWhole(f"skopeo cannot copy {source} as it is (skopeo: {words})")
    who = _name_side(side, source, destination)
    if failure := decode_proxy_failure(text, who, words, proxy):
        return failure
    for case in ERROR_CASES:
        if case.side in (None, side) and case.pattern.search(text):
            return _error(case, f"{who} {case.meaning} (skopeo: {words})", _host(side, source, destination))
    return TemporaryError(f"{who} failed for an unknown reason, and is retried (skopeo: {words})")


def _error(case: ErrorCase, message: str, host: str) -> RegistrySyncError:
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
