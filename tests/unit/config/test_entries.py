"""Values of a mirrors file: inheritance of settings, and the routes of a mirror."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.config.as_json import as_json
from registry_sync.config.entries.from_json import registry_from_json, settings_from_json
from registry_sync.config.entries.mirror import MirrorEntry
from registry_sync.config.entries.registry import RegistryEntry
from registry_sync.config.entries.rules import NamespaceEntry
from registry_sync.config.entries.settings import RouteOptions, resolve_settings, written_options
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule, RepositoryRule, rule_summary
from registry_sync.config.settings import RouteSettings
from registry_sync.errors import ConfigurationError, DeniedError, RateLimited, RegistrySyncError, TemporaryError
from registry_sync.oci.reference import Repository
from registry_sync.routes.discovery import (
    Discovery,
    FailedRepository,
    FoundRoute,
    expand_routes,
    select_routes,
)
from registry_sync.routes.load import parse_mirrors
from registry_sync.routes.route import Route, route_of
from registry_sync.tags.overwrite_policy import parse_policies
from registry_sync.tags.patterns import parse_pattern
from registry_sync.tags.rules import TagRule, TagRules
from registry_sync.text import harmless

QUAY = Registry(name="quay", host="quay.io")
ACR = Registry(name="acr", host="acr.example", connection="registry_acr", ca_file=Path("/ca.pem"), max_connections=2)
HUB = Registry(name="hub", host="docker.io")
PUSHED = datetime(2026, 11, 24, 12, tzinfo=UTC)

KEEP, FAIL = parse_policies("keep"), parse_policies("fail")
POLICIES = st.sampled_from(["keep", "fail", {"v*": "fail", "latest": "follow", "*": "keep"}])
PRUNES = st.sampled_from([{"tags": "none"}, {"tags": "not_selected", "keep": ("*-lts",), "dry_run": False}])
FILES = st.sampled_from([Path("/etc/policy.json"), Path("/etc/other")])
SKOPEO = st.sampled_from(
    [{"runner": "local"}, {"runner": "docker", "image": "skopeo", "docker_url": "tcp://d:1", "tls_dir": Path("/tls")}]
)
NUMBERS = st.integers(1, 32)
PATTERNS = st.lists(
    st.sampled_from(["/v[0-9]+/", "[!ä]*"]) | st.from_regex(r"(v?1\.)?[*?][A-Za-z0-9_.*?-]{0,9}", fullmatch=True),
    min_size=1,
).map(tuple)
TAG_RULE = st.fixed_dictionaries(
    {"semver": st.just("^1 || 3.x"), "prereleases": st.booleans(), "newest": st.integers(3, 9)},
    optional={
        "names": st.just(("latest", f"v1@sha256:{64 * 'a'}")),
        "include": PATTERNS,
        "exclude": PATTERNS,
        "older_than": st.sampled_from(["12h", "3w"]),
        "younger_than": st.just("90d"),
        "newest_by": st.sampled_from(["semver", "push_time", "name"]),
        "min_tags": st.sampled_from([0, 3]),
        "version": st.just("(v?.+)"),
    },
)
TAG_RULES = TAG_RULE | st.lists(TAG_RULE, min_size=1, max_size=3).map(tuple)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "tags": TAG_RULES,
    "prefix": st.sampled_from(["", "mirror/"]),
    "strip_prefix": st.sampled_from(["", "a/"]),
    "on_moved_tag": POLICIES,
    "backup_tag": st.just("{{ tag }}-was-{{ digest_short }}"),
    "prune": PRUNES,
    "platforms": st.sampled_from([("linux/amd64",), ("linux/arm/v7", "linux/s390x")]),
    "signatures": st.booleans(),
    "policy": FILES,
    "registries_d": FILES,
    "skopeo": SKOPEO,
    "transfer": st.sampled_from(["skopeo", "direct"]),
    "parallel_copies": NUMBERS,
    "copy_timeout_minutes": NUMBERS,
    "stall_timeout_seconds": NUMBERS,
    "fresh_within": st.sampled_from(["2h", "1d"]),
    "enabled": st.booleans(),
    "until": st.sampled_from(["2026-01-31", "2026-02-01T12:00Z"]),
}


def fitting(fields: dict[str, Any]) -> dict[str, Any]:
    """The options without an ``until`` that has no ``enabled: false`` beside it."""
    return {name: value for name, value in fields.items() if name != "until" or fields.get("enabled") is False}


OPTIONS = st.fixed_dictionaries({}, optional={name: st.none() | each for name, each in FIELDS.items()}).map(
    lambda fields: RouteOptions(**fitting(fields))
)
SETTINGS = OPTIONS.map(resolve_settings)
REGISTRY_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(["quay", "harbor"]),
    "connection": st.just("registry_acr"),
    "private": st.booleans(),
    "max_connections": st.integers(1, 64),
    "requests_per_second": st.sampled_from([0.5, 10.0]),
    "pool": st.just("copies"),
    "queue": st.just("china"),
    "transfer": st.sampled_from(["skopeo", "direct"]),
    "ca_file": st.just(Path("/ca.pem")),
    "fresh_within": st.just("6h"),
    "events": st.sampled_from(
        [{"webhook": {"secret": "quay_events"}}, {"webhook": {"secret": "hooks/quay"}, "settle": "2m"}]
    ),
}


def a_mirror(*repositories: Any, **options: Any) -> Mirror:
    defaults = options.pop("defaults", RouteOptions())
    return MirrorEntry(source="quay", destinations=("acr",), repositories=repositories, **options).parse("m", defaults)


def options(**written: Any) -> RouteOptions:
    return RouteOptions.model_validate(written)


def a_namespace(**options: Any) -> NamespaceRule:
    return NamespaceEntry(namespace="a", **options).parse(())


def a_route(source: str = "a/b", destination: str = "a/b", **fields: Any) -> Route:
    return Route(
        mirror="m",
        source=QUAY,
        destination=ACR,
        source_repository=Repository(QUAY.host, source),
        destination_repository=Repository(ACR.host, destination),
        **{"settings": RouteSettings(), **fields},
    )


def nothing_found(namespace: str, include_private: bool) -> Mapping[str, datetime | None]:
    raise AssertionError(f"{namespace} was asked for (private: {include_private})")


def labels(found: Discovery) -> list[str]:
    return [route.route.label for route in found.routes]


NO_DEV = TagRules((TagRule(exclude=(parse_pattern("*-dev"),)),))


def test_settings_have_defaults() -> None:
    assert resolve_settings() == RouteSettings(
        tags=TagRules(),
        on_moved_tag=parse_policies("follow"),
        parallel_copies=4,
        copy_timeout_minutes=60,
        stall_timeout_seconds=300,
    )


def test_a_rule_overrides_its_mirror_and_that_the_defaults() -> None:
    mirror = a_mirror(
        {"repository": "a/b", "on_moved_tag": "fail"},
        "c/d",
        defaults=options(on_moved_tag="keep", parallel_copies=2, copy_timeout_minutes=5),
        parallel_copies=8,
        tags={"exclude": ("*-dev",)},
    )
    first, second = mirror.rules
    common: dict[str, Any] = {"tags": NO_DEV, "parallel_copies": 8, "copy_timeout_minutes": 5}
    assert first.settings == RouteSettings(on_moved_tag=FAIL, **common)
    assert second.settings == RouteSettings(on_moved_tag=KEEP, **common)


@pytest.mark.parametrize(
    ("default", "mirror", "registry", "rule", "expected"),
    [
        ({}, {}, None, {}, None),
        ({"fresh_within": "1d"}, {}, None, {}, "1d"),
        ({"fresh_within": "1d"}, {"fresh_within": "2h"}, None, {}, "2h"),
        ({"fresh_within": "1d"}, {"fresh_within": None}, None, {}, None),
        ({"fresh_within": "1d"}, {"fresh_within": "2h"}, "6h", {}, "6h"),
        ({}, {"fresh_within": None}, "6h", {}, "6h"),
        ({}, {"fresh_within": "2h"}, "6h", {"fresh_within": "1h"}, "1h"),
        ({}, {"fresh_within": "2h"}, "6h", {"fresh_within": None}, None),
    ],
)
def test_the_innermost_promise_applies(
    default: dict[str, Any], mirror: dict[str, Any], registry: str | None, rule: dict[str, Any], expected: str | None
) -> None:
    found = a_mirror({"repository": "a/b", **rule}, defaults=options(**default), **mirror)
    destination = RegistryEntry.model_validate({"host": "acr.example", "fresh_within": registry}).parse("acr")
    promise = route_of(found, found.rules[0], QUAY, destination, "a/b").settings.fresh_within
    assert str(promise) == str(expected)


def test_tag_rules_are_replaced_and_not_merged() -> None:
    outer, inner = options(tags={"include": ("v*",)}), options(tags={"exclude": ("*-dev",)})
    assert resolve_settings(outer, inner).tags == NO_DEV


@given(st.lists(OPTIONS, max_size=3))
def test_each_option_comes_from_the_innermost_layer_that_has_it(layers: list[RouteOptions]) -> None:
    settings = resolve_settings(*layers)
    for name in FIELDS:
        key = "enabled" if name == "until" else name
        innermost = next((layer for layer in reversed(layers) if key in written_options(layer)), RouteOptions())
        assert getattr(settings, name) == getattr(resolve_settings(innermost), name)


def test_the_strategies_know_every_option() -> None:
    assert FIELDS.keys() == RouteOptions.model_fields.keys()
    assert REGISTRY_FIELDS.keys() == RegistryEntry.model_fields.keys() - {
        *("host", "api_url", "tls", "create_repository", "identity"),
        *("client_certificate", "client_key", "proxy", "proxy_connection", "keep_pulls"),
    }


@given(SETTINGS)
def test_settings_come_back_from_what_is_written(settings: RouteSettings) -> None:
    """Whatever the order of keys: JSON objects in a database do not keep it."""
    assert settings_from_json(json.loads(json.dumps(as_json(settings), sort_keys=True))) == settings


@given(st.fixed_dictionaries({}, optional=REGISTRY_FIELDS))
def test_a_registry_comes_back_from_what_is_written(options: dict[str, Any]) -> None:
    registry = RegistryEntry(host="r.example", **options).parse("r")
    assert registry_from_json(json.loads(json.dumps(as_json(registry)))) == registry


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "quay", "api_url": "https://api.example"},
        {"tls": False},
        {"host": "docker.io", "create_repository": True},
        {"host": "docker.io", "keep_pulls": 50},
        {"client_certificate": "/etc/ssl/mirror.crt", "client_key": "/etc/ssl/mirror.key"},
        {"proxy": "none"},
        {"proxy": "https://proxy.example:3129", "proxy_connection": "corporate_proxy"},
        {"host": "gsoci.azurecr.io", "identity": "ambient"},
    ],
)
def test_the_other_fields_of_a_registry_come_back(options: dict[str, Any]) -> None:
    registry = RegistryEntry(**{"host": "r.example", **options}).parse("r")
    assert as_json(registry) == {"name": "r", "host": registry.host, **options}
    assert registry_from_json(as_json(registry)) == registry


def test_values_have_the_fields_of_their_entries() -> None:
    assert {field.name for field in fields(RouteSettings)} == RouteOptions.model_fields.keys()
    assert {field.name for field in fields(Registry) if field.init} == {"name", *RegistryEntry.model_fields}


@given(SETTINGS, st.booleans(), st.sampled_from(["a/b", "c/d"]))
def test_a_route_comes_back_from_json(settings: RouteSettings, is_discovered: bool, there: str) -> None:
    route = a_route("a/b", there, settings=settings, is_discovered=is_discovered)
    assert Route.from_json(json.loads(json.dumps(route.to_json()))) == route


def test_a_route_as_json_holds_what_differs_from_the_defaults() -> None:
    assert a_route(
        "a/b", "c/d", settings=RouteSettings(tags=TagRules((TagRule(include=(parse_pattern("v*"),)),)))
    ).to_json() == {
        "label": "a/b → acr/c/d",
        "mirror": "m",
        "source": {"host": "quay.io", "name": "quay"},
        "destination": {
            "host": "acr.example",
            "connection": "registry_acr",
            "ca_file": "/ca.pem",
            "max_connections": 2,
            "name": "acr",
        },
        "source_repository": "a/b",
        "destination_repository": "c/d",
        "settings": {"tags": {"include": ["v*"]}},
        "is_discovered": False,
    }


def test_labels_have_the_name_at_the_destination_where_it_is_another() -> None:
    assert a_route("a/b", "a/b").label == "a/b → acr"
    assert a_route("a/b", "mirrored/b").label == "a/b → acr/mirrored/b"


@pytest.mark.parametrize(
    ("rule", "summary"),
    [
        (RepositoryRule(repository="a/b"), "`a/b`"),
        (RepositoryRule(repository="a/b", rename="c/d"), "`a/b` as `c/d`"),
        (NamespaceRule(namespace="a"), "all of `a`"),
        (
            a_namespace(include=("*-operator", "b"), exclude=("*-test",)),
            "all of `a` matching `*-operator`, `b` but `*-test`",
        ),
    ],
)
def test_rules_are_summarised_in_words(rule: RepositoryRule | NamespaceRule, summary: str) -> None:
    assert rule_summary(rule) == summary


@pytest.mark.parametrize(
    ("globs", "name", "is_chosen"),
    [
        ({}, "a/b", True),
        ({"include": ("*-operator",)}, "a/aws-operator", True),
        ({"include": ("*-operator",)}, "a/operator", False),
        ({"include": ("aws-*",)}, "a/aws-operator", True),
        ({"include": ("b/*",)}, "a/b", False),
        ({"exclude": ("*-test",)}, "a/b-test", False),
        ({"include": ("b*",), "exclude": ("bc",)}, "a/bc", False),
        ({"include": ("b*",)}, "a/b/c", True),
    ],
)
def test_globs_are_of_the_name_within_the_namespace(globs: Any, name: str, is_chosen: bool) -> None:
    assert a_namespace(**globs).chooses(name) is is_chosen


def test_named_repositories_become_routes() -> None:
    mirror = a_mirror("c/d", {"repository": "a/b", "rename": "mirrored/b", "on_moved_tag": "keep"})
    routes = (
        a_route("a/b", "mirrored/b", settings=RouteSettings(on_moved_tag=KEEP)),
        a_route("c/d", "c/d"),
    )
    expected = tuple(FoundRoute(route=replace(route, has_schedule=False)) for route in routes)
    assert expand_routes(mirror, QUAY, ACR, nothing_found) == Discovery(routes=expected)


def test_official_images_of_docker_hub_are_in_its_library() -> None:
    mirror = a_mirror("alpine", {"repository": "busybox", "rename": "tools/busybox"})
    assert labels(expand_routes(mirror, HUB, ACR, nothing_found)) == [
        "library/alpine → acr",
        "library/busybox → acr/tools/busybox",
    ]
    assert labels(expand_routes(a_mirror("alpine"), QUAY, HUB, nothing_found)) == ["alpine → hub/library/alpine"]


def test_a_namespace_is_what_the_registry_lists_without_what_is_written_by_name() -> None:
    mirror = a_mirror(
        {"repository": "a/named-operator", "rename": "x/y"},
        {"namespace": "a", "include": ("*-operator",), "exclude": ("old-*",), "parallel_copies": 2},
        {"namespace": "a", "include_private": True},
    )
    asked: list[tuple[str, bool]] = []

    def listed(namespace: str, include_private: bool) -> Mapping[str, datetime | None]:
        asked.append((namespace, include_private))
        return {"a/z-operator": PUSHED, "a/named-operator": PUSHED, "a/old-operator": None, "a/other": None}

    routes = expand_routes(mirror, QUAY, ACR, listed).routes
    assert asked == [("a", False), ("a", True)]
    assert [
        (
            route.route.label,
            route.modified_at,
            route.route.is_discovered,
            route.route.settings.parallel_copies,
        )
        for route in routes
    ] == [
        ("a/named-operator → acr/x/y", None, False, 4),
        ("a/old-operator → acr", None, True, 4),
        ("a/other → acr", None, True, 4),
        ("a/z-operator → acr", PUSHED, True, 2),
    ]


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        ({}, "no repositories"),
        ({"a/b": None, "a/c": None}, "2 repositories, but include and exclude select none"),
    ],
)
def test_an_empty_namespace_is_refused(found: Mapping[str, datetime | None], seen: str) -> None:
    mirror = a_mirror({"namespace": "a", "include": ("x*",)})
    with pytest.raises(ConfigurationError) as caught:
        expand_routes(mirror, QUAY, ACR, lambda _namespace, _private: found)
    assert str(caught.value) == f"namespace 'a' of quay.io has {seen}; fix the rule or its name"


def discover(*rules: Any, found: Collection[str], destination: Registry = ACR) -> tuple[list[str], dict[str, str]]:
    """The labels of the routes, and the errors of the repositories that get none."""
    result = expand_routes(a_mirror(*rules), QUAY, destination, lambda *_: dict.fromkeys(found))
    return labels(result), {failure.name: str(failure.error) for failure in result.failures}


ODD = "only a-z, 0-9 and single '.', '_', '-' or '__' between them, in parts separated by '/'"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a/b___c", ODD),
        ("a/test-", ODD),
        ("a/b..c", ODD),
        ("a/../../x", ODD),
        ("a/\x1b[31mx", ODD),
        ("a/b:v1", "write it without registry, tag and digest (tags have a key of their own)"),
        ("a/UPPER", "upper-case letters are not allowed; write 'a/upper'"),
    ],
)
def test_a_listed_name_that_is_invalid_fails_alone(name: str, fault: str) -> None:
    """Quay takes pushes to such names. Whoever creates one must not stop the rest of the namespace."""
    routes, failures = discover({"namespace": "a"}, found=["a/one", "a/two", name])
    assert routes == ["a/one → acr", "a/two → acr"]
    shown = harmless(f"{name!r} is not a repository name: {fault}; exclude it from namespace 'a', or rename it")
    assert failures == {name: shown}


@pytest.mark.parametrize("name", ["team/" + 250 * "x", "team/b/c", "team/" + 70 * "x"])
def test_a_listed_name_that_the_destination_cannot_hold_fails_alone(name: str) -> None:
    aliyun = Registry(name="cn", host="registry.cn-hangzhou.aliyuncs.com")
    routes, failures = discover({"namespace": "team"}, found=["team/one", name], destination=aliyun)
    assert (len(routes), list(failures)) == (1, [name])


def test_a_discovered_name_that_docker_hub_cannot_hold_is_refused() -> None:
    assert discover({"namespace": "team"}, found=["team/b/c", "team/app"], destination=HUB) == (
        ["team/app → hub"],
        {"team/b/c": "Docker Hub names have two parts, NAMESPACE/NAME; 'team/b/c' has 3; exclude or rename it"},
    )


def test_a_repository_that_is_written_by_name_keeps_its_destination() -> None:
    routes, failures = discover({"repository": "x/y", "rename": "a/b"}, {"namespace": "a"}, found=["a/b", "a/c"])
    assert routes == ["a/c → acr", "x/y → acr/a/b"]
    assert failures == {
        "a/b": (
            "quay.io/a/b and quay.io/x/y would both be mirrored to acr.example/a/b, so only the second, which is "
            "written by name, is; exclude or rename the first"
        )
    }


@pytest.mark.parametrize("found", [["a/app", "a/sub/app"], ["a/sub/app", "a/app", "a/x/app"]])
def test_discovered_repositories_with_one_destination_all_fail(found: list[str]) -> None:
    """A new repository must not take over the name of another one."""
    rule = {"namespace": "a", "rename": "copies/{{ name }}"}
    routes, failures = discover(rule, found=[*found, "a/other"])
    assert routes == ["a/other → acr/copies/other"]
    assert failures.keys() == set(found)
    for text in failures.values():
        assert text.endswith(
            " would both be mirrored to acr.example/copies/app, so none of them is; exclude or rename one"
        )


def test_names_that_differ_in_case_only_do_not_meet_by_rename() -> None:
    """Names at a destination are in lower case, so that no registry can fold them."""
    routes, failures = discover({"namespace": "a", "rename": "copies/{{ name | upper }}"}, found=["a/b"])
    assert (routes, list(failures)) == ([], ["a/b"])
    assert "upper-case letters are not allowed; write 'copies/b'" in failures["a/b"]


def test_a_namespace_that_cannot_be_listed_fails_alone() -> None:
    def listed(namespace: str, _private: bool) -> Mapping[str, datetime | None]:
        if namespace == "gone":
            raise DeniedError("GET /api/v1/repository answered 403")
        return {"a/b": None}

    found = expand_routes(a_mirror({"namespace": "gone"}, {"namespace": "a"}), QUAY, ACR, listed)
    assert (labels(found), found.unlisted) == (["a/b → acr"], ("gone",))
    (failure,) = found.failures
    assert (failure.source, str(failure.error)) == ("quay.io/gone", "GET /api/v1/repository answered 403")
    with pytest.raises(DeniedError):
        expand_routes(a_mirror({"namespace": "gone"}), QUAY, ACR, listed)


@pytest.mark.parametrize("error", [TemporaryError("GET answered 503"), RateLimited("429", retry_at=PUSHED)])
def test_a_disabled_namespace_fails_alone_for_any_reason(error: RegistrySyncError) -> None:
    """It may be disabled because its listing always fails. Other namespaces with its repositories leave them out."""

    def listed(namespace: str, _private: bool) -> Mapping[str, datetime | None]:
        if namespace == "a/big":
            raise error
        return {"a/b": None, "a/big/app": None, "a/big/web": None}

    big = {"namespace": "a/big", "include": ("w*",), "enabled": False, "until": "2026-11-25"}
    mirror = a_mirror(big, {"namespace": "a"})
    found = expand_routes(mirror, QUAY, ACR, listed, PUSHED)
    assert (labels(found), found.unlisted) == (["a/b → acr", "a/big/app → acr"], ("a/big",))
    with pytest.raises(type(error)):
        expand_routes(mirror, QUAY, ACR, listed, PUSHED + timedelta(days=1))


def test_a_repository_must_not_be_mirrored_to_itself() -> None:
    with pytest.raises(ConfigurationError) as caught:
        expand_routes(a_mirror("a/b"), QUAY, QUAY, nothing_found)
    assert str(caught.value) == "quay.io/a/b would be mirrored to itself; choose another destination, or rename it"


FOUND = Discovery(
    routes=tuple(FoundRoute(route=a_route(name, name)) for name in ("a/b", "a/c", "d/e")),
    failures=(FailedRepository(name="a/X", source="quay.io/a/X", error=ConfigurationError("it is odd")),),
)


@pytest.mark.parametrize(
    ("globs", "names"),
    [
        ([], ["a/b", "a/c", "d/e"]),
        (["a/*"], ["a/b", "a/c"]),
        (["d/e", "a/b"], ["a/b", "d/e"]),
        (["*", "a/b"], ["a/b", "a/c", "d/e"]),
        (["a/?"], ["a/b", "a/c"]),
    ],
)
def test_selecting_routes_keeps_their_order(globs: list[str], names: list[str]) -> None:
    assert [route.route.source_repository.name for route in select_routes(FOUND, globs).routes] == names


@pytest.mark.parametrize(("globs", "names"), [([], ["a/X"]), (["a/?"], ["a/X"]), (["a/X"], ["a/X"]), (["d/e"], [])])
def test_failures_are_selected_like_routes(globs: list[str], names: list[str]) -> None:
    assert [failure.name for failure in select_routes(FOUND, globs).failures] == names


def test_a_glob_that_matches_nothing_is_an_error_and_not_less_work() -> None:
    with pytest.raises(ConfigurationError) as caught:
        select_routes(FOUND, ["a/*", "A/*", "x"])
    assert str(caught.value) == ("no repository of this mirror matches A/*, x; it has a/b, a/c, d/e")


@pytest.mark.parametrize("glob", ["golang", "library/golang", "gol*"])
def test_official_image_of_docker_hub_is_found_by_its_short_name(glob: str) -> None:
    repositories = ["golang", "team/app"]
    text = f"""\
registries: {{hub: {{host: docker.io}}, acr: {{host: acr.example}}}}
mirrors: {{a: {{source: hub, destinations: [acr], repositories: {repositories}}}}}
"""
    file, problems = parse_mirrors(text, Path("mirrors.yaml"))
    assert problems == ()
    found = expand_routes(file.mirrors["a"], file.registries["hub"], file.registries["acr"], lambda _name, _all: {})
    assert [entry.route.source_repository.name for entry in select_routes(found, [glob]).routes] == ["library/golang"]
    with pytest.raises(ConfigurationError) as caught:
        select_routes(found, ["golan"])
    assert str(caught.value) == "no repository of this mirror matches golan; it has golang, team/app"
