"""The proxy variables of one skopeo for two registries."""

from __future__ import annotations

import pytest

from registry_sync.errors import ConfigurationError
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.skopeo.proxies import proxy_variables

P, Q, DIRECT = Proxy(url="http://p.example:3128"), Proxy(url="https://q.example"), Proxy(url="")
WITH_LOGIN = Proxy(url=P.url, credentials=Credentials(username="me", secret="p@ss"))
THROUGH_P = {"HTTP_PROXY": P.url, "HTTPS_PROXY": P.url}
HOSTS = ("acr.example", "tokens.example")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def variables(source: Proxy | None, destination: Proxy | None, host: str = "quay.io") -> dict[str, str]:
    sides = Endpoint(host=host, proxy=source), Endpoint(host="acr.example", proxy=destination)
    return dict(proxy_variables(*sides, HOSTS))


@pytest.mark.parametrize(
    ("source", "destination", "environment", "expected"),
    [
        (None, None, {}, {}),
        (
            *(None, None),
            *({"HTTPS_PROXY": Q.url, "no_proxy": "acr.example"}, {"HTTPS_PROXY": Q.url, "no_proxy": "acr.example"}),
        ),
        (P, P, {"https_proxy": Q.url, "no_proxy": "quay.io"}, THROUGH_P),
        (DIRECT, DIRECT, {"https_proxy": Q.url}, {}),
        (DIRECT, None, {}, {}),
        (None, DIRECT, {"https_proxy": Q.url, "no_proxy": "*"}, {}),
        (P, None, {"https_proxy": P.url}, THROUGH_P),
        (P, DIRECT, {"https_proxy": Q.url}, {**THROUGH_P, "NO_PROXY": "acr.example,tokens.example"}),
        (P, None, {}, {**THROUGH_P, "NO_PROXY": "acr.example,tokens.example"}),
        (None, DIRECT, {"https_proxy": P.url}, {**THROUGH_P, "NO_PROXY": "acr.example,tokens.example"}),
    ],
)
def test_both_are_reached_as_they_say(
    source: Proxy | None,
    destination: Proxy | None,
    environment: dict[str, str],
    expected: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert variables(source, destination) == expected


def test_the_login_of_a_proxy_is_in_its_address() -> None:
    assert variables(WITH_LOGIN, WITH_LOGIN)["HTTPS_PROXY"] == "http://me:p%40ss@p.example:3128"


@pytest.mark.parametrize(
    ("source", "destination", "ways"),
    [
        (P, Q, ("through the proxy http://p.example:3128", "through the proxy https://q.example")),
        (DIRECT, P, ("directly", "through the proxy http://p.example:3128")),
        (None, P, ("directly", "through the proxy http://p.example:3128")),
        (WITH_LOGIN, P, ("through the proxy http://…@p.example:3128", "through the proxy http://p.example:3128")),
    ],
)
def test_what_one_environment_cannot_express_is_refused(
    source: Proxy | None, destination: Proxy | None, ways: tuple[str, str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        variables(source, destination)
    assert str(caught.value) == (
        f"source quay.io is reached {ways[0]} and destination acr.example {ways[1]}, but one skopeo cannot do both; "
        "write transfer: direct, or the same proxy: for both registries"
    )


def test_a_source_below_the_domain_of_the_destination_would_be_excepted_too() -> None:
    """Go takes each entry of ``NO_PROXY`` for a domain."""
    with pytest.raises(ConfigurationError):
        variables(P, DIRECT, host="hub.acr.example")
