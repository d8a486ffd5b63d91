"""Kept connections to the hosts that one registry leads to: itself, its token service, targets of redirects."""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import certifi
from urllib3 import PoolManager, ProxyManager
from urllib3.connection import port_by_scheme
from urllib3.exceptions import LocationValueError, ProxySchemeUnknown
from urllib3.util import make_headers, parse_url
from urllib3.util.ssl_ import create_urllib3_context

from registry_sync.errors import ConfigurationError
from registry_sync.registry.endpoint import ClientCertificate, Endpoint
from registry_sync.registry.proxies import proxy_of
from registry_sync.registry.wire.plain_request import Body, host_field, request_head
from registry_sync.registry.wire.pools import HostPool, OpenConnections, Timeouts, noted_pools
from registry_sync.registry.wire.raw_response import RawResponse
from registry_sync.registry.wire.urls import shown_url, split_origin
from registry_sync.worker.private_directory import private_directory, writing

_PLAIN_TARGET = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*")
"""Path and query without characters that have to be encoded, and with those that are, in capitals."""


MOST_HOSTS = 32
"""Hosts with kept connections. A registry may redirect each blob to a host of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """The way to a host.

    :ivar host: the field ``Host`` of requests.
    :ivar proxy: the URL of a proxy that forwards requests for plain HTTP. It takes whole URLs.
    :ivar prefix: of their targets, for such a proxy.
    :ivar fields: header fields for it.
    """

    pool: HostPool
    host: str
    proxy: str = ""
    prefix: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


class Connections:
    """Pools of connections. Safe to use from ``max_connections`` threads at once.

    The proxy is the registry's own, also for a token service and targets of redirects, else that of the environment.
    Certificates are checked against the registry's own CA, else against the bundle in ``REQUESTS_CA_BUNDLE`` or
    ``CURL_CA_BUNDLE``, else against Mozilla's. A client certificate is shown to the registry itself only, not to a
    token service, a proxy, or the target of a redirect on another host.

    :param note_login: is called with the value of ``Proxy-Authorization`` before it is sent.
    """

    def __init__(
        self, endpoint: Endpoint, *, max_connections: int, note_login: Callable[[str], object] = lambda _: None
    ) -> None:
        self._bundle = endpoint.ca_file or _bundle()
        self._endpoint = endpoint
        self._note_login = note_login
        self._max_connections = max_connections
        self._managers: dict[tuple[str, str, bool], PoolManager] = {}
        self._ways: dict[str, _Way] = {}
        self._proxies: dict[str, str] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._opened = OpenConnections()
        self._pool_classes = noted_pools(self._opened)

    def proxy_of(self, url: str) -> str:
        """The URL of the proxy for ``url``; empty without one. The environment is read once for each host."""
        origin, _ = split_origin(url)
        if origin not in self._proxies:
            proxy = proxy_of(url, self._endpoint.proxy)
            for login in _proxy_authorization(proxy).values():
                self._note_login(login)
            self._proxies[origin] = proxy
        return self._proxies[origin]

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts, without ports, that requests were sent to so far."""
        return frozenset(filter(None, (urlsplit(origin).hostname for origin in list(self._proxies))))

    def send(self, method: str, url: str, *, headers: Mapping[str, str], body: Body, timeouts: Timeouts) -> RawResponse:
        """Send a request, and read the head of its response.

        :raises HTTPError: one of urllib3's.
        :raises ConfigurationError: for a proxy or a bundle of certificates that cannot be used.
        """
        origin, target = split_origin(url)
        way = self._ways.get(origin) or self._find_way(origin)
        if "/." in target or not _PLAIN_TARGET.fullmatch(target):
            target = parse_url(url).request_uri
        if way.proxy:
            target, headers = way.prefix + target, {**headers, **way.fields}
        head = request_head(way.host, method, target, headers, body)
        return way.pool.send(method, target, head, body, timeouts)

    def count(self, url: str) -> int:
        """The connections to the host of a URL that were opened so far."""
        way = self._ways.get(split_origin(url)[0])
        return way.pool.opened if way else 0

    def connect(self, url: str, seconds: float) -> None:
        """Open one connection more to the host of a URL. None through a proxy, and none that would not be kept.

        :raises HTTPError: one of urllib3's.
        """
        if not (self._is_closed or self.proxy_of(url)):
            self._find_way(split_origin(url)[0]).pool.connect(seconds)

    def _find_way(self, origin: str) -> _Way:
        """The way to a host. Of very many hosts, that without a request for the longest time is closed."""
        with self._lock:
            if origin not in self._ways:
                self._close_oldest()
                self._ways[origin] = self._make_way(origin)
            way = self._ways[origin]
            if self._is_closed:  # a request that was under way then keeps no connection
                way.pool.close()
            return way

    def _close_oldest(self) -> None:
        idle = [origin for origin, way in self._ways.items() if way.pool.is_idle]
        if idle and len(self._ways) >= MOST_HOSTS:
            oldest = self._ways.pop(min(idle, key=lambda origin: self._ways[origin].pool.used_at)).pool
            if all(way.pool is not oldest for way in self._ways.values()):  # hosts may share a proxy
                oldest.close()

    def _make_way(self, origin: str) -> _Way:
        """A way to a host. All plain hosts behind a proxy share the connections to it."""
        proxy, address = self.proxy_of(origin), parse_url(origin)
        host = host_field((address.host or "").strip("[]"), address.port, port_by_scheme.get(address.scheme or ""))
        if not proxy or address.scheme == "https":
            return _Way(pool=self._make_pool(origin, proxy, tunnels=bool(proxy)), host=host)
        shared = next((way.pool for way in self._ways.values() if way.proxy == proxy), None)
        pool = shared or self._make_pool(origin, proxy, tunnels=False)
        fields = _proxy_authorization(proxy)
        return _Way(pool=pool, host=host, proxy=proxy, prefix=f"http://{host}", fields=fields)

    def _make_pool(self, origin: str, proxy: str, *, tunnels: bool) -> HostPool:
        maker = self._manager(origin, proxy).connection_from_url(origin)
        return HostPool(maker, self._max_connections, tunnels=tunnels)

    def _manager(self, url: str, proxy: str) -> PoolManager:
        parts = urlsplit(url)
        key = (parts.scheme, proxy, parts.netloc == self._endpoint.host)
        if key not in self._managers:
            self._managers[key] = self._open(*key)
        return self._managers[key]

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._is_closed = True
        while self._ways:
            self._ways.popitem()[1].pool.close()

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
        return PoolManager(maxsize=1, ssl_context=context)

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
                maxsize=1,
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
