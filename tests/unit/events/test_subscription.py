"""The mirrors that an address starts, and the addresses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_sync.events.addresses import PREFIX, Address, split_path
from registry_sync.events.push import Push
from registry_sync.events.reported import ReportedPush
from registry_sync.events.subscription import MAX_RULES, Subscription, as_extra, parse_subscription, subscriptions
from registry_sync.routes.load import parse_mirrors

FILE = """\
registries:
  quay: {host: quay.io, events: {webhook: {secret: quay_events}}}
  hub: {host: docker.io, events: {webhook: {secret: hub_events}}}
  silent: {host: ghcr.io}
  acr: {host: acr.example}
defaults: {destinations: [acr]}
mirrors:
  first: {source: quay, repositories: [team/app, {namespace: org, include: ["a*"]}]}
  own: {source: quay, prefix: own/, repositories: [team/app], events: {webhook: {secret: own_events}}}
  off: {source: quay, prefix: off/, repositories: [team/app], events: null}
  silent: {source: silent, prefix: silent/, repositories: [team/app]}
  also: {source: silent, prefix: also/, repositories: [team/app], events: {webhook: {secret: ghcr_events}}}
  hub: {source: hub, prefix: hub/, repositories: [alpine, library/debian, team/app]}
  official: {source: hub, prefix: official/, repositories: [{namespace: library}]}
"""


def load(text: str = FILE) -> dict[str, Subscription]:
    file, problems = parse_mirrors(text, Path("mirrors.yaml"))
    assert problems == ()
    return {found.mirror: found for found in subscriptions(file)}


def test_a_mirror_is_started_by_its_own_address_or_by_that_of_its_source() -> None:
    found = load()
    assert {name: (each.address, each.secret) for name, each in found.items()} == {
        "first": (Address(scope="registry", name="quay"), "quay_events"),
        "own": (Address(scope="mirror", name="own"), "own_events"),
        "also": (Address(scope="mirror", name="also"), "ghcr_events"),
        "hub": (Address(scope="registry", name="hub"), "hub_events"),
        "official": (Address(scope="registry", name="hub"), "hub_events"),
    }
    assert found["first"] == Subscription(
        mirror="first",
        registry="quay",
        host="quay.io",
        kind="quay",
        address=Address(scope="registry", name="quay"),
        secret="quay_events",
        repositories=frozenset({"team/app"}),
        namespaces=frozenset({"org"}),
    )


def test_a_subscription_is_read_as_it_is_written() -> None:
    for found in load().values():
        assert parse_subscription(json.loads(json.dumps(as_extra(found)))) == found
    assert as_extra(None) == {}


OWN = as_extra(load()["own"])


@pytest.mark.parametrize(
    "extra", [None, {}, [], {"mirror": "m"}, {**OWN, "scope": "all"}, {**OWN, "secret": ""}, {**OWN, "host": "a b"}]
)
def test_another_extra_is_not_a_subscription(extra: object) -> None:
    assert parse_subscription(extra) is None


@pytest.mark.parametrize(
    ("mirror", "names", "chosen"),
    [
        ("first", ["team/app"], "team/app"),
        ("first", ["team/other"], None),
        ("first", ["org/zebra"], "org/zebra"),
        ("first", ["organisation/app"], None),
        ("first", ["docker-local/team/app", "team/app"], "team/app"),
        ("hub", ["library/alpine"], "library/alpine"),
        ("hub", ["alpine"], "alpine"),
        ("hub", ["debian"], "debian"),
        ("hub", ["library/debian"], "library/debian"),
        ("hub", ["library/busybox"], None),
        ("hub", ["app"], None),
        ("official", ["alpine"], "alpine"),
        ("official", ["library/alpine"], "library/alpine"),
    ],
)
def test_only_what_a_mirror_may_have_starts_it(mirror: str, names: list[str], chosen: str | None) -> None:
    """Patterns are compared by the run, which lists the namespace where that is needed."""
    reported = ReportedPush(candidates=tuple(Push(repository=name, tags=("v1",)) for name in names))
    found = load()[mirror].choose([reported])
    assert found == ([Push(repository=chosen, tags=("v1",))] if chosen else [])


def test_very_many_rules_are_not_carried() -> None:
    names = ", ".join(f"team/app{number}" for number in range(MAX_RULES + 1))
    found = load(FILE.replace("[team/app, {namespace", f"[{names}, {{namespace"))["first"]
    assert found.repositories is None
    assert found.choose([ReportedPush(candidates=(Push(repository="x/y", tags=None),))])
    assert len(json.dumps(as_extra(found))) < 1_000
    either = tuple(Push(repository=name, tags=("v1",)) for name in ("docker-local/team/app1", "team/app1"))
    assert found.choose([ReportedPush(candidates=either)]) == list(either), "the run knows which of them is mirrored"


def test_an_address_cannot_be_guessed_from_another() -> None:
    secret = "a secret"
    addresses = [Address(scope=scope, name=name) for scope in ("registry", "mirror") for name in ("quay", "quay2")]
    tokens = {address.token(secret) for address in addresses} | {addresses[0].token("another")}
    assert len(tokens) == 5
    path = addresses[0].path(secret)
    assert path == f"{PREFIX}/registry/quay/{addresses[0].token(secret)}"
    assert split_path(path.removeprefix(PREFIX)) == (addresses[0], addresses[0].token(secret))
    assert addresses[0].has_token(addresses[0].token(secret), secret)
    for other in ("", "ä", addresses[1].token(secret), addresses[0].token(secret)[:-1]):
        assert not addresses[0].has_token(other, secret)


OTHERS = ["", "/", "/registry/quay/", "/registry//t", "registry/quay/t", "/registry/quay/t/", "/registry/quay/t/u"]


@pytest.mark.parametrize("path", OTHERS)
def test_other_paths_are_not_addresses(path: str) -> None:
    assert split_path(path) is None
