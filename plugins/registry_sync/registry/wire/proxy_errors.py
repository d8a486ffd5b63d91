"""Failures of a proxy, which say nothing about the registry behind it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from urllib3.exceptions import ProxyError

from registry_sync.errors import ConfigurationError, RegistrySyncError, TemporaryError
from registry_sync.registry.proxies import shown_proxy
from registry_sync.registry.wire.raw_response import RawResponse
from registry_sync.registry.wire.urls import host_of
from registry_sync.text import one_line

_LONGEST_TEXT = 300

_REFUSED_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})(.*)", re.DOTALL)
"""Text of http.client for a response to CONNECT other than 200."""

_PROXY_FAULT = re.compile(r"\berror\s*=", re.IGNORECASE)
"""Parameter of ``Proxy-Status`` for a response that the proxy itself made: https://www.rfc-editor.org/rfc/rfc9209."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST")
"""Reasons of OpenSSL for a server that answers a TLS handshake with something else, or closes."""


def decode_proxy_error(
    error: ProxyError, url: str, proxy: str, redact: Callable[[str], str] = str
) -> RegistrySyncError:
    """Map a failure before the connection through the proxy is established.

    :param proxy: its URL, whose login is not shown.
    :param redact: masks the secrets of a text that the proxy sent.
    """
    name, reason = f"the proxy {shown_proxy(proxy)}", innermost(error)
    if refused := _REFUSED_TUNNEL.fullmatch(str(reason)):
        return _refusal(int(refused[1]), redact(refused[2]), url, proxy)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"{name} shows a certificate that is not accepted ({reason.verify_message}); its authority must be in the "
            "ca_file of the registry, else in the certificates of this worker"
        )
    if isinstance(reason, ssl.SSLError) and reason.reason in _NO_TLS:
        return ConfigurationError(f"{name} does not speak TLS; if that is right, write its address with http://")
    return TemporaryError(f"{name}, which leads to {_origin(url)}, cannot be reached: {_text(reason)}")


def decode_proxy_response(
    raw: RawResponse, url: str, proxy: str, redact: Callable[[str], str]
) -> RegistrySyncError | None:
    """The error of a response that a proxy made, to a request for plain HTTP; ``None`` for one of the registry.

    A proxy marks its own by 407, by ``Proxy-Status`` with an error, or as Squid does by ``X-Squid-Error``.

    :param redact: masks the secrets of a text that the proxy sent. It sees those for the registry, too.
    """
    is_own = raw.status == 407 or _PROXY_FAULT.search(raw.headers.get("Proxy-Status", ""))
    squid = raw.headers.get("X-Squid-Error", "")
    return _refusal(raw.status, redact(squid or raw.reason), url, proxy) if is_own or squid else None


def innermost(error: BaseException) -> BaseException:
    """Unwrap an error of urllib3, which keeps the cause in ``args`` or ``reason``."""
    for _ in range(10):
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in error.args if isinstance(arg, BaseException)), error.__cause__)
        if inner is None:
            break
        error = inner
    return error


def _refusal(status: int, text: str, url: str, proxy: str) -> RegistrySyncError:
    name, where = f"the proxy {shown_proxy(proxy)}", _origin(url)
    answer = f"{status} {one_line(text, _LONGEST_TEXT)}".rstrip()
    if status == 407:
        does = "rejects its login" if urlsplit(proxy).username else "requires a login"
        advice = "correct proxy_connection of the registry, or the proxy variables of this worker"
        return ConfigurationError(f"{name} {does} ({answer}), so {where} was not reached; {advice}")
    if status in (404, 405, 501):
        return ConfigurationError(f"{name} answers {answer} to a connection to {where}; is it a proxy?")
    if 400 <= status < 500 and status not in (408, 425, 429):
        advice = "let it permit this host, or write another proxy: for the registry"
        return ConfigurationError(f"{name} does not permit connections to {where} ({answer}); {advice}")
    return TemporaryError(f"{name} cannot connect to {where}: {answer}")


def _origin(url: str) -> str:
    return f"{urlsplit(url).scheme}://{host_of(url)}"


def _text(reason: BaseException) -> str:
    return one_line(str(reason) or type(reason).__name__, _LONGEST_TEXT)
