"""Failures of a proxy in skopeo's messages, which say nothing about the registry behind it.

Go reports a refused CONNECT by the reason phrase of the response alone: ``Get "https://quay.io/v2/": Forbidden``. The
error of a registry always has more. Seen with skopeo 1.9.3.
"""

from __future__ import annotations

import re

from registry_sync.errors import ConfigurationError, RegistrySyncError, TemporaryError

_CONNECT = "proxyconnect tcp: "

_CASES: tuple[tuple[str, type[RegistrySyncError], str], ...] = (
    (
        f"{_CONNECT}.*(?:x509: |failed to verify certificate)",
        ConfigurationError,
        (
            "shows a certificate that is not accepted; its authority must be in the ca_file of the registry, else in "
            "the certificates of this worker"
        ),
    ),
    (
        f"{_CONNECT}.*(?:first record does not look like a tls handshake|tls: )",
        ConfigurationError,
        "does not speak TLS; if that is right, write its address with http://",
    ),
    (_CONNECT, TemporaryError, "cannot be reached"),
    (
        "proxy authentication required",
        ConfigurationError,
        "requires a login; correct proxy_connection of the registry, or the proxy variables of this worker",
    ),
    (
        r'"": (?:not found|method not allowed|not implemented)$',
        ConfigurationError,
        "does not answer like a proxy; is it one?",
    ),
    (
        r'"": (?:forbidden|unauthorized|bad request)$',
        ConfigurationError,
        "does not permit this connection; let it permit the host, or write another proxy: for the registry",
    ),
    (
        r'"": (?:bad gateway|service unavailable|gateway time-?out|too many requests|internal server error)$',
        TemporaryError,
        "cannot connect to it",
    ),
)


def decode_proxy_failure(text: str, who: str, words: str, proxy: str) -> RegistrySyncError | None:
    """The error of a proxy; ``None`` for any other failure.

    :param text: skopeo's message in lower case, without addresses.
    :param who: the registry that was to be reached, such as ``source quay.io/a/b``.
    :param words: skopeo's message for people.
    :param proxy: the address of the proxy without its login; empty where none is known.
    """
    name = f"the proxy {proxy}" if proxy else "a proxy"
    found = ((error, meaning) for pattern, error, meaning in _CASES if re.search(pattern, text))
    return next((error(f"{who} is behind {name}, which {meaning} (skopeo: {words})") for error, meaning in found), None)
