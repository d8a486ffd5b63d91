"""The proxy for a URL: that of its registry, else that of the environment.

``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, in either case, as curl and Go read them:
https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from registry_sync.registry.endpoint import Endpoint, Proxy


def proxy_of(url: str, own: Proxy | None = None) -> str:
    """The URL of the proxy for ``url``, with its login; empty for a direct connection.

    :param own: the proxy of the registry that leads to ``url``. It replaces the whole environment, ``no_proxy``
        included.
    """
    if own is None:
        return _proxy_of_environment(url)
    return with_login(own)


def proxy_of_registry(endpoint: Endpoint) -> str:
    """The URL of the proxy for the registry's own host, as :func:`proxy_of` gives it."""
    return proxy_of(f"{'https' if endpoint.tls else 'http'}://{endpoint.host}", endpoint.proxy)


def with_login(proxy: Proxy) -> str:
    """The URL of a proxy with user and password.

    >>> from registry_sync.registry.endpoint import Credentials
    >>> with_login(Proxy(url="http://proxy:3128", credentials=Credentials(username="me", secret="p@ss")))
    'http://me:p%40ss@proxy:3128'
    """
    if proxy.credentials is None:
        return proxy.url
    scheme, _, address = proxy.url.partition("://")
    user, password = (quote(text, safe="") for text in (proxy.credentials.username, proxy.credentials.secret))
    return f"{scheme}://{user}:{password}@{address}"


def proxies_of_sdk(proxy: Proxy) -> dict[str, str]:
    """The proxies of both schemes, as the SDKs of clouds take them; none for direct connections."""
    return dict.fromkeys(("http", "https"), with_login(proxy)) if proxy.url else {}


def shown_proxy(proxy: str) -> str:
    """The URL of a proxy without its login, for messages and logs.

    >>> shown_proxy("http://me:word@proxy.example:3128")
    'http://…@proxy.example:3128'
    """
    scheme, separator, address = proxy.partition("://")
    login, _, host = address.rpartition("@")
    return f"{scheme}{separator}{'…@' if login else ''}{host}"


def _proxy_of_environment(url: str) -> str:
    """A proxy without a scheme speaks plain HTTP."""
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or _is_bypassed(parts.hostname or "", parts.port, proxies.get("no", "")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_bypassed(host: str, port: int | None, no_proxy: str) -> bool:
    """Return whether ``no_proxy`` has the host, a domain above it, or a network of its address."""
    if proxy_bypass(f"{host}:{port}" if port else host):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _networks(no_proxy))


def _networks(no_proxy: str) -> Iterator[IPv4Network | IPv6Network]:
    for entry in no_proxy.split(","):
        with suppress(ValueError):
            yield ip_network(entry.strip(), strict=False)
