"""Error responses and failed connections, as the classes of ``errors.py``."""

from __future__ import annotations

import html
import json
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected, UnknownProtocol
from urllib.parse import urlsplit

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
)

from registry_sync.errors import (
    ConfigurationError,
    ConnectTimeout,
    DamagedContent,
    DeniedError,
    HandshakeTimeout,
    LockedTag,
    MissingContent,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    ResponseTimeout,
    TemporaryError,
)
from registry_sync.registry.wire.pools import TLSTimeoutError
from registry_sync.registry.wire.proxy_errors import decode_proxy_error, innermost
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.retry_after import is_rate_limited, requested_delay
from registry_sync.registry.wire.urls import host_of, shown_url
from registry_sync.text import one_line

TRANSIENT_STATUSES = frozenset({408, 425, 500, 502, 503, 504})

_PERMANENT_STATUSES = frozenset({501, 505})
"""The server does not implement the method, or the version of HTTP."""

_MISSING_CONTENT = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})


def decode_error(response: Response, method: str) -> RegistrySyncError:
    """Map a response with status 400 or more to an error, by its status and the OCI error code in its body.

    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
    """
    error = _decode(response, method)
    error.status = response.status
    return error


def _decode(response: Response, method: str) -> RegistrySyncError:
    code, text = first_problem(response)
    message = f"{method} {shown_url(response.url)} answered {response.status} {text}".rstrip()
    match response.status:
        case _ if is_rate_limited(response):
            delay_seconds = requested_delay(response, now := datetime.now(UTC)) or 0.0
            retry_at = now + timedelta(seconds=delay_seconds)
            return RateLimited(message, retry_at=retry_at, host=host_of(response.url))
        case status if code in _MISSING_CONTENT and method == "PUT":
            return MissingContent(message)
        case status if (is_locked := _LOCKS.get(method)) and is_locked(response, code, text):
            return LockedTag(message)
        case 403 if _READ_ONLY_MODE.search(text):
            return TemporaryError(f"{message}; it is in read-only mode")
        case 404:
            return NotFound(message)
        case 403 if "quota" in text.lower() or "upper limit" in text.lower():
            return RefusedError(message)
        case 401 | 403 if method == "POST":
            return DeniedError(message)  # a login: nothing can be missing
        case 401 | 403:
            return DeniedError(f"{message} (not permitted with these credentials, or it does not exist)")
        case status if _is_temporary(status) or code == "TOOMANYREQUESTS":
            return TemporaryError(message)
    return RefusedError(f"{message}{_advice(response, method, code)}")


def _is_temporary(status: int) -> bool:
    return status in TRANSIENT_STATUSES or (status >= 500 and status not in _PERMANENT_STATUSES)


def _advice(response: Response, method: str, code: str) -> str:
    """Explain a refused push that is not the image's fault; empty for other requests.

    A read-only docker-registry has no handler for pushes: 405 without an OCI error code. With the code UNSUPPORTED, 405
    can also be about the manifest: https://github.com/aws/containers-roadmap/issues/2783.
    """
    is_manifest = method == "PUT" and "/manifests/" in response.url
    match response.status:
        case 405 if is_manifest and code:
            return "; the registry takes no pushes (is it read-only?), or no manifests of this type"
        case 405 if is_manifest or (method == "POST" and "/blobs/uploads/" in response.url):
            return "; the registry takes no pushes (is it read-only?)"
        case 413 if method in ("PUT", "PATCH", "POST"):
            return "; a proxy in front of the registry limits the size of requests (nginx: client_max_body_size)"
        case 415 if is_manifest:
            return (
                "; the registry takes no manifests of this type (zot takes Docker's with "
                '"http": {"compat": ["docker2s2"]} in its configuration)'
            )
    return ""


def _is_locked(response: Response, code: str, text: str) -> bool:
    """Return whether a PUT was refused because the tag is immutable. Registries report it in different ways.

    Harbor 412 (https://github.com/goharbor/harbor/pull/9427); ECR 400 TAG_INVALID
    (https://github.com/moby/buildkit/issues/3776); ACR 405 REGISTRY_DISALLOWED_OPERATION, also for a locked repository
    (https://github.com/Azure/acr-cli/issues/70); Aliyun "The requested tag already exists and cannot be overwritten";
    Nexus 400 "Repository does not allow updating assets" (https://github.com/GoogleContainerTools/jib/issues/3057);
    Artifactory 403 "Not enough permissions to delete/overwrite artifact"; GitLab 401 'tag "v1" is protected'
    (https://docs.gitlab.com/user/packages/container_registry/protected_container_tags/); others "overwriting is not
    allowed".
    """
    is_tag = re.search("/manifests/[^/:]+$", shown_url(response.url)) is not None
    names_lock = response.status == 412 or _LOCKED.search(f"{code} {text}") is not None
    return is_tag and 400 <= response.status < 500 and names_lock


_READ_ONLY_MODE = re.compile(r"\bread.only mode\b", re.IGNORECASE)
"""Harbor's switch for garbage collection, backups and migrations, which passes by itself:
https://goharbor.io/docs/main/administration/garbage-collection/."""

_PROTECTED = r"\btag\b.{0,140}\bis protected"

_LOCKED = re.compile(
    rf"{_PROTECTED}|TAG_INVALID|immutab|REGISTRY_DISALLOWED_OPERATION|cannot be overwrit|tag is locked|"
    r"\btag\b.{0,140}already exists|not allow (updating|redeploy)|overwrit\w* (is )?not allowed|"
    r"permissions? to (delete/?(or )?)?overwrite",
    re.IGNORECASE,
)


def _is_locked_against_deletion(response: Response, code: str, text: str) -> bool:
    """Return whether a DELETE was refused because the tag is locked: Harbor 412, ACR 405, GitLab 401, others by text.

    TAG_INVALID does not count: a registry that only deletes by digest may answer it for any tag.
    """
    locks = rf"{_PROTECTED}|immutab|REGISTRY_DISALLOWED_OPERATION|\blocked\b"
    words = re.search(locks, f"{code} {text}", re.IGNORECASE)
    return 400 <= response.status < 500 and (response.status == 412 or words is not None)


_LOCKS = {"PUT": _is_locked, "DELETE": _is_locked_against_deletion}


def first_problem(response: Response) -> tuple[str, str]:
    """Code and text of the first entry of ``errors``, else an API's own text field, else the start of the body.

    docker-registry lists several errors, of which only the last may name the cause: entries without a code go last.
    """
    body = response.content.decode("utf-8", "replace")
    try:
        document = json.loads(body)
        if "errors" not in document:
            text = next((text for text in map(document.get, _TEXTS) if isinstance(text, str)), body)
            return "", one_line(text, LONGEST_PROBLEM)
        first = min(document["errors"], key=lambda entry: entry.get("code") == "UNKNOWN")
        code = str(first.get("code", ""))
        texts = [code, str(first.get("message") or ""), json.dumps(first["detail"]) if first.get("detail") else ""]
        return code, one_line(": ".join(filter(None, texts)), LONGEST_PROBLEM)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return "", one_line(_page_text(body), LONGEST_PROBLEM)


def is_web_page(response: Response) -> bool:
    """Return whether a response is a page for people, such as that of a portal or of a user interface."""
    return bool(_MARKUP.match(response.content.decode("utf-8", "replace")))


def _page_text(body: str) -> str:
    """The title of an HTML page without its status, else its text; any other body as it is.

    >>> _page_text("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
    'Bad Gateway'
    """
    if not _MARKUP.match(body):
        return body
    title = _TITLE.search(body)
    text = title[1] if title and title[1].strip() else _TAG.sub(" ", _SCRIPT.sub(" ", body))
    return _STATUS.sub("", html.unescape(text))


_MARKUP = re.compile(r"\s*(?:<\?xml|<!|<html|<head|<body|<h[1-6])", re.IGNORECASE)

_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)

_SCRIPT = re.compile(r"<(script|style)\b.*?(?:</\1>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL)

_TAG = re.compile(r"<[^<>]*>")

_STATUS = re.compile(r"\s*[1-5][0-9]{2}\s+(?=[A-Za-z])")


_TEXTS = ("detail", "message", "error")
"""Fields that hold the problem in Quay's API (the first) and in Docker Hub's (any)."""

LONGEST_PROBLEM = 300


def decode_exception(
    error: HTTPError, url: str, proxy: str = "", redact: Callable[[str], str] = str
) -> RegistrySyncError:
    """Map a failed exchange to an error: wrong addresses and certificates are permanent, the rest is temporary.

    :param proxy: the URL of the proxy through which it was sent.
    :param redact: masks the secrets of a text, because the error may quote what a server sent.
    """
    if isinstance(error, ProxyError):
        return decode_proxy_error(error, url, proxy, redact)
    through = f" (through the proxy {shown_url(proxy)})" if proxy else ""
    where = f"{urlsplit(url).scheme}://{host_of(url)}{through}"
    reason = innermost(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        advice = "give its registry a ca_file, or have the certificate renewed"
        return ConfigurationError(
            f"{where} shows a certificate that is not accepted ({reason.verify_message}); {advice}"
        )
    if isinstance(reason, ssl.SSLError) and reason.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return ConfigurationError(f"{where} does not speak TLS; if that is right, write tls: false for its registry")
    if isinstance(error, LocationValueError):
        return ConfigurationError(f"{where} is not a usable address: {shown_url(str(error))}")
    if isinstance(reason, IncompleteRead):
        return DamagedContent(f"{where}: the response ended early: {one_line(str(reason), LONGEST_PROBLEM)}")
    text = one_line(redact(str(reason)), LONGEST_PROBLEM)
    return _decode_temporary(error, reason, where, text)


def _decode_temporary(error: HTTPError, reason: BaseException, where: str, text: str) -> RegistrySyncError:
    """Map a failure that may pass. :param text: of the reason, without secrets."""
    if isinstance(reason, BadStatusLine | UnknownProtocol) and not isinstance(reason, RemoteDisconnected):
        return TemporaryError(f"{where} does not answer in HTTP/1.1: {text!r}")
    text = text or type(reason).__name__
    if isinstance(error, ReadTimeoutError):
        return ResponseTimeout(f"{where} accepted the request, but sent no response before the timeout: {text}")
    if isinstance(error, ProtocolError) and isinstance(reason, TimeoutError):
        return ResponseTimeout(f"{where} accepted a part of the request, and took no more before the timeout: {text}")
    if isinstance(error, TLSTimeoutError):
        return HandshakeTimeout(f"{where} accepted the connection, and did not answer the TLS handshake: {text}")
    if isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError):
        return ConnectTimeout(f"{where} neither accepted nor refused the connection: {text}")
    return TemporaryError(f"{where} cannot be reached: {text}")
