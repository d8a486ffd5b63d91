"""Kept connections to the hosts that one registry leads to: itself, its token service, targets of redirects."""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi
from urllib3 import PoolManager, ProxyManager, Timeout
from urllib3.exceptions import LocationValueError, ProxySchemeUnknown
from urllib3.util import make_headers
from urllib3.util.ssl_ import create_urllib3_context

from registry_sync.errors import ConfigurationError
from registry_sync.registry.endpoint import ClientCertificate, Endpoint
from registry_sync.registry.proxies import proxy_of
from registry_sync.registry.wire.plain_request import Body
from registry_sync.registry.wire.pools import NO_RETRIES, OpenConnections, deadline_pools
from registry_sync.registry.wire.raw_response import DecodedResponse, RawResponse
from registry_sync.registry.wire.urls import shown_url, split_origin
from registry_sync.worker.private_directory import private_directory, writing

_PLAIN_TARGET = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*")
"""Path and query without characters that have to be encoded, and with those that are, in capitals."""


class Connections:
    """Pools of connections. Safe to use from ``max_connections`` threads at once.

    The proxy is the registry's own, also for a token service and targets of redirects, else that of the environment.
    Certificates are checked against the registry's own CA, else against the bundle in ``REQUESTS_CA_BUNDLE`` or
    ``CURL_CA_BUNDLE``, else against Mozilla's. A client certificate is shown to the registry itself only, not to a
    token service, a proxy, or the target of a redirect on another host.
    """

    def __init__(self, endpoint: Endpoint, *, max_connections: int) -> None:
        self._bundle = endpoint.ca_file or _bundle()
        self._endpoint = endpoint
        self._max_connections = max_connections
        self._managers: dict[tuple[str, str, bool], PoolManager] = {}
        self._pools: dict[str, Any] = {}
        self._proxies: dict[str, str] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._opened = OpenConnections()
        self._pool_classes = deadline_pools(self._opened)

    def proxy_of(self, url: str) -> str:
        """The URL of the proxy for ``url``; empty without one. The environment is read once for each host."""
        origin, _ = split_origin(url)
        if origin not in self._proxies:
            self._proxies[origin] = proxy_of(url, self._endpoint.proxy)
        return self._proxies[origin]

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts, without ports, that requests were sent to so far."""
        return frozenset(filter(None, (urlsplit(origin).hostname for origin in list(self._proxies))))

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body,
        connect_seconds: float,
        read_seconds: float,
    ) -> RawResponse:
        """Send a request, and read the head of its response.

        A URL that needs no changes goes to the pool of its host, because urllib3 parses each URL otherwise.

        :raises HTTPError: one of urllib3's.
        :raises ConfigurationError: for a proxy or a bundle of certificates that cannot be used.
        """
        proxy, (origin, target) = self.proxy_of(url), split_origin(url)
        if proxy or "/." in target or not _PLAIN_TARGET.fullmatch(target):
            timeout = Timeout(connect=connect_seconds, read=read_seconds)
            options: Any = {"headers": headers, "body": body, "timeout": timeout}
            options |= {"redirect": False, "retries": NO_RETRIES, "preload_content": False}
            return DecodedResponse(self._manager(url, proxy).urlopen(method, url, **options))
        response: RawResponse = self._pool(origin, url).send(
            method, target, headers=headers, body=body, connect_seconds=connect_seconds, read_seconds=read_seconds
        )
        return response

    def count(self, url: str) -> int:
        """The connections to the host of a URL that were opened so far."""
        pool = self._pools.get(split_origin(url)[0])
        return pool.num_connections if pool else 0

    def connect(self, url: str, seconds: float) -> None:
        """Open one connection more to the host of a URL. None through a proxy, and none that would not be kept.

        :raises HTTPError: one of urllib3's.
        """
        if not (self._is_closed or self.proxy_of(url)):
            self._pool(split_origin(url)[0], url).connect(seconds)

    def _pool(self, origin: str, url: str) -> Any:
        """The pool of a host that is reached without a proxy."""
        if origin not in self._pools:
            self._pools.setdefault(origin, self._manager(url, "").connection_from_url(origin))
        return self._pools[origin]

    def _manager(self, url: str, proxy: str) -> PoolManager:
        parts = urlsplit(url)
        key = (parts.scheme, proxy, parts.netloc == self._endpoint.host)
        if key not in self._managers:
            with self._lock:
                self._managers.setdefault(key, self._open(*key))
        return self._managers[key]

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._is_closed = True
        for manager in list(self._managers.values()):
            manager.clear()
        while self._pools:
            self._pools.popitem()[1].close()

    def abort(self) -> None:
        """Break off all connections. Safe in a signal handler."""
        self._opened.abort()

    def _open(self, scheme: str, proxy: str, is_own: bool) -> PoolManager:
        certificate = self._endpoint.client_certificate if is_own else None
        context = self._tls_context(certificate) if scheme == "https" else None
        manager = self._open_proxy(proxy, context) if proxy else self._open_direct(context)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager

    def _open_direct(self, context: ssl.SSLContext | None) -> PoolManager:
        return PoolManager(maxsize=self._max_connections, ssl_context=context)

    def _tls_context(self, certificate: ClientCertificate | None) -> ssl.SSLContext:
        if self._endpoint.ca_pem:
            return _tls_context(self._endpoint.ca_pem, 0, certificate)
        return _tls_context(self._bundle, _modified_at(self._bundle), certificate)

    def _open_proxy(self, proxy: str, context: ssl.SSLContext | None) -> PoolManager:
        try:
            return ProxyManager(
                proxy,
                proxy_headers=_proxy_authorization(proxy),
                proxy_ssl_context=self._tls_context(None) if proxy.startswith("https:") else None,
                maxsize=self._max_connections,
                ssl_context=context,
            )
        except (LocationValueError, ProxySchemeUnknown, ValueError) as error:
            raise ConfigurationError(
                f"the environment names the proxy {shown_url(proxy)!r}, which cannot be used: {shown_url(str(error))}"
            ) from error


def _proxy_authorization(proxy: str) -> dict[str, str]:
    """The header for the user and password in the URL of a proxy."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return dict(make_headers(proxy_basic_auth=user))


def _bundle() -> Path:
    """The bundle of certificates where a registry has no ``ca_file``."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return Path(named or certifi.where())


def _modified_at(bundle: Path) -> int:
    """:raises ConfigurationError: when there is no such file or directory."""
    try:
        return bundle.stat().st_mtime_ns
    except OSError as error:
        raise ConfigurationError(f"the CA file {str(bundle)!r} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=8)
def _tls_context(authorities: Path | str, _modified_ns: int, certificate: ClientCertificate | None) -> ssl.SSLContext:
    """Settings of TLS connections, shared by all clients of this process: reading a bundle takes 15 ms of CPU.

    :param authorities: a bundle of certificates, a directory of them, or PEM.
    :raises ConfigurationError: when the bundle has no certificates, or the client certificate cannot be used.
    """
    context = create_urllib3_context()
    try:
        if isinstance(authorities, str):
            context.load_verify_locations(cadata=authorities)
        elif authorities.is_dir():
            context.load_verify_locations(capath=str(authorities))
        else:
            context.load_verify_locations(cafile=str(authorities))
    except OSError as error:  # ssl.SSLError is one
        which = "the CA of the Connection" if isinstance(authorities, str) else f"the CA file {str(authorities)!r}"
        raise ConfigurationError(f"{which} cannot be used: {error}") from error
    if certificate:
        _load_client_certificate(context, certificate)
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    """Load a client certificate by a file, the only way that Python has, in a directory that is then removed."""
    with private_directory() as directory:
        file = directory / "client.pem"
        with writing():
            file.write_text(certificate.certificate + certificate.key, encoding="ascii")
        try:
            context.load_cert_chain(file)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(
                f"the client certificate {certificate.place} cannot be used: {error}; does its key belong to it?"
            ) from error
