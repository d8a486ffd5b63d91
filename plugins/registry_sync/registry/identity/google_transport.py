"""Requests of the Google SDK: through the registry's proxy, and to a metadata server directly."""

from __future__ import annotations

from typing import Any

from registry_sync.registry.endpoint import Proxy
from registry_sync.registry.identity.answers import CONNECT_SECONDS, READ_SECONDS, ca_bundle
from registry_sync.registry.identity.metadata import GOOGLE_VARIABLES, is_metadata, is_named, is_outage
from registry_sync.registry.proxies import proxies_of_sdk

_ABSENT = ("NewConnectionError", "NameResolutionError")
"""Reasons of the library ``urllib3`` by which a server is not there."""


class GoogleTransport:
    """The SDK's ``transport.Request``, with shorter timeouts: its own are two minutes.

    :ivar silence: the last error or status of a metadata server that may be there; empty for an answer.
    """

    def __init__(self, proxy: Proxy | None) -> None:
        self._direct, self._others = _request(Proxy(url="")), _request(proxy)
        self.silence = ""

    def __call__(self, url: str, method: str = "GET", **options: Any) -> Any:
        from google.auth.exceptions import TransportError

        options = {"timeout": (CONNECT_SECONDS, READ_SECONDS), **options}
        if not is_metadata(url):
            return self._others(url, method, **options)
        try:
            response = self._direct(url, method, **options)
        except TransportError as error:
            if not _is_absent(error.__cause__) or is_named(GOOGLE_VARIABLES):
                self.silence = str(error)
            raise
        self.silence = f"it answered {response.status}" if is_outage(response.status) else ""
        return response


def _request(proxy: Proxy | None) -> Any:
    from google.auth.transport.requests import Request

    request = Request()
    if proxy is not None:
        request.session.trust_env = False
        request.session.proxies = proxies_of_sdk(proxy)
        request.session.verify = ca_bundle() or True
    return request


def _is_absent(error: BaseException | None) -> bool:
    reason = getattr(error.args[0], "reason", None) if error is not None and error.args else None
    return type(reason).__name__ in _ABSENT
