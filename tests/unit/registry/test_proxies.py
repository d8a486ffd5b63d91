"""The proxy of the environment for a URL."""

from __future__ import annotations

import pytest

from registry_sync.registry.proxies import proxy_of

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD")
PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://quay.io/v2/", {}, ""),
        ("https://quay.io/v2/", {"http_proxy": PROXY}, ""),
        ("https://quay.io/v2/", {"https_proxy": PROXY}, PROXY),
        ("https://quay.io/v2/", {"HTTPS_PROXY": PROXY}, PROXY),
        ("http://quay.io/v2/", {"http_proxy": PROXY}, PROXY),
        ("http://quay.io/v2/", {"ALL_PROXY": PROXY}, PROXY),
        ("https://quay.io/v2/", {"https_proxy": "proxy.example:3128"}, PROXY),
        ("https://quay.io/v2/", {"https_proxy": "http://me:word@proxy.example"}, "http://me:word@proxy.example"),
        ("https://quay.io/v2/", {"https_proxy": ""}, ""),
    ],
)
def test_the_proxy_of_a_url(url: str, environment: dict[str, str], proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(url) == proxy


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_direct"),
    [
        ("quay.io", "quay.io", True),
        ("quay.io", "docker.io, quay.io", True),
        ("QUAY.io", "quay.IO", True),
        ("cdn.quay.io", "quay.io", True),
        ("cdn.quay.io", ".quay.io", True),
        ("notquay.io", "quay.io", False),
        ("quay.io:8443", "quay.io", True),
        ("quay.io:8443", "quay.io:8443", True),
        ("quay.io", "quay.io:8443", False),
        ("quay.io", "*", True),
        ("10.1.2.3:5000", "10.0.0.0/8", True),
        ("11.1.2.3:5000", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "quay.io/8,10.1.0.0/16", True),
        ("[fd00::1]:5000", "fd00::/8", True),
        ("[fd00::1]:5000", "fd00::1", True),
        ("[fe80::1]", "fd00::/8", False),
        ("quay.io", "", False),
        ("quay.io", "10.0.0.0/8,,nonsense/99", False),
    ],
)
def test_hosts_that_are_reached_without_the_proxy(
    host: str, no_proxy: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", PROXY)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert proxy_of(f"https://{host}/v2/") == ("" if is_direct else PROXY)
