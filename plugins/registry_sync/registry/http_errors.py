"""Errors that a response or a failed connection means."""

from __future__ import annotations

import json
import re
import ssl
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, IncompleteRead, ReadTimeoutError

from registry_sync.errors import (
    ConfigurationError,
    DamagedContent,
    DeniedError,
    LockedTag,
    MissingContent,
    NotConnected,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
    TooSlow,
)
from registry_sync.registry.response import Answer
from registry_sync.registry.retry_after import (
    requested_delay,
)
from registry_sync.registry.urls import shown_url
from registry_sync.text import one_line

BLIPS = frozenset({408, 425, 500, 502, 503, 504})

_MISSING_CONTENT = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})


def decode_error(answer: Answer, method: str) -> RegistrySyncError:
    """The error that an answer from status 400 on means, by its status and the OCI error code in its body.

    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
    """
    code, text = first_problem(answer)
    message = f"{method} {shown_url(answer.url)} answered {answer.status} {text}".rstrip()
    match answer.status:
        case 429:
            wait_seconds = requested_delay(answer, now := datetime.now(UTC))
            if wait_seconds is None:
                return TemporaryError(message)
            return RateLimited(message, retry_at=now + timedelta(seconds=wait_seconds))
        case status if code in _MISSING_CONTENT and method == "PUT":
            return MissingContent(message)
        case status if (is_locked := _LOCKS.get(method)) and is_locked(answer, code, text):
            return LockedTag(message)
        case 404:
            return NotFound(message)
        case 403 if "quota" in text.lower() or "upper limit" in text.lower():
            return RefusedError(message)
        case 401 | 403 if method == "POST":
            return DeniedError(message)  # a log-in, which has nothing to be missing
        case 401 | 403:
            return DeniedError(f"{message} (not permitted with these credentials, or it does not exist)")
        case status if status in BLIPS or status >= 500 or code == "TOOMANYREQUESTS":
            return TemporaryError(message)
    return RefusedError(message)


def _is_locked(answer: Answer, code: str, text: str) -> bool:
    """Whether a manifest was refused since its tag must not be overwritten. Registries say that in many ways.

    Harbor 412 (https://github.com/goharbor/harbor/pull/9427); ECR 400 TAG_INVALID
    (https://github.com/moby/buildkit/issues/3776); ACR 405 REGISTRY_DISALLOWED_OPERATION, which is said of a
    repository too (https://github.com/Azure/acr-cli/issues/70); Aliyun "The requested tag already exists and cannot be
    overwritten".
    """
    is_tag = re.search("/manifests/[^/:]+$", shown_url(answer.url)) is not None
    return is_tag and 400 <= answer.status < 500 and (answer.status == 412 or bool(_LOCKED.search(f"{code} {text}")))


_LOCKED = re.compile(
    r"TAG_INVALID|immutab|REGISTRY_DISALLOWED_OPERATION|cannot be overwrit|tag is locked|tag already exists",
    re.IGNORECASE,
)


def _is_locked_against_deletion(answer: Answer, code: str, text: str) -> bool:
    """Whether a tag is not deleted since it is locked: Harbor 412, ACR 405, others in words.

    TAG_INVALID is none of them: a registry that deletes by digest only may say that of any tag.
    """
    words = re.search(r"immutab|REGISTRY_DISALLOWED_OPERATION|\blocked\b", f"{code} {text}", re.IGNORECASE)
    return 400 <= answer.status < 500 and (answer.status == 412 or words is not None)


_LOCKS = {"PUT": _is_locked, "DELETE": _is_locked_against_deletion}


def first_problem(answer: Answer) -> tuple[str, str]:
    """Code and text of the first entry of ``errors``, or the text that an API has instead, else the body's start."""
    body = answer.content.decode("utf-8", "replace")
    try:
        document = json.loads(body)
        if "errors" not in document:
            text = next((each for each in map(document.get, _TEXTS) if isinstance(each, str)), body)
            return "", one_line(text, LONGEST_PROBLEM)
        first = document["errors"][0]
        code = str(first.get("code", ""))
        texts = [code, str(first.get("message") or ""), json.dumps(first["detail"]) if first.get("detail") else ""]
        return code, one_line(": ".join(filter(None, texts)), LONGEST_PROBLEM)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return "", one_line(body, LONGEST_PROBLEM)


_TEXTS = ("detail", "message", "error")
"""Where Quay's API (the first) and Docker Hub's (any) say what is wrong."""

LONGEST_PROBLEM = 300


def decode_exception(error: requests.RequestException | HTTPError, url: str) -> RegistrySyncError:
    """What an exchange without an answer means: addresses and certificates need somebody, the rest needs time."""
    where = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
    reason = _innermost(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        advice = "give its registry a ca_file, or have the certificate renewed"
        return ConfigurationError(
            f"{where} shows a certificate that is not accepted ({reason.verify_message}); {advice}"
        )
    if isinstance(reason, ssl.SSLError) and reason.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return ConfigurationError(f"{where} does not speak TLS; if that is right, write tls: false for its registry")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return ConfigurationError(f"{where} is no usable address: {shown_url(str(error))}")
    if isinstance(reason, IncompleteRead):
        return DamagedContent(f"{where} broke off within its answer: {one_line(str(reason), LONGEST_PROBLEM)}")
    text = one_line(str(reason) or type(reason).__name__, LONGEST_PROBLEM)
    if any(isinstance(each, ReadTimeoutError) for each in (error, *error.args)):
        return TooSlow(f"{where} took the request and does not answer: {text}")
    if isinstance(error, requests.ConnectTimeout):
        return NotConnected(f"{where} neither takes nor refuses a connection: {text}")
    return TemporaryError(f"{where} cannot be reached: {text}")


def _innermost(error: BaseException) -> BaseException:
    """The cause below the wrapping of requests and urllib3, which bury it in ``args`` and ``reason``."""
    for _ in range(10):
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((each for each in error.args if isinstance(each, BaseException)), error.__cause__)
        if inner is None:
            break
        error = inner
    return error
