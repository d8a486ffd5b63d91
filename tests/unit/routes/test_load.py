"""Loading mirrors files: a valid one, the whole message of every mistake, and the entries kept beside a broken one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from registry_sync.config.entries.settings import RouteOptions
from registry_sync.config.rules import NamespaceRule, RepositoryRule
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.checks.near_names import NearNames
from registry_sync.routes.graph import RouteMap
from registry_sync.routes.load import load_healthy_mirrors, load_mirrors, parse_mirrors
from registry_sync.tags.patterns import parse_pattern
from testkit.settings import route_settings, tag_rules
from tests.unit.routes.files import Write, flow, label, problems

GOOD = """\
registries:
  quay: {host: quay.io, connection: registry_quay}
  hub: {host: index.docker.io}
  local: {host: "localhost:5000", tls: false, private: true, pool: local}

defaults:
  parallel_copies: 2

mirrors:
  a:
    description: Node images
    schedule: "@hourly"
    start_date: 2026-01-01
    catchup: true
    source: quay
    destinations: [hub, local]
    on_moved_tag: keep
    repositories:
      - giantswarm/hyperkube
      - repository: giantswarm/aws-operator
        rename: mirrored/aws-operator
        tags: {include: ["v*"], exclude: ["*-dev"]}
      - namespace: giantswarm
        include: ["*-app"]
  b: {source: quay, destinations: [local], repositories: [giantswarm/pause]}
"""


def with_registry(**entry: Any) -> str:
    """A valid file except for the given keys of a registry, in line 3."""
    return _file(registry=entry)


def with_mirror(**entry: Any) -> str:
    """A valid file except for the given keys of a mirror, in line 5."""
    return _file(mirror=entry)


def with_repositories(*repositories: Any) -> str:
    """A valid file except for the repositories of a mirror, in line 5."""
    return with_mirror(repositories=list(repositories))


def _file(registry: Mapping[str, Any] | None = None, mirror: Mapping[str, Any] | None = None) -> str:
    return (
        "registries:\n"
        "  quay: {host: quay.io}\n"
        f"  acr: {flow({'host': 'acr.example', **(registry or {})})}\n"
        "mirrors:\n"
        f"  m: {flow({'source': 'quay', 'destinations': ['acr'], 'repositories': ['a/b'], **(mirror or {})})}\n"
    )


def test_valid_file_is_read_with_all_its_values(write: Write) -> None:
    file = load_mirrors(write(GOOD))
    assert {name: (registry.name, registry.host, registry.tls) for name, registry in file.registries.items()} == {
        "quay": ("quay", "quay.io", True),
        "hub": ("hub", "docker.io", True),
        "local": ("local", "localhost:5000", False),
    }
    assert list(file.mirrors) == ["a", "b"]
    mirror, common = file.mirrors["a"], route_settings(parallel_copies=2, on_moved_tag="keep")
    assert mirror.rules == (
        RepositoryRule(repository="giantswarm/hyperkube", settings=common),
        RepositoryRule(
            repository="giantswarm/aws-operator",
            rename="mirrored/aws-operator",
            settings=replace(common, tags=tag_rules(include=("v*",), exclude=("*-dev",))),
            written_options=frozenset({"tags"}),
        ),
        NamespaceRule(namespace="giantswarm", include=(parse_pattern("*-app"),), settings=common),
    )
    assert (mirror.schedule, mirror.start_date) == ("@hourly", datetime(2026, 1, 1, tzinfo=UTC))
    assert mirror.default_options == {"parallel_copies"}


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31 10:30", datetime(2026, 1, 31, 10, 30, tzinfo=UTC)),
        ("2026-01-31T10:30:00Z", datetime(2026, 1, 31, 10, 30, tzinfo=UTC)),
        ("2026-01-31T10:30:00+02:00", datetime(2026, 1, 31, 8, 30, tzinfo=UTC)),
    ],
    ids=label,
)
def test_dates_are_utc(write: Write, written: str, moment: datetime) -> None:
    file = load_mirrors(write(_file().replace("source: quay", f"source: quay, start_date: {written}")))
    assert file.mirrors["m"].start_date == moment


GRAMMAR = "only a-z, 0-9 and single '.', '_', '-' or '__' between them, in parts separated by '/'"
NO_HOST = "is not a registry host; write host or host:port, without https:// or a path"


NO_PROXY = "is not the address of a proxy; write http://host:port, https://host:port, or none"
NO_ADDRESS = "proxy_connection has the login of the proxy, so it needs proxy: http://host:port"


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"host": "https://acr.example"}, f".host: 'https://acr.example' {NO_HOST}"),
        ({"host": "acr.example/team"}, f".host: 'acr.example/team' {NO_HOST}"),
        ({"host": ""}, f".host: '' {NO_HOST}"),
        (
            {"host": "acr"},
            (
                ".host: 'acr' has neither a dot nor a port, so image names with it would mean Docker Hub; "
                "write the port too, such as 'acr:443'"
            ),
        ),
        (
            {"host": "[::1]:5000"},
            (
                ".host: '[::1]:5000' is an IPv6 address, which skopeo's image references cannot hold; write a name "
                "that resolves to it"
            ),
        ),
        ({"host": 5000}, '.host: expected a string, got the number 5000 (quote it: "5000")'),
        ({"host": None}, ".host: expected a string, got null"),
        ({"host": ["acr.example"]}, ".host: expected a string, got a list; write one value"),
        ({"tls": "false"}, ".tls: expected true or false, got 'false'; write false without quotes"),
        ({"insecure": True}, ".insecure: unknown key 'insecure'; write tls: false for a registry without TLS"),
        ({"plain-http": True}, ".plain-http: unknown key 'plain-http'; write tls: false for a registry without TLS"),
        (
            {"skipTLSVerify": True},
            (
                ".skipTLSVerify: unknown key 'skipTLSVerify'; certificates are always verified: write ca_file:, or "
                "tls: false without TLS"
            ),
        ),
        ({"url": "x"}, ".url: unknown key 'url'; did you mean 'host'?"),
        ({"tls": 0}, ".tls: expected true or false, got the number 0; write false"),
        (
            {"tls": False, "ca_file": "/ca.pem"},
            ": ca_file is for TLS, which tls: false turns off; remove one of them",
        ),
        (
            {"ca_file": "ca.pem"},
            ".ca_file: expected an absolute path, because tasks run in any directory, got 'ca.pem'",
        ),
        ({"ca_file": 1.1}, ".ca_file: expected a string, got the number 1.1"),
        (
            {"client_certificate": "/mirror.crt"},
            ": client_certificate needs client_key; write both, or none",
        ),
        ({"client_key": "/mirror.key"}, ": client_key needs client_certificate; write both, or none"),
        (
            {"tls": False, "client_certificate": "/mirror.crt", "client_key": "/mirror.key"},
            ": client_certificate is for TLS, which tls: false turns off; remove one of them",
        ),
        (
            {"proxy": "http://me:secret@proxy.example:3128"},
            (
                ".proxy: a proxy's user and password do not belong into this file; write http://host:port, "
                "https://host:port, or none, and as proxy_connection the id of an Airflow Connection that has them"
            ),
        ),
        ({"proxy": "socks5://proxy.example:1080"}, f".proxy: 'socks5://proxy.example:1080' {NO_PROXY}"),
        ({"proxy": "proxy.example:3128"}, f".proxy: 'proxy.example:3128' {NO_PROXY}"),
        ({"proxy": "http://proxy.example/path"}, f".proxy: 'http://proxy.example/path' {NO_PROXY}"),
        *(
            ({"proxy": proxy}, f".proxy: '{proxy}' {NO_PROXY}")
            for proxy in ("http://proxy.example:99999", "http://proxy.example:0", "https://[::::]:3128")
        ),
        ({"proxy_connection": "corporate"}, f": {NO_ADDRESS}"),
        (
            {"keep_pulls": 50},
            (
                ": keep_pulls is only supported for kind docker_hub, which reports its pull limit (this registry is "
                "'distribution'); remove it"
            ),
        ),
        ({"keep_pulls": 0}, ".keep_pulls: expected 1 or more, got the number 0"),
        ({"proxy": "none", "proxy_connection": "corporate"}, f": {NO_ADDRESS}"),
        ({"connection": ""}, ".connection: it is empty; write a value, or remove it"),
        ({"max_connections": 0}, ".max_connections: expected 1 or more, got the number 0"),
        ({"max_connections": 65}, ".max_connections: expected 64 or less, got the number 65"),
        ({"max_connections": "8"}, ".max_connections: expected a whole number, got '8'; remove the quotes"),
        ({"requests_per_second": 0}, ".requests_per_second: expected more than 0, got the number 0"),
        ({"requests_per_second": "5"}, ".requests_per_second: expected a number, got '5'; remove the quotes"),
        ({"requests_per_second": True}, ".requests_per_second: expected a number, got the boolean true"),
        ({"requests_per_second": math.inf}, ".requests_per_second: expected a number, got '.inf'"),
        ({"conection": "x"}, ".conection: unknown key 'conection'; did you mean 'connection'?"),
        ({"pool": ""}, ".pool: it is empty; write a value, or remove it"),
    ],
    ids=label,
)
def test_invalid_registry_is_refused(write: Write, entry: Any, problem: str) -> None:
    assert problems(write(with_registry(**entry))) == [f"mirrors.yaml:3: registries.acr{problem}"]


TAG_KEYS = (
    "names, include, exclude, semver, prereleases, version, older_than, younger_than, newest, newest_by, min_tags"
)
NO_DATE = "expected a date such as 2026-01-31 or 2026-01-31T12:00Z, got"
NO_SCHEDULE = (
    "is not a schedule; write five cron fields such as '0 * * * *', "
    "or one of @hourly, @daily, @weekly, @monthly, @quarterly, @yearly"
)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"source": "qay"}, ".source: no registry named 'qay'; did you mean 'quay'?"),
        ({"source": "harbor"}, ".source: no registry named 'harbor'; the file has quay, acr"),
        ({"source": None}, ".source: expected a string, got null"),
        ({"destinations": ["acr", "acrr"]}, ".destinations[1]: no registry named 'acrr'; did you mean 'acr'?"),
        ({"destinations": ["acr", "acr"]}, ".destinations[1]: 'acr' is listed twice; keep one"),
        ({"destinations": []}, ".destinations: it is empty; write a value, or remove it"),
        ({"destinations": "acr"}, ".destinations: expected a list, such as [a, b], got 'acr'"),
        ({"destinations": None}, ".destinations: expected a list, such as [a, b], got null"),
        ({"repositories": []}, ".repositories: it is empty; write a value, or remove it"),
        ({"repositories": "a/b"}, ".repositories: expected a list, such as [a, b], got 'a/b'"),
        ({"repositories": {"a": "b"}}, ".repositories: expected a list, such as [a, b], got a mapping"),
        ({"schedule": "hourly"}, f".schedule: 'hourly' {NO_SCHEDULE}"),
        ({"schedule": "@reboot"}, f".schedule: '@reboot' {NO_SCHEDULE}"),
        ({"schedule": "* * * *"}, f".schedule: '* * * *' {NO_SCHEDULE}"),
        ({"schedule": 5}, '.schedule: expected a string, got the number 5 (quote it: "5")'),
        (
            {"schedule": "0 0 30 2 *"},
            ".schedule: '0 0 30 2 *' never occurs: no month has such a day; fix the day or the month",
        ),
        ({"catchup": True}, ": catchup needs a schedule and a start_date, from which to catch up"),
        (
            {"catchup": True, "schedule": "@daily"},
            ": catchup needs a schedule and a start_date, from which to catch up",
        ),
        ({"start_date": "soon"}, f".start_date: {NO_DATE} 'soon'"),
        ({"start_date": "2026-13-01"}, f".start_date: {NO_DATE} '2026-13-01'"),
        ({"start_date": 2026}, f".start_date: {NO_DATE} 2026"),
        ({"start_date": "2026"}, f".start_date: {NO_DATE} '2026'"),
        ({"start_date": "0001-01-01T00:00+05:00"}, f".start_date: {NO_DATE} '0001-01-01T00:00+05:00'"),
        ({"retries": -1}, ".retries: expected 0 or more, got the number -1"),
        ({"retries": 1.5}, ".retries: expected a whole number, got the number 1.5"),
        ({"target": "b"}, ".target: unknown key 'target'; did you mean 'destinations'?"),
        ({"source": ["a"]}, ".source: expected a string, got a list; write one name"),
        ({"description": ["x"]}, ".description: expected a string, got a list; write one value"),
        ({"on_moved_tag": "folow"}, ".on_moved_tag: expected 'follow', 'keep' or 'fail', got 'folow'"),
        (
            {"on_moved_tag": {"latest": "follow", "v*": "fial"}},
            ".on_moved_tag: expected 'follow', 'keep' or 'fail' for 'v*', got 'fial'",
        ),
        (
            {"on_moved_tag": 7},
            ".on_moved_tag: expected 'follow', 'keep' or 'fail', or patterns of tags with one of these each, got 7",
        ),
        (
            {"backup_tag": "{{ tga }}-was"},
            ".backup_tag: '{{ tga }}-was': unknown variable 'tga'; there are tag, digest, digest_short, date, time",
        ),
        ({"backup_tag": "{{ tag }"}, ".backup_tag: '{{ tag }' is not a Jinja2 template: unexpected '}'"),
        ({"backup_tag": ""}, ".backup_tag: it is empty; write a value, or remove it"),
        ({"prune": True}, ".prune: expected a mapping (key: value), got the boolean true"),
        ({"prune": {}}, ".prune: 'tags' is missing"),
        ({"prune": {"tags": "all"}}, ".prune.tags: expected 'gone_at_source', 'not_selected' or 'none', got 'all'"),
        (
            {"prune": {"tags": "none", "spare": ["v*"]}},
            ".prune.spare: unknown key 'spare'; allowed are tags, keep, max_percent, dry_run",
        ),
        (
            {"prune": {"tags": "none", "max_percent": 0}},
            ".prune.max_percent: expected 1 or more, got the number 0",
        ),
        ({"prune": {"tags": "none", "dry_run": "no"}}, ".prune.dry_run: expected true or false, got 'no'; write false"),
        ({"skopeo": {"runer": "docker"}}, ".skopeo.runer: unknown key 'runer'; did you mean 'runner'?"),
        ({"parallel_copies": 33}, ".parallel_copies: expected 32 or less, got the number 33"),
        ({"tags": ["v*"]}, ".tags: 'v*' is not a rule; write {names: [v*]}, or include: for patterns"),
        ({"tags": {"include": "v*"}}, ".tags.include: expected a list, such as [a, b], got 'v*'"),
        ({"tags": {"include": []}}, ".tags.include: it is empty; write a value, or remove it"),
        ({"tags": {"include": [""]}}, ".tags.include[0]: it is empty; write a value, or remove it"),
        ({"tags": {"includ": ["v*"]}}, ".tags.includ: unknown key 'includ'; did you mean 'include'?"),
        ({"tags": {"only": ["v*"]}}, f".tags.only: unknown key 'only'; allowed are {TAG_KEYS}"),
        ({"destination": "acr"}, ".destination: unknown key 'destination'; did you mean 'destinations'?"),
    ],
    ids=label,
)
def test_invalid_mirror_is_refused(write: Write, entry: Any, problem: str) -> None:
    assert problems(write(with_mirror(**entry))) == [f"mirrors.yaml:5: mirrors.m{problem}"]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("1.10", 'expected a string, got the number 1.10 (quote it: "1.10")'),
        ("2026", 'expected a string, got the number 2026 (quote it: "2026")'),
        ("true", 'expected a string, got the boolean true (quote it: "true")'),
        ("null", 'expected a string, got null (quote it: "null")'),
        ("~", 'expected a string, got ~ (quote it: "~")'),
        ("[v1]", "expected a string, got a list; remove one '-', or the inner [ ]"),
        ("{a: b}", "expected a string, got a mapping"),
        ("?.*", "expected a string, got a mapping; put it in quotes: '?.*'"),
        ("?", "expected a string, got a mapping; put it in quotes: '?'"),
        ("?.1-*", "expected a string, got a mapping; put it in quotes: '?.1-*'"),
    ],
    ids=label,
)
def test_glob_that_yaml_reads_as_another_type_is_refused(write: Write, written: str, problem: str) -> None:
    path = write(_file(mirror={"tags": {"include": ["v*", "THIS"]}}).replace("THIS", written))
    assert problems(path) == [f"mirrors.yaml:5: mirrors.m.tags.include[1]: {problem}"]


TEXTS = ("2026-01-31", '"1.10"', "1.2.3", "010", "0x1F", "on", "no", "1e3", "12e5", "1_000")


def test_values_that_only_yaml_1_1_reads_as_another_type_are_text(write: Write) -> None:
    path = write(_file(mirror={"tags": {"names": ["THIS"]}}).replace("[THIS]", f"[{', '.join(TEXTS)}]"))
    expected = tag_rules(names=tuple(text.strip('"') for text in TEXTS))
    assert load_mirrors(path).mirrors["m"].rules[0].settings.tags == expected


@pytest.mark.parametrize(
    ("key", "written", "expected"),
    [
        ("retries", "010", "a whole number, got '010'"),
        ("retries", "0x10", "a whole number, got '0x10'"),
        ("retries", "1_0", "a whole number, got '1_0'"),
        ("task_timeout_minutes", "1:30", "a whole number, got '1:30'"),
        ("task_timeout_minutes", "1e3", "a whole number, got '1e3'"),
        ("task_timeout_minutes", "90.0", "a whole number, got the number 90.0"),
        ("catchup", "off", "true or false, got 'off'; write false"),
        ("catchup", "Yes", "true or false, got 'Yes'; write true"),
    ],
)
def test_values_that_yaml_versions_read_differently_are_refused(
    write: Write, key: str, written: str, expected: str
) -> None:
    path = write(_file(mirror={key: "THIS"}).replace("THIS", written))
    assert problems(path) == [f"mirrors.yaml:5: mirrors.m.{key}: expected {expected}"]


RULE = "expected a repository name, or a mapping with either repository: or namespace:, got"
OPTIONS = ", ".join(RouteOptions.model_fields)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (1.1, f": {RULE} the number 1.1"),
        (None, f": {RULE} null"),
        (["a/b"], f": {RULE} a list; remove one '-', or the inner [ ]"),
        ({}, f": {RULE} a mapping"),
        ({"rename": "a/b"}, f": {RULE} a mapping with 'rename'"),
        (
            {"image": "a/b", "tags": {}},
            f": {RULE} a mapping with 'image', 'tags'; write repository: in place of 'image'",
        ),
        ({"project": "a"}, f": {RULE} a mapping with 'project'; write namespace: in place of 'project'"),
        ({"repository": "a/b", "namespace": "a"}, f": {RULE} a mapping with 'repository', 'namespace'"),
        ("", ": '' is not a repository name: it is empty"),
        (
            "Giantswarm/App",
            ": 'Giantswarm/App' is not a repository name: upper-case letters are not allowed; write 'giantswarm/app'",
        ),
        (
            "a/b:v1",
            (
                ": 'a/b:v1' is not a repository name: "
                "write it without registry, tag and digest (tags have a key of their own)"
            ),
        ),
        ("a b", f": 'a b' is not a repository name: {GRAMMAR}"),
        ("a/*", f": 'a/*' is not a repository name: {GRAMMAR}"),
        ("quay.io/a/b", ": 'quay.io/a/b' includes the registry, which source: already names; write 'a/b'"),
        ({"repository": "a//b"}, f".repository: 'a//b' is not a repository name: {GRAMMAR}"),
        ({"repository": 1}, '.repository: expected a string, got the number 1 (quote it: "1")'),
        ({"repository": "a/b", "rename": "-"}, f".rename: '-' is not a repository name: {GRAMMAR}"),
        ({"repository": "a/b", "renam": "x"}, ".renam: unknown key 'renam'; did you mean 'rename'?"),
        (
            {"repository": "a/b", "include": ["x"]},
            f".include: unknown key 'include'; allowed are {OPTIONS}, repository, rename",
        ),
        (
            {"repository": "a/b", "tags": {"exlude": ["x"]}},
            ".tags.exlude: unknown key 'exlude'; did you mean 'exclude'?",
        ),
        ({"namespace": "a/"}, f".namespace: 'a/' is not a repository name: {GRAMMAR}"),
        ({"namespace": "a", "include": []}, ".include: it is empty; write a value, or remove it"),
        (
            {"namespace": "a", "tags": {"include": [True]}},
            '.tags.include[0]: expected a string, got the boolean true (quote it: "true")',
        ),
    ],
    ids=label,
)
def test_invalid_rule_is_refused(write: Write, rule: Any, problem: str) -> None:
    assert problems(write(with_repositories("c/d", rule))) == [f"mirrors.yaml:5: mirrors.m.repositories[1]{problem}"]


@pytest.mark.parametrize("written", ["", "*", "**", "/"])
def test_whole_registry_is_no_namespace(write: Write, written: str) -> None:
    problem = f"{written!r} is not a namespace; a whole registry cannot be mirrored: list its namespaces"
    assert problems(write(with_repositories({"namespace": written}))) == [
        f"mirrors.yaml:5: mirrors.m.repositories[0].namespace: {problem}"
    ]


def test_unknown_key_of_a_namespace_rule_lists_its_keys(write: Write) -> None:
    keys = f"{OPTIONS}, namespace, include, exclude, include_private, rename"
    assert problems(write(with_repositories({"namespace": "a", "repositry": "b"}))) == [
        f"mirrors.yaml:5: mirrors.m.repositories[0].repositry: unknown key 'repositry'; allowed are {keys}"
    ]


RE2 = "the syntax is RE2's: counts up to 1000, no back-references or look-around"
RANGES = "write such as '>=1.2 <2', '^1.4', '~1.4.2', '1.x', '1.2 - 1.4' or two of them with || between"
DIGEST = f"sha256:{64 * 'a'}"


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"semver": 1.2}, '.semver: expected a string, got the number 1.2 (quote it: "1.2")'),
        ({"semver": ""}, ".semver: it is empty; write a value, or remove it"),
        ({"semver": "latest"}, f".semver: 'latest' is not a version range: 'latest' is not a version; {RANGES}"),
        (
            {"semver": ">=1.2, <2"},
            (
                ".semver: '>=1.2, <2' is not a version range: '1.2,' is not a version; "
                "write a space in place of the comma: '>=1.2 <2'"
            ),
        ),
        (
            {"semver": ">=1-rc.1 || ~2.3-0"},
            (
                ".semver: '>=1-rc.1 || ~2.3-0' is not a version range: '1-rc.1' is not a version; "
                "a pre-release needs three numbers: '>=1.0.0-rc.1 || ~2.3.0-0'"
            ),
        ),
        ({"semver": "1.x.3"}, f".semver: '1.x.3' is not a version range: a number follows an x; {RANGES}"),
        (
            {"semver": "9007199254740992.0.0"},
            f".semver: '9007199254740992.0.0' is not a version range: numbers go up to 9007199254740991; {RANGES}",
        ),
        (
            {"include": ["/v[/"]},
            f".include[0]: '/v[/' is not a valid regular expression: missing ]: [; {RE2}",
        ),
        (
            {"exclude": ["*-dev", "/(a)\\1/"]},
            f".exclude[1]: '/(a)\\1/' is not a valid regular expression: invalid escape sequence: \\1; {RE2}",
        ),
        (
            {"include": ["/a{9999}/"]},
            f".include[0]: '/a{{9999}}/' is not a valid regular expression: invalid repetition size: {{9999}}; {RE2}",
        ),
        ({"include": ["//"]}, ".include[0]: it is empty; write a value, or remove it"),
        ({"older_than": "90"}, ".older_than: expected a duration such as 12h, 90d or 6w, got '90'"),
        ({"older_than": "0d"}, ".older_than: expected a duration such as 12h, 90d or 6w, got '0d'"),
        ({"younger_than": "1 month"}, ".younger_than: expected a duration such as 12h, 90d or 6w, got '1 month'"),
        (
            {"younger_than": 90},
            ".younger_than: expected a string, got the number 90 without a unit; write 90h, 90d or 90w",
        ),
        (
            {"older_than": "6w", "younger_than": "42d"},
            ": no tag is older than 6w and younger than 42d; make younger_than the longer one",
        ),
        ({"newest": 0}, ".newest: expected 1 or more, got the number 0"),
        ({"newest": "20"}, ".newest: expected a whole number, got '20'; remove the quotes"),
        (
            {"newest": 20, "newest_by": "age"},
            ".newest_by: expected 'semver', 'push_time' or 'name', got 'age'",
        ),
        ({"newest_by": "name"}, ": newest_by needs newest; write how many tags to keep there, or remove newest_by"),
        (
            {"prereleases": True},
            ": prereleases needs semver or newest_by: semver; write one of them, or remove prereleases",
        ),
        ({"semver": "*", "prereleases": "yes"}, ".prereleases: expected true or false, got 'yes'; write true"),
        ({"min_tags": -1}, ".min_tags: expected 0 or more, got the number -1"),
        ([], ": it is empty; write a value, or remove it"),
        ("v1", ": expected a mapping (key: value), got 'v1'; write {include: ['v1']} or {names: ['v1']}"),
        ([{"names": ["a"]}, {}], ": rule 2 selects every tag, so the list has no effect; remove it"),
        ([{"min_tags": 2}, {"newest": 3}], ": rule 1 selects every tag, so the list has no effect; remove it"),
        (["v1"], ": 'v1' is not a rule; write {names: [v1]}, or include: for patterns"),
        (
            [{"include": ["v*"]}, 7],
            "[1]: expected a mapping (key: value), got the number 7; write {include: ['7']} or {names: ['7']}",
        ),
        ([{"include": ["v*"]}, {"includ": ["v*"]}], "[1].includ: unknown key 'includ'; did you mean 'include'?"),
        (
            [{"newest": 1}, {"semver": "x y"}],
            "[1].semver: 'x y' is not a version range: 'y' is not a version; " + RANGES,
        ),
        (
            [{"newest": 3}, {"newest_by": "name"}],
            "[1]: newest_by needs newest; write how many tags to keep there, or remove newest_by",
        ),
        (
            [{"names": [f"v1@{DIGEST}"]}, {"names": ["v1"]}],
            ": two rules name 'v1', with different digests or once without one; keep one",
        ),
        (
            {"version": "stable-.+", "semver": "1.x"},
            (
                ".version: 'stable-.+' has 0 groups, but version needs one, whose text is the version; write such as "
                "'stable-(.+)', and (?:…) for other groups"
            ),
        ),
        (
            {"version": "stable-(.+)"},
            ": version needs semver, or newest in its order; write one of them, or remove version",
        ),
        (
            {"version": "stable-(.+)", "newest": 3, "newest_by": "name"},
            ": version needs semver, or newest in its order; write one of them, or remove version",
        ),
        (
            {"include": ["stable-*"], "semver": ">= 2.13.4"},
            (
                ": no tag that matches include ('stable-*') is a version, which semver requires; write version: "
                "for the part "
                "that is one, such as version: 'stable-(.+)', or a list of two rules"
            ),
        ),
        (
            {"include": ["latest", "/edge-.*/"], "newest": 3, "newest_by": "semver"},
            (
                ": no tag that matches include ('latest', '/edge-.*/') is a version, which newest_by: semver "
                "requires; write "
                "version: for the part that is one, such as version: 'stable-(.+)', or a list of two rules"
            ),
        ),
        (
            {"include": ["edge-*"], "semver": "1.x", "version": "stable-(.+)"},
            (
                ": no tag that matches include ('edge-*') is a version, which semver requires; version "
                "'stable-(.+)' matches "
                "none of them; make them agree"
            ),
        ),
        (
            {"names": ["latest"], "semver": ">=1.31.0 <1.31.9", "include": [r"/1\.26\.[0-9]-(glibc|musl)/"]},
            (
                r": no tag that matches include ('/1\.26\.[0-9]-(glibc|musl)/') is in semver '>=1.31.0 <1.31.9'; "
                "write a list of two rules"
            ),
        ),
        (
            {"names": [f"@{DIGEST}"]},
            (
                f".names[0]: '@{DIGEST}' has no tag, without which nobody could pull it by name; write one of "
                f"your own: "
                f"'TAG@{DIGEST}'"
            ),
        ),
        (
            {"names": [str(DIGEST)]},
            (
                f".names[0]: '{DIGEST}' has no tag, without which nobody could pull it by name; write one of your own: "
                f"'TAG@{DIGEST}'"
            ),
        ),
        (
            {"min_tags": 6, "newest": 4, "newest_by": "name", "names": ["latest"]},
            ": min_tags 6 is never reached, because at most 5 tags can be selected; lower it",
        ),
        (
            {"min_tags": 2, "names": ["latest"]},
            ": min_tags 2 is never reached, because at most 1 tags can be selected; lower it",
        ),
        (
            {"exclude": ["/v1.*"]},
            ".exclude[0]: '/v1.*' matches no name; a regular expression has a / at its end as well",
        ),
        ({"names": []}, ".names: it is empty; write a value, or remove it"),
        ({"names": "latest"}, ".names: expected a list, such as [a, b], got 'latest'"),
        ({"names": [22]}, '.names[0]: expected a string, got the number 22 (quote it: "22")'),
        (
            {"names": ["v*"]},
            ".names[0]: 'v*' is not a tag; names are tags, or TAG@sha256:…; globs go into include",
        ),
        (
            {"names": ["registry_sync-platforms.m"]},
            (
                ".names[0]: 'registry_sync-platforms.m' is a platform cache of registry_sync, which is never mirrored; "
                "remove it"
            ),
        ),
        (
            {"names": ["v1@sha256:aa"]},
            (
                ".names[0]: 'v1@sha256:aa': 'sha256:aa' is not a sha256 or sha512 digest; "
                "pin a tag as TAG@sha256: and 64 digits of 0-9 and a-f"
            ),
        ),
        ({"names": ["v1", f"v1@{DIGEST}"]}, ": names has 'v1' twice; keep one"),
    ],
    ids=label,
)
def test_invalid_tag_rules_are_refused(write: Write, tags: Any, problem: str) -> None:
    assert problems(write(with_mirror(tags=tags))) == [f"mirrors.yaml:5: mirrors.m.tags{problem}"]


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"older_than": "1d"}, "older_than needs push times, which {source} does not report; remove it"),
        ({"younger_than": "1d"}, "younger_than needs push times, which {source} does not report; remove it"),
        (
            {"newest": 5},
            "newest needs push times, which {source} does not report; use newest_by: semver or newest_by: name",
        ),
    ],
    ids=["older_than", "younger_than", "newest"],
)
def test_push_time_rules_need_a_source_that_reports_them(write: Write, tags: Any, problem: str) -> None:
    problem = problem.format(source="a source of kind 'distribution'")
    mirror = {"source": "acr", "destinations": ["quay"], "tags": tags}
    assert problems(write(with_mirror(**mirror))) == [f"mirrors.yaml:5: mirrors.m.tags: {problem}"]
    rule = {"repository": "a/b", "tags": tags}
    assert problems(write(with_mirror(**{**mirror, "tags": {"include": ["*"]}, "repositories": [rule]}))) == [
        f"mirrors.yaml:5: mirrors.m.repositories[0].tags: {problem}"
    ]
    with_times = _file(registry={"kind": "harbor"}, mirror={**mirror, "repositories": ["team/app"]})
    assert load_mirrors(write(with_times)).mirrors


VARIABLES = "repository, namespace, name, registry, destination, mirror"


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (
            {"repository": "a/b", "rename": "{{ nam }}"},
            f".rename: '{{{{ nam }}}}' has unknown variables ['nam']; there are {VARIABLES}",
        ),
        (
            {"repository": "a/b", "rename": "{{ name"},
            (
                ".rename: '{{ name' is not a Jinja2 template: "
                "unexpected end of template, expected 'end of print statement'."
            ),
        ),
        (
            {"repository": "a/b", "rename": "{{ name | upper }}"},
            (
                ": rename '{{ name | upper }}' gives no valid name for 'a/b': 'B' is not a repository name: "
                "upper-case letters are not allowed; write 'b'"
            ),
        ),
        (
            {"repository": "a/b", "rename": "{{ name.__class__.__mro__ }}"},
            (
                ": rename '{{ name.__class__.__mro__ }}' fails for 'a/b': "
                "access to attribute '__class__' of 'str' object is unsafe."
            ),
        ),
        (
            {"namespace": "a", "rename": "copies"},
            (
                ": all repositories of the namespace would be mirrored to acr.example/copies; "
                "use a template such as rename: copies/{{ name }}"
            ),
        ),
        (
            {"namespace": "a", "rename": "copies/{{ namespace }}"},
            (
                ": all repositories of the namespace would be mirrored to acr.example/copies/a; "
                "use a template such as rename: copies/a/{{ name }}"
            ),
        ),
        (
            {"repository": "a/b", "strip_prefix": "c/"},
            ": 'a/b' does not begin with strip_prefix 'c/'; fix it, or write strip_prefix: \"\" for this one",
        ),
        (
            {"namespace": "a", "strip_prefix": "c/"},
            ": 'a/any' does not begin with strip_prefix 'c/'; fix it, or write strip_prefix: \"\" for this one",
        ),
        (
            {"repository": "a/b", "strip_prefix": "a"},
            (
                ": prefix '' with strip_prefix 'a' gives no valid name for 'a/b': '/b' is not a repository name: "
                "only a-z, 0-9 and single '.', '_', '-' or '__' between them, in parts separated by '/'"
            ),
        ),
        (
            {"repository": "a/b", "prefix": "Mirror/"},
            ".prefix: 'Mirror/' is not part of a repository name; write a-z, 0-9, '.', '_', '-' and '/'",
        ),
        ({"repository": "a/b", "prefix": 1}, '.prefix: expected a string, got the number 1 (quote it: "1")'),
    ],
    ids=label,
)
def test_invalid_renaming_is_refused(write: Write, rule: Any, problem: str) -> None:
    assert problems(write(with_repositories(rule))) == [f"mirrors.yaml:5: mirrors.m.repositories[0]{problem}"]


@pytest.mark.parametrize(
    ("destination", "name", "problem"),
    [
        ({"host": "docker.io"}, "a/b/c", "Docker Hub names have two parts, NAMESPACE/NAME; 'a/b/c' has 3"),
        (
            {"host": "docker.io"},
            "a/b",
            "Docker Hub names have parts of 2 to 255 characters; 'b' in 'a/b' has 1",
        ),
        (
            {"host": "quay.example", "kind": "quay"},
            "app",
            "Quay names have two parts or more, NAMESPACE/NAME; 'app' has 1",
        ),
        (
            {"host": "registry.cn-shanghai.aliyuncs.com"},
            "team/a/b",
            "Aliyun names have two parts, NAMESPACE/NAME; 'team/a/b' has 3",
        ),
        (
            {"host": "registry.cn-shanghai.aliyuncs.com"},
            f"team/{65 * 'a'}",
            f"Aliyun names have parts of 2 to 64 characters; '{65 * 'a'}' in 'team/{65 * 'a'}' has 65",
        ),
        ({"kind": "harbor"}, "app", "Harbor names have two parts or more, PROJECT/NAME; 'app' has 1"),
    ],
    ids=label,
)
def test_name_that_the_destination_does_not_support_is_refused(
    write: Write, destination: Any, name: str, problem: str
) -> None:
    path = write(_file(registry=destination, mirror={"repositories": [name]}))
    assert problems(path) == [f"mirrors.yaml:5: mirrors.m.repositories[0]: {problem}; rename it"]


@pytest.mark.parametrize(
    ("source", "rule", "name", "registry"),
    [
        ("docker.io", "quay.io/cilium/certgen", "quay.io/cilium/certgen", "quay.io"),
        ("docker.io", "registry.example/app", "registry.example/app", "registry.example"),
        ("docker.io", {"namespace": "ghcr.io/team"}, "ghcr.io/team/any", "ghcr.io"),
        ("quay.io", "docker.io/library/nginx", "docker.io/library/nginx", "docker.io"),
        ("quay.io", "registry.k8s.io/pause", "registry.k8s.io/pause", "registry.k8s.io"),
        ("quay.io", "acme.azurecr.io/app", "acme.azurecr.io/app", "acme.azurecr.io"),
        ("ghcr.io", "docker.io/library/nginx", "docker.io/library/nginx", "docker.io"),
    ],
    ids=label,
)
def test_name_that_begins_with_another_registry_is_refused(
    write: Write, source: str, rule: Any, name: str, registry: str
) -> None:
    path = write(_file(mirror={"repositories": [rule]}).replace("{host: quay.io}", f"{{host: {source}}}"))
    assert problems(path) == [
        (
            f"mirrors.yaml:5: mirrors.m.repositories[0]: {name!r} begins with the name of a registry, and the source "
            f"is {source}; mirror it from a source with host: {registry}, or remove '{registry}/'"
        )
    ]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("acme.azurecr.io", "docker.io/library/nginx"),
        ("harbor.example, kind: harbor", "quay.io/cilium/certgen"),
        ("registry.example", "ghcr.io/team/app"),
        ("quay.io", "acme.inc/app"),
    ],
)
def test_registries_may_hold_copies_under_the_names_of_others(write: Write, source: str, name: str) -> None:
    path = write(with_repositories(name).replace("{host: quay.io}", f"{{host: {source}}}"))
    assert load_mirrors(path).mirrors["m"].rules


def test_glob_that_begins_with_the_namespace_is_refused(write: Write) -> None:
    path = write(with_repositories({"namespace": "giantswarm", "exclude": ["giantswarm/*-test"]}))
    assert problems(path) == [
        (
            "mirrors.yaml:5: mirrors.m.repositories[0]: 'giantswarm/*-test' begins with the namespace, but patterns "
            "match the name within the namespace; write '*-test'"
        )
    ]


def test_prefix_that_includes_the_registry_is_refused(write: Write) -> None:
    assert problems(write(with_mirror(prefix="acr.example/copies/"))) == [
        (
            "mirrors.yaml:5: mirrors.m.repositories[0]: its name at the destination, 'acr.example/copies/a/b', "
            "includes the registry, which destinations: already names; remove 'acr.example/' from prefix or rename"
        )
    ]


def test_two_repositories_with_one_destination_by_prefix_are_refused(write: Write) -> None:
    rules = [{"repository": "a/app", "strip_prefix": "a/"}, {"repository": "b/app", "strip_prefix": "b/"}]
    assert problems(write(with_mirror(repositories=rules, prefix="copies/"))) == [
        (
            "mirrors.yaml:5: mirrors.m.repositories[1]: quay.io/a/app (mirrors.m.repositories[0]) is also mirrored "
            "to acr.example/copies/app and would overwrite it; "
            "rename one, or list the tags of both in names: without a common one"
        )
    ]


def test_cycles_follow_the_names_at_the_destination(write: Write) -> None:
    there = "a: {source: quay, destinations: [acr], repositories: [{namespace: x}], prefix: copies/}"
    back = "b: {source: acr, destinations: [quay], repositories: [{namespace: copies/x}], strip_prefix: copies/}"
    assert problems(write(many(there, back))) == [
        (
            "mirrors.yaml:7: mirrors.a: these mirrors form a cycle: "
            "quay.io/x/any → acr.example/copies/x/any → quay.io/x/any; remove one of them"
        )
    ]
    onward = back.replace("strip_prefix: copies/", "prefix: more/")
    same = "c: {source: acr, destinations: [acr2], repositories: [{namespace: z, rename: 'y/{{ name }}'}]}"
    assert load_mirrors(write(many(there, onward, same))).mirrors.keys() == {"a", "b", "c"}


def test_cycles_are_found_through_sets(write: Write) -> None:
    there = "a: {source: quay, destinations: [acr], repositories: [{namespace: x, include: ['[k-m]*-op']}]}"
    back = "b: {source: acr, destinations: [quay], repositories: [{namespace: x, include: ['[j-l]*']}]}"
    assert problems(write(many(there, back))) == [
        (
            "mirrors.yaml:7: mirrors.a: these mirrors form a cycle: "
            "quay.io/x/kany-op → acr.example/x/kany-op → quay.io/x/kany-op; remove one of them"
        )
    ]


def test_patterns_of_every_form_are_seen_in_cycles(write: Write) -> None:
    there = "a: {source: quay, destinations: [acr], repositories: [{namespace: x, include: ['/[k-m]+-op/']}]}"
    back = "b: {source: acr, destinations: [quay], repositories: [{namespace: x, include: ['[j-l]*']}]}"
    assert problems(write(many(there, back))) == [
        (
            "mirrors.yaml:7: mirrors.a: these mirrors form a cycle: "
            "quay.io/x/k-op → acr.example/x/k-op → quay.io/x/k-op; remove one of them"
        )
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        ("include: ['/.*-app/']", "include: ['/.*-app/']", "any-app"),
        ("include: ['/.*-app/']", "exclude: ['b*']", "any-app"),
        ("exclude: ['b*']", "include: ['/.*-(app|op)/', '/[ab][0-9]{2}|zed/']", "zed"),
        ("exclude: ['any*']", "exclude: ['z*']", "example"),
        ("exclude: ['a*']", "exclude: ['example']", "0"),
        ("exclude: ['any*']", "exclude: ['example*']", "0"),
        ("include: ['[ab]*']", "exclude: ['a*']", "bany"),
        ("include: ['*-app']", "include: ['b*']", "b-app"),
        ("include: ['v*', '*-[xyz]']", "include: ['/op.*/']", "op-x"),
    ],
)
def test_cycles_are_found_through_several_examples(write: Write, ours: str, theirs: str, name: str) -> None:
    there = f"a: {{source: quay, destinations: [acr], repositories: [{{namespace: x, {ours}}}]}}"
    back = f"b: {{source: acr, destinations: [quay], repositories: [{{namespace: x, {theirs}}}]}}"
    for mirrors in ((there, back), (back, there)):
        problem = problems(write(many(*mirrors)))[0]
        assert "these mirrors form a cycle: " in problem
        assert {f"quay.io/x/{name}", f"acr.example/x/{name}"} <= set(re.split(r"[ ;]", problem))


@pytest.mark.parametrize(
    ("ours", "theirs", "text", "shown"),
    [
        ("include: ['/(foo|bar)-op/']", "exclude: ['z*']", "/(foo|bar)-op/", "*-op"),
        ("include: ['/(?i)ab/']", "include: ['*']", "/(?i)ab/", "*"),
        ("include: ['/a(b|c)/']", "include: ['/a(b|c)/']", "/a(b|c)/", "a*"),
    ],
)
def test_possible_cycles_of_patterns_without_an_example_are_refused(
    write: Write, ours: str, theirs: str, text: str, shown: str
) -> None:
    there = f"a: {{source: quay, destinations: [acr], repositories: [{{namespace: x, {ours}}}], prefix: m/}}"
    back = f"b: {{source: acr, destinations: [quay], repositories: [{{namespace: m/x, {theirs}}}], strip_prefix: m/}}"
    assert problems(write(many(there, back)))[0] == (
        f"mirrors.yaml:7: mirrors.a: these mirrors may form a cycle for names that match {text!r}: "
        f"quay.io/x/{shown} → acr.example/m/x/{shown} → quay.io/x/{shown} → acr.example/m/x/{shown}; write globs "
        "instead, or exclude the copies' names from one of them with a glob"
    )


@pytest.mark.parametrize(
    "mirrors",
    [
        ["{namespace: x, include: ['/(foo|bar)-op/']}", "{namespace: x, exclude: ['*-op']}"],
        ["{namespace: x, include: ['/(foo|bar)-op/']}", "{namespace: x, include: ['/.*-app/']}"],
        ["{namespace: x, include: ['/(foo|bar)-op/'], rename: 'y/{{ name }}'}", "{namespace: x}"],
        ["{namespace: x, include: ['/(foo|bar)-op/']}", "{namespace: x, rename: 'y/{{ name }}'}"],
        ["{namespace: x, exclude: ['[0-9c-z]*', 'any*']}", "{namespace: x, include: ['[c-z]*']}"],
        ["{namespace: x, include: ['/(foo|bar)-op/']}", "{repository: x/foo-app, rename: x/foo-op}"],
    ],
)
def test_patterns_without_an_example_that_form_no_cycle_are_accepted(write: Write, mirrors: list[str]) -> None:
    there = f"a: {{source: quay, destinations: [acr], repositories: [{mirrors[0]}]}}"
    back = f"b: {{source: acr, destinations: [quay], repositories: [{mirrors[1]}]}}"
    assert list(load_mirrors(write(many(there, back))).mirrors) == ["a", "b"]


def test_copies_of_some_names_only_form_no_cycle(write: Write) -> None:
    mirrors = [
        "a: {source: quay, destinations: [acr], repositories: [{namespace: x, include: ['/(a|b|c).*/']}]}",
        "b: {source: acr, destinations: [hub], repositories: [{namespace: x, include: ['b*']}]}",
        "c: {source: hub, destinations: [quay], repositories: [{namespace: x, include: ['c*']}]}",
    ]
    assert list(load_mirrors(write(many(*mirrors))).mirrors) == ["a", "b", "c"]
    assert "these mirrors form a cycle" in problems(write(many(*mirrors).replace("'b*'", "'[bc]*'")))[0]


@pytest.mark.parametrize(
    ("registry", "expected"),
    [("{host: 'quay.io:443'}", True), ("{host: 'quay.io:443', tls: false}", False), ("{host: 'quay.io:80'}", False)],
)
def test_a_registry_with_the_usual_port_is_the_same_registry(write: Write, registry: str, expected: bool) -> None:
    text = many("a: {source: quay, destinations: [again], repositories: [{namespace: x}]}")
    text = text.replace("registries:\n", f"registries:\n  again: {registry}\n", 1)
    if expected:
        (problem,) = problems(write(text))
        assert problem.endswith("namespace 'x' would be mirrored to itself; choose another destination")
    else:
        assert list(load_mirrors(write(text)).mirrors) == ["a"]


@pytest.mark.parametrize(
    "rule", ["include: ['/.*-app/']", "include: ['/(a|b)c/']", "exclude: ['a*']", "include: ['?']"]
)
def test_namespace_onto_itself_is_refused_whatever_its_patterns(write: Write, rule: str) -> None:
    onto = f"a: {{source: quay, destinations: [quay], repositories: [{{namespace: x, {rule}}}]}}"
    assert problems(write(many(onto))) == [
        "mirrors.yaml:7: mirrors.a: namespace 'x' would be mirrored to itself; choose another destination"
    ]
    renamed = onto.replace("namespace: x,", "namespace: x, rename: 'y/{{ name }}',")
    assert list(load_mirrors(write(many(renamed))).mirrors) == ["a"]


def test_namespace_that_rereads_its_own_copies_is_refused(write: Write) -> None:
    """Every run would make copies of the copies that the one before made."""
    within = "a: {source: quay, destinations: [quay], repositories: [{namespace: x, rename: 'x/copy-{{ name }}'}]}"
    assert problems(write(many(within))) == [
        (
            "mirrors.yaml:7: mirrors.a: these mirrors form a cycle: "
            "quay.io/x/any → quay.io/x/copy-any → quay.io/x/copy-copy-any; remove one of them"
        )
    ]
    there = within.replace("destinations: [quay]", "destinations: [acr]")
    back = "b: {source: acr, destinations: [quay], repositories: [{namespace: x}]}"
    assert problems(write(many(there, back))) == [
        (
            "mirrors.yaml:7: mirrors.a: these mirrors form a cycle: "
            "quay.io/x/any → acr.example/x/copy-any → "
            "quay.io/x/copy-any → acr.example/x/copy-copy-any; remove one of them"
        )
    ]
    apart = within.replace("namespace: x,", "namespace: x, exclude: ['copy-*'],")
    assert list(load_mirrors(write(many(apart))).mirrors) == ["a"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"api_url": "https://api.example"}, "a registry of kind 'distribution' has no api_url; remove it"),
        (
            {"kind": "quay", "api_url": "quay.example"},
            "api_url: 'quay.example' is not a valid API address; write https://host or https://host:port",
        ),
        (
            {"kind": "harbor", "api_url": "https://me:secret@harbor.example"},
            "api_url: 'https://…@harbor.example' is not a valid API address; write https://host or https://host:port",
        ),
        (
            {"kind": "quay", "api_url": "https://quay.example:99999"},
            "api_url: 'https://quay.example:99999' is not a valid API address; write https://host or https://host:port",
        ),
        (
            {"kind": "quay", "api_url": "http://quay.example"},
            "api_url: 'http://quay.example' is not a valid API address; write https://host or https://host:port",
        ),
    ],
    ids=label,
)
def test_invalid_api_url_is_refused(write: Write, entry: dict[str, Any], problem: str) -> None:
    assert problems(write(with_registry(**entry))) == [f"mirrors.yaml:3: registries.acr: {problem}"]
    file = load_mirrors(write(with_registry(kind="quay", api_url="https://quay.example:8443")))
    assert file.registries["acr"].api_url == "https://quay.example:8443"


def test_create_repository_is_refused_for_other_kinds(write: Write) -> None:
    assert problems(write(with_registry(create_repository=True))) == [
        (
            "mirrors.yaml:3: registries.acr: create_repository is only supported for kind "
            "docker_hub, ecr (this registry is 'distribution'); remove it"
        )
    ]
    file = load_mirrors(
        write(_file(registry={"host": "docker.io", "create_repository": True}, mirror={"repositories": ["team/app"]}))
    )
    assert file.registries["acr"].create_repository


def test_entry_named_tags_has_the_keys_of_its_section(write: Write) -> None:
    text = _file(registry={"hst": "x"}, mirror={"descripton": "x"})
    assert problems(write(text.replace("acr:", "tags:").replace("m:", "tags:"))) == [
        "mirrors.yaml:3: registries.tags.hst: unknown key 'hst'; did you mean 'host'?",
        "mirrors.yaml:5: mirrors.tags.descripton: unknown key 'descripton'; did you mean 'description'?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1: expected registries: and mirrors:, got nothing"]),
        ("# nothing\n", ["1: expected registries: and mirrors:, got nothing"]),
        ("- a\n", ["1: expected registries: and mirrors:, got a list"]),
        ("text\n", ["1: expected registries: and mirrors:, got 'text'"]),
        ("{}\n", ["1: 'registries' is missing", "1: 'mirrors' is missing"]),
        (
            "registries:\nmirrors: []\n",
            [
                "1: registries: expected a mapping (name: ...), got nothing",
                "2: mirrors: expected a mapping (name: ...), got a list",
            ],
        ),
        ("registries: {}\nmirrors: {}\ndefaults: x\n", ["3: defaults: expected a mapping (key: value), got 'x'"]),
        (
            "registries: {}\nmirrors: {}\ndefaults: {paralel_copies: 1, tags: {inclde: [x]}}\n",
            [
                "3: defaults.tags.inclde: unknown key 'inclde'; did you mean 'include'?",
                "3: defaults.paralel_copies: unknown key 'paralel_copies'; did you mean 'parallel_copies'?",
            ],
        ),
        (
            "registries: {}\nmirrors: {}\ndefaults: {repositories: [a/b]}\n",
            ["3: defaults.repositories: unknown key 'repositories'; write it in each mirror, not in defaults"],
        ),
        (
            "mirrors: {}\nmirors: {}\n",
            ["1: 'registries' is missing", "2: mirors: unknown key 'mirors'; did you mean 'mirrors'?"],
        ),
        (
            "registries: {}\nmirrors: {}\nmirrors: {}\n",
            ["3: mirrors: duplicate key 'mirrors', in line 2 and line 3; keep one"],
        ),
    ],
    ids=[
        "empty",
        "only a comment",
        "list",
        "text",
        "no sections",
        "sections without entries",
        "defaults that are text",
        "unknown keys in defaults",
        "key of a mirror in defaults",
        "misspelt section",
        "duplicate section",
    ],
)
def test_problem_outside_of_entries_refuses_the_whole_file(write: Write, text: str, expected: list[str]) -> None:
    path = write(text)
    assert problems(path) == [f"mirrors.yaml:{each}" for each in expected]
    with pytest.raises(MirrorsFileError):
        load_healthy_mirrors(path)


@pytest.mark.parametrize("name", ["with space", "a.b", "a/b", "ä", "''"])
def test_name_that_does_not_fit_a_dag_id_is_refused(write: Write, name: str) -> None:
    text = _file().replace("  m:", f"  {name}:")
    shown = name.strip("'")
    assert problems(write(text)) == [
        f"mirrors.yaml:5: mirrors.{shown}: expected a name of letters, digits, '_' and '-', got {shown!r}"
    ]


def test_name_too_long_for_a_dag_id_is_refused(write: Write) -> None:
    name = 101 * "m"
    assert problems(write(_file().replace("  m:", f"  {name}:"))) == [
        f"mirrors.yaml:5: mirrors.{name}: it has 101 characters, at most 100 are allowed"
    ]


def test_missing_keys_are_reported(write: Write) -> None:
    assert problems(write("registries:\n  quay: {}\nmirrors:\n  m:\n    schedule: '@daily'\n")) == [
        "mirrors.yaml:2: registries.quay: 'host' is missing",
        "mirrors.yaml:4: mirrors.m: 'repositories' is missing",
        "mirrors.yaml:4: mirrors.m: 'source' is missing; write source: here, or under defaults:",
        "mirrors.yaml:4: mirrors.m: 'destinations' is missing; write destinations: here, or under defaults:",
    ]


def test_registries_of_a_mirror_must_exist(write: Write) -> None:
    assert problems(write("registries: {}\nmirrors: {m: {source: a, destinations: [b], repositories: [c]}}\n")) == [
        "mirrors.yaml:2: mirrors.m.source: no registry named 'a'; the file has none",
        "mirrors.yaml:2: mirrors.m.destinations[0]: no registry named 'b'; the file has none",
    ]


@pytest.mark.parametrize(
    ("text", "line", "place", "key", "lines"),
    [
        (GOOD.replace("description: Node images", "source: hub"), 15, "mirrors.a.source", "source", (11, 15)),
        (GOOD.replace("  b:", "  a:"), 25, "mirrors.a", "a", (10, 25)),
        (
            GOOD.replace("rename: m", "repository: m"),
            21,
            "mirrors.a.repositories[1].repository",
            "repository",
            (20, 21),
        ),
        (GOOD.replace("  local:", "  quay:"), 4, "registries.quay", "quay", (2, 4)),
        (
            GOOD.replace("  parallel", "  parallel_copies: 1\n  parallel"),
            8,
            "defaults.parallel_copies",
            "parallel_copies",
            (7, 8),
        ),
    ],
    ids=["key", "mirror", "rule", "registry", "default"],
)
def test_duplicate_key_is_refused(
    write: Write, text: str, line: int, place: str, key: str, lines: tuple[int, int]
) -> None:
    first, second = lines
    assert problems(write(text))[0] == (
        f"mirrors.yaml:{line}: {place}: duplicate key {key!r}, in line {first} and line {second}; keep one"
    )


def test_duplicate_mirror_is_not_said_to_lack_keys(write: Write) -> None:
    """The last one is read, and the other may have what it lacks."""
    mirror = "  m: {source: quay, destinations: [acr], repositories: [a/b]}"
    assert problems(write(many(mirror, "  m: {source: quay, repositories: [a/c]}"))) == [
        "mirrors.yaml:8: mirrors.m: duplicate key 'm', in line 7 and line 8; keep one"
    ]


def many(*mirrors: str) -> str:
    """Registries in lines 2 to 5, then a mirror a line from line 7."""
    return "\n".join(
        [
            "registries:",
            "  quay: {host: quay.io}",
            "  acr: {host: acr.example}",
            "  acr2: {host: ACR.example}",
            "  hub: {host: docker.io}",
            "mirrors:",
            *(f"  {mirror}" for mirror in mirrors),
        ]
    )


@pytest.mark.parametrize(
    ("mirrors", "expected"),
    [
        (
            ["a: {source: quay, destinations: [acr], repositories: [x/yy, {repository: z, rename: x/yy}]}"],
            [
                (
                    "7: mirrors.a.repositories[1]: quay.io/x/yy (mirrors.a.repositories[0]) is also mirrored "
                    "to acr.example/x/yy and would overwrite it; "
                    "rename one, or list the tags of both in names: without a common one"
                )
            ],
        ),
        (
            [
                "a: {source: quay, destinations: [acr], repositories: [x/yy]}",
                "b: {source: hub, destinations: [acr], repositories: [x/yy]}",
            ],
            [
                (
                    "8: mirrors.b.repositories[0]: quay.io/x/yy (mirrors.a.repositories[0]) is also mirrored "
                    "to acr.example/x/yy and would overwrite it; "
                    "rename one, or list the tags of both in names: without a common one"
                )
            ],
        ),
        (
            [
                "a: {source: quay, destinations: [acr], repositories: [x/yy], platforms: [linux/amd64]}",
                "b: {source: quay, destinations: [acr], repositories: [x/yy]}",
                "c: {source: quay, destinations: [acr], repositories: [{repository: x/yy, tags: {include: [v1]}}]}",
            ],
            [
                (
                    "8: mirrors.b.repositories[0]: mirrors.a.repositories[0] copies the same tags to "
                    "acr.example/x/yy with other platforms, and each would overwrite the other's images; rename one, "
                    "or select other tags"
                )
            ],
        ),
        (
            ["a: {source: quay, destinations: [acr], repositories: [x/yy, x/zz, {repository: x/yy}]}"],
            [
                (
                    "7: mirrors.a.repositories[2]: quay.io/x/yy is listed twice, first as mirrors.a.repositories[0]; "
                    "keep one, whose tags: may be a list of rules"
                )
            ],
        ),
        (
            ["a: {source: quay, destinations: [acr, acr2], repositories: [x/yy, x/zz]}"],
            ["7: mirrors.a.destinations[1]: 'acr' and 'acr2' are the same registry, acr.example; keep one"],
        ),
        (
            ["a: {source: quay, destinations: [acr, quay], repositories: [x/yy]}"],
            [
                (
                    "7: mirrors.a.repositories[0]: quay.io/x/yy would be mirrored to itself; "
                    "choose another destination, or rename it"
                )
            ],
        ),
        (
            ["a: {source: acr, destinations: [acr2], repositories: [{namespace: x}]}"],
            ["7: mirrors.a: namespace 'x' would be mirrored to itself; choose another destination"],
        ),
        (
            ["a: {source: quay, destinations: [hub], repositories: [x/y/z, pause, x/yy]}"],
            [
                (
                    "7: mirrors.a.repositories[0]: Docker Hub names have two parts, NAMESPACE/NAME; "
                    "'x/y/z' has 3; rename it"
                )
            ],
        ),
        (
            [
                "a: {source: quay, destinations: [acr], repositories: [x/yy]}",
                "b: {source: acr, destinations: [quay], repositories: [x/yy]}",
            ],
            [
                (
                    "7: mirrors.a.repositories[0]: these mirrors form a cycle: "
                    "quay.io/x/yy → acr.example/x/yy → quay.io/x/yy; remove one of them"
                )
            ],
        ),
        (
            [
                "a: {source: quay, destinations: [acr], repositories: [x/yy]}",
                "b: {source: acr2, destinations: [hub], repositories: [{repository: x/yy, rename: x/zz}]}",
                "c: {source: hub, destinations: [quay], repositories: [{repository: x/zz, rename: x/yy}]}",
            ],
            [
                (
                    "7: mirrors.a.repositories[0]: these mirrors form a cycle: "
                    "quay.io/x/yy → acr.example/x/yy → docker.io/x/zz → quay.io/x/yy; remove one of them"
                )
            ],
        ),
        (
            [
                "a: {source: quay, destinations: [acr], repositories: [{namespace: x, include: ['*-app']}]}",
                "b: {source: acr, destinations: [quay], repositories: [{namespace: x, exclude: ['*-test']}]}",
            ],
            [
                (
                    "7: mirrors.a: these mirrors form a cycle: "
                    "quay.io/x/any-app → acr.example/x/any-app → quay.io/x/any-app; remove one of them"
                )
            ],
        ),
        (
            [
                "a: {source: quay, destinations: [acr], repositories: [x/yy]}",
                "b: {source: acr, destinations: [quay], repositories: [{namespace: x}]}",
            ],
            [
                (
                    "7: mirrors.a.repositories[0]: these mirrors form a cycle: "
                    "quay.io/x/yy → acr.example/x/yy → quay.io/x/yy; remove one of them"
                )
            ],
        ),
    ],
    ids=[
        "one place within a mirror",
        "one place across mirrors",
        "other platforms of the same tags",
        "written twice",
        "one host under two names",
        "onto itself",
        "namespace onto itself",
        "Docker Hub's levels",
        "circle of two",
        "circle of three with renames",
        "circle of namespaces",
        "circle with a namespace",
    ],
)
def test_conflicting_routes_are_refused(write: Write, mirrors: list[str], expected: list[str]) -> None:
    assert problems(write(many(*mirrors))) == [f"mirrors.yaml:{each}" for each in expected]


@pytest.mark.parametrize(
    "mirrors",
    [
        ["a: {source: quay, destinations: [quay], repositories: [{repository: x/yy, rename: copy/y}]}"],
        ["a: {source: quay, destinations: [acr], repositories: [x/yy, {repository: x/yy, rename: copy/y}]}"],
        [
            "a: {source: quay, destinations: [acr], repositories: [x/yy]}",
            "b: {source: quay, destinations: [acr, hub], repositories: [x/yy]}",
        ],
        [
            "a: {source: quay, destinations: [acr], repositories: [{namespace: x, include: ['*-app']}]}",
            "b: {source: acr, destinations: [quay], repositories: [{namespace: x, exclude: ['*-app']}]}",
        ],
        [
            "a: {source: quay, destinations: [acr], repositories: [x/yy]}",
            "b: {source: acr, destinations: [hub], repositories: [x/yy]}",
        ],
        ["a: {source: quay, destinations: [hub], repositories: [pause]}"],
        [
            "a: {source: quay, destinations: [acr], repositories: [x/y]}",
            "b: {source: hub, destinations: [quay], repositories: [{namespace: x}]}",
        ],
    ],
    ids=[
        "renamed",
        "two copies",
        "two mirrors of one route",
        "namespaces that do not meet",
        "chain",
        "library",
        "namespace elsewhere",
    ],
)
def test_independent_routes_are_accepted(write: Write, mirrors: list[str]) -> None:
    assert len(load_mirrors(write(many(*mirrors))).mirrors) == len(mirrors)


ALL_AT_ONCE = """\
registries:
  quay: {host: quay.io}
  acr: {host: https://acr.example, tls: yes please}
mirrors:
  good: {source: quay, destinations: [quay], repositories: [{repository: a/b, rename: c/d}]}
  late: {source: acr, destinations: [quay], repositories: [late/one]}
  bad:
    sorce: quay
    destinations: [acrr]
    repositories:
      - A
      - b
      - b
  twice:
    source: qay
    source: quay
    destinations: [quay]
    repositories: [a/b]
"""


def test_all_problems_are_reported_in_the_order_of_their_lines(write: Write) -> None:
    path = write(ALL_AT_ONCE)
    assert problems(path) == [
        f"mirrors.yaml:3: registries.acr.host: 'https://acr.example' {NO_HOST}",
        "mirrors.yaml:3: registries.acr.tls: expected true or false, got 'yes please'",
        "mirrors.yaml:7: mirrors.bad: 'source' is missing; write source: here, or under defaults:",
        "mirrors.yaml:8: mirrors.bad.sorce: unknown key 'sorce'; did you mean 'source'?",
        (
            "mirrors.yaml:11: mirrors.bad.repositories[0]: 'A' is not a repository name: "
            "upper-case letters are not allowed; write 'a'"
        ),
        "mirrors.yaml:16: mirrors.twice.source: duplicate key 'source', in line 15 and line 16; keep one",
    ]


def test_healthy_mirrors_are_kept_beside_broken_ones(write: Write) -> None:
    file, found = load_healthy_mirrors(write(ALL_AT_ONCE))
    assert list(file.mirrors) == ["good"]
    assert list(file.registries) == ["quay"]
    assert len(found) == 6


@pytest.mark.parametrize(
    ("mirrors", "healthy", "broken"),
    [
        (
            [
                "a: {source: quay, destinations: [acr], repositories: [x/yy]}",
                "b: {source: hub, destinations: [acr], repositories: [x/yy]}",
            ],
            ["a"],
            ["mirrors.b.repositories[0]"],
        ),
        (
            [
                "a: {source: quay, destinations: [acr], repositories: [x/yy]}",
                "b: {source: quay, destinations: [nowhere], repositories: [x/yy]}",
            ],
            ["a"],
            ["mirrors.b.destinations[0]"],
        ),
        (
            [
                "a: &a {source: quay, destinations: [acr], repositories: [x/yy], retries: 1, retries: 2}",
                "b: *a",
                "c: {source: quay, destinations: [acr], repositories: [x/zz]}",
            ],
            ["c"],
            ["mirrors.a.retries", "mirrors.b.retries"],
        ),
    ],
    ids=["second writer", "unknown registry", "duplicate key behind an alias"],
)
def test_only_the_mirrors_with_a_problem_are_removed(
    write: Write, mirrors: list[str], healthy: list[str], broken: list[str]
) -> None:
    file, found = load_healthy_mirrors(write(many(*mirrors)))
    assert list(file.mirrors) == healthy
    assert [each.split(": ")[1] for each in found] == broken


def test_duplicate_registry_is_not_used(write: Write) -> None:
    text = many("a: {source: quay, destinations: [acr], repositories: [x/yy]}").replace("  acr2:", "  acr:")
    file, found = load_healthy_mirrors(write(text))
    assert list(file.mirrors) == []
    assert found == ("mirrors.yaml:4: registries.acr: duplicate key 'acr', in line 3 and line 4; keep one",)


def test_mirror_may_have_the_name_of_a_broken_registry(write: Write) -> None:
    mirrors = "acr: {source: quay, destinations: [hub], repositories: [team/app]}"
    file, found = load_healthy_mirrors(write(many(mirrors).replace("acr.example", "https://acr.example")))
    assert list(file.mirrors) == ["acr"]
    assert found == (f"mirrors.yaml:3: registries.acr.host: 'https://acr.example' {NO_HOST}",)


def test_only_reads_one_mirror(write: Write) -> None:
    path = write(ALL_AT_ONCE.replace("https://acr.example, tls: yes please", "acr.example"))
    file, found = parse_mirrors(path.read_text(), path, only="late")
    assert (list(file.mirrors), list(file.registries)) == (["late"], ["quay", "acr"])
    file, found = parse_mirrors(path.read_text(), path, only="bad")
    assert list(file.mirrors) == []
    assert found[0] == "mirrors.yaml:7: mirrors.bad: 'source' is missing; write source: here, or under defaults:"
    file, found = parse_mirrors(path.read_text(), path, only="no such mirror")
    assert list(file.mirrors) == []


def test_invalid_yaml_is_reported_with_its_line(write: Write) -> None:
    assert problems(write(GOOD.replace("[hub, local]", "[hub, local"))) == [
        (
            "mirrors.yaml:17: this is not valid YAML: close the bracket of line 16 "
            "(while parsing a flow sequence (line 16) did not find expected ',' or ']')"
        )
    ]


def test_python_tags_are_not_executed(write: Write, tmp_path: Path) -> None:
    mark = tmp_path / "made"
    text = _file(mirror={"description": "THIS"}).replace("THIS", f"!!python/object/apply:os.mkdir ['{mark}']")
    assert problems(write(text)) == [
        (
            "mirrors.yaml:5: mirrors.m.description: the YAML tag !!python/object/apply:os.mkdir is not supported; "
            "remove it, or quote the value"
        )
    ]
    assert not mark.exists()


@pytest.mark.usefixtures("low_bound_of_values")
def test_multiplying_aliases_are_refused(write: Write) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    assert problems(write("\n".join(lines))) == ["mirrors.yaml:2: more than 5000 values; do aliases multiply them?"]


def test_alias_within_its_own_anchor_is_refused(write: Write) -> None:
    assert problems(write("registries: &a {quay: *a}\n")) == [
        "mirrors.yaml:1: nested too deeply; does an anchor contain its own alias?"
    ]


def test_missing_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mirrors.yaml"
    assert problems(path) == [
        f"{path} does not exist; write it (docs/first-mirror.md), or name another file by REGISTRY_SYNC_MIRRORS_FILE"
    ]
    monkeypatch.setenv("REGISTRY_SYNC_MIRRORS_FILE", str(path))
    assert problems(path) == [f"{path} does not exist (REGISTRY_SYNC_MIRRORS_FILE names it)"]


def test_path_that_cannot_be_looked_at_is_reported(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 100)
    (problem,) = problems(path)
    assert problem == (
        f"{path}: cannot read the mirrors file ([Errno 36] File name too long: {str(path)!r}); to use another file, "
        "set REGISTRY_SYNC_MIRRORS_FILE"
    )


def test_other_encodings_than_utf_8_are_refused(write: Write) -> None:
    assert problems(write(GOOD.replace("Node images", "Nöde").encode("latin-1"))) == [
        "mirrors.yaml:11: this is not UTF-8 text (invalid start byte); save the file as UTF-8"
    ]


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode()],
    ids=["byte order mark", "CRLF"],
)
def test_byte_order_mark_and_crlf_are_accepted(write: Write, content: bytes) -> None:
    assert list(load_mirrors(write(content)).mirrors) == ["a", "b"]


PRUNED = "prune: {tags: gone_at_source}"
TO_M = "rename: 'm/{{ name }}'"
ONLY_A = f"{TO_M}, include: [a]"
PRUNED_BY = "is pruned here but also written by"
ADVICE = "give it a destination of its own, or set prune: {tags: none} for it"


@pytest.mark.parametrize(
    ("mirrors", "expected"),
    [
        (
            [
                f"a: {{source: quay, destinations: [acr], repositories: [x/yy, x/zz], {PRUNED}}}",
                "b: {source: quay, destinations: [acr], repositories: [x/yy]}",
            ],
            (
                "7: mirrors.a.repositories[0]: acr.example/x/yy is pruned here but also written by "
                "mirrors.b.repositories[0]; "
            ),
        ),
        (
            [
                f"a: {{source: quay, destinations: [acr], repositories: [x/yy], {PRUNED}}}",
                "b: {source: quay, destinations: [acr], repositories: [{namespace: x}]}",
            ],
            (
                "7: mirrors.a.repositories[0]: acr.example/x/yy is pruned here but also written by "
                "namespace 'x' of mirrors.b; "
            ),
        ),
        (
            [
                f"a: {{source: quay, destinations: [acr], repositories: [{{namespace: x}}], {PRUNED}}}",
                "b: {source: quay, destinations: [acr], repositories: [x/yy]}",
            ],
            f"7: mirrors.a: namespace 'x' {PRUNED_BY} mirrors.b.repositories[0]; ",
        ),
        (
            [
                f"a: {{source: quay, destinations: [acr], repositories: [{{namespace: x, {PRUNED}}}]}}",
                "b: {source: hub, destinations: [acr], repositories: [{namespace: x}]}",
            ],
            f"7: mirrors.a: namespace 'x' {PRUNED_BY} namespace 'x' of mirrors.b; ",
        ),
        *(
            (
                [
                    f"a: {{source: quay, destinations: [acr], repositories: [{{namespace: x, {PRUNED}, {ours}}}]}}",
                    f"b: {{source: hub, destinations: [acr], repositories: [{{namespace: x, {theirs}}}]}}",
                ],
                f"7: mirrors.a: namespace 'x' {PRUNED_BY} namespace 'x' of mirrors.b; ",
            )
            for ours, theirs in (
                ("include: ['/.*-operator/']", "include: ['/.*-operator/']"),
                ("include: ['[b-d]*']", "include: ['[!a]?']"),
            )
        ),
        *(
            (
                [
                    f"a: {{source: quay, destinations: [acr], repositories: [{rule}]}}",
                    f"b: {{source: hub, destinations: [acr], repositories: [{{namespace: x}}], {naming}}}",
                ],
                f"7: mirrors.a.repositories[0]: acr.example/{name} {PRUNED_BY} namespace 'x' of mirrors.b; ",
            )
            for name, naming in (("m/x/yy", "prefix: m/"), ("m/yy", "prefix: m/, strip_prefix: x/"))
            for rule in [f"{{repository: y, rename: {name}, {PRUNED}}}"]
        ),
        (
            [
                f"a: {{source: quay, destinations: [acr], {PRUNED}, repositories: [{{repository: y, rename: m/yy}}]}}",
                "b: {source: hub, destinations: [acr], repositories: [{namespace: x, rename: 'm/{{ name }}'}]}",
            ],
            f"7: mirrors.a.repositories[0]: acr.example/m/yy {PRUNED_BY} namespace 'x' of mirrors.b; ",
        ),
        (
            [
                f"a: {{source: quay, destinations: [acr], repositories: [{{repository: y, rename: m/y-c}}], {PRUNED}}}",
                "b: {source: hub, destinations: [acr], repositories: [{namespace: x, rename: 'm/{{ name }}-c'}]}",
            ],
            f"7: mirrors.a.repositories[0]: acr.example/m/y-c {PRUNED_BY} namespace 'x' of mirrors.b; ",
        ),
        *(
            (
                [
                    f"a: {{source: quay, destinations: [acr], {PRUNED}, repositories: [{{namespace: x, {ours}}}]}}",
                    f"b: {{source: hub, destinations: [acr], repositories: [{{namespace: y, {theirs}}}]}}",
                ],
                f"7: mirrors.a: namespace 'x' {PRUNED_BY} namespace 'y' of mirrors.b; ",
            )
            for ours, theirs in (
                (TO_M, TO_M),
                (TO_M, f"{TO_M}, include: [a-*]"),
                ("rename: 'y/{{ name }}'", "include: ['/[a-z]{3}/']"),
            )
        ),
    ],
    ids=[
        "repository, repository",
        "repository, namespace",
        "namespace, repository",
        "namespace, namespace",
        "the same expression",
        "overlapping sets",
        "prefix",
        "prefix and strip_prefix",
        "rename",
        "rename with a suffix",
        "other namespaces by one name",
        "other namespaces by one name, and globs",
        "renamed to the other namespace",
    ],
)
def test_pruning_what_another_mirror_writes_is_refused(write: Write, mirrors: list[str], expected: str) -> None:
    assert problems(write(many(*mirrors))) == [f"mirrors.yaml:{expected}{ADVICE}"]


MAY_BE_PRUNED_BY = (
    "is pruned here, and namespace 'x' of mirrors.b may write the same repositories; separate them by globs, such as "
    "include: ['a-*'] here and exclude: ['a-*'] there, give it a destination of its own, or set prune: {tags: none} "
    "for it"
)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("include: ['/b.*/']", "include: ['*z']"),
        ("exclude: ['any', '?']", "include: ['/[a-z]{2,3}/']"),
        ("include: ['/(foo|bar)-op/']", "exclude: ['foo-op']"),
    ],
)
def test_pruning_what_another_mirror_may_write_is_refused(write: Write, ours: str, theirs: str) -> None:
    pruned = f"a: {{source: quay, destinations: [acr], repositories: [{{namespace: x, {PRUNED}, {ours}}}]}}"
    other = f"b: {{source: hub, destinations: [acr], repositories: [{{namespace: x, {theirs}}}]}}"
    assert problems(write(many(pruned, other))) == [f"mirrors.yaml:7: mirrors.a: namespace 'x' {MAY_BE_PRUNED_BY}"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            "namespace: x, rename: 'all/{{ name }}', include: ['/a.*b.*/']",
            "namespace: y, prefix: all/, strip_prefix: y/, include: ['*-z']",
        ),
        (
            "namespace: x, rename: 'all/{{ name }}', include: ['b*']",
            "namespace: y, rename: 'all/{{ name }}', include: ['*z']",
        ),
        (
            "namespace: x, rename: 'all/{{ name | lower }}', include: ['b*']",
            "namespace: y, rename: 'all/{{ name }}', include: ['*z']",
        ),
        (
            "namespace: x, rename: '{{ namespace }}-{{ name }}', include: ['/c.+d/']",
            "namespace: y, rename: 'x-{{ name }}', include: ['c*']",
        ),
        (
            "namespace: x, rename: \"{{ 'all' if name == 'q' else 'x' }}/{{ name }}\", include: ['q*']",
            "namespace: y, rename: 'all/{{ name }}', include: ['/q.?/']",
        ),
        ("namespace: x, rename: 'y/{{ name }}', include: ['*b']", "namespace: y, include: ['b*c*']"),
        (
            "namespace: x, rename: 'all/{{ name }}', exclude: ['s/*']",
            "namespace: y, rename: 'all/{{ name }}', include: ['b*']",
        ),
        (
            "namespace: x, rename: 'all/{{ name }}', exclude: ['/s/.*/']",
            "namespace: y, rename: \"all/{{ name.split('-')[0] }}\", include: ['b-*']",
        ),
        (
            "namespace: x, rename: 'all/{{ name }}', include: ['*z', 's/b*'], exclude: ['b*']",
            "namespace: y, rename: 'all/{{ name }}', include: ['bc*']",
        ),
    ],
)
def test_pruning_what_another_namespace_may_write_under_a_new_name_is_refused(
    write: Write, ours: str, theirs: str
) -> None:
    """No example of one is a name of the other. Each may prune, and is refused."""
    for first, second in ((ours, theirs), (theirs, ours)):
        pruned = f"a: {{source: quay, destinations: [acr], repositories: [{{{first}, {PRUNED}}}]}}"
        other = f"b: {{source: hub, destinations: [acr], repositories: [{{{second}}}]}}"
        (problem,) = problems(write(many(pruned, other)))
        assert "is pruned here" in problem
        assert problem.endswith(ADVICE)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            "{namespace: x, rename: 'all/{{ name }}', include: ['a-*']}",
            "{namespace: y, rename: 'all/{{ name }}', include: ['b-*']}",
        ),
        (
            "{namespace: x, rename: 'all/{{ name }}', include: ['a-*']}",
            "{namespace: y, rename: 'all/{{ name }}', exclude: ['a-*']}",
        ),
        (
            "{namespace: t1, rename: 'all/{{ namespace }}-{{ name }}'}",
            "{namespace: t11, rename: 'all/{{ namespace }}-{{ name }}'}",
        ),
        (
            "{namespace: t1, rename: \"all/{{ repository | replace('/', '-') }}\"}",
            "{namespace: t2, rename: \"all/{{ repository | replace('/', '-') }}\"}",
        ),
        (
            "{namespace: x, rename: \"all/{{ repository | replace('/', '-') }}\", include: ['a-*']}",
            "{namespace: x, rename: \"all/{{ repository | replace('/', '-') }}\", include: ['b-*']}",
        ),
        ("{namespace: x, prefix: a/}", "{namespace: y, prefix: b/}"),
        ("{namespace: x, rename: 'all/{{ name }}-x'}", "{namespace: y, rename: 'all/{{ name }}-y'}"),
    ],
)
def test_namespaces_with_new_names_that_are_apart_may_be_pruned(write: Write, ours: str, theirs: str) -> None:
    mirrors = [f"{{source: quay, destinations: [acr], repositories: [{rule}], {PRUNED}}}" for rule in (ours, theirs)]
    assert list(load_mirrors(write(many(f"a: {mirrors[0]}", f"b: {mirrors[1]}"))).mirrors) == ["a", "b"]


@pytest.mark.parametrize("rule", ["include: ['p{}-*']", "include: ['*-p{}']", "rename: 'p{}/{{{{ name }}}}'"])
def test_many_pruning_mirrors_of_one_namespace_are_not_compared_with_each_other(write: Write, rule: str) -> None:
    """Sixty cost more than a second at each reading of the file. Only names that begin alike are compared."""
    rules = [rule.format(number + 10) for number in range(60)]
    mirrors = [
        f"m{number}: {{source: quay, destinations: [acr], {PRUNED}, repositories: [{{namespace: x, {own}}}]}}"
        for number, own in enumerate(rules)
    ]
    routes = RouteMap.of(load_mirrors(write(many(*mirrors))))
    assert NearNames.of(routes).namespaces == {}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("{namespace: x, include: ['[a-m]*']}", "{namespace: x, include: ['[n-z]*']}"),
        ("{namespace: x, include: ['[a-m]']}", "{namespace: x, include: ['/[n-z]/']}"),
        ("{namespace: x, include: ['[a-m]']}", "{namespace: x, exclude: ['[a-m]*']}"),
        ("{namespace: x, include: ['/a.*/']}", "{namespace: x, include: ['/b.*/']}"),
        ("{namespace: x, include: ['/a.*/']}", "{namespace: x, exclude: ['a*']}"),
        ("{namespace: x, include: ['a-*']}", "{namespace: x, exclude: ['a*']}"),
        ("{namespace: x, include: ['/(foo|bar)/']}", "{namespace: x, exclude: [foo, bar]}"),
        ("{namespace: x, include: ['/(a|b)c/']}", "{namespace: x, exclude: ['/(a|b)c/']}"),
        ("{namespace: x, exclude: ['sub/*']}", "{namespace: x/sub}"),
        ("{namespace: x, include: ['other*']}", "{namespace: x/sub}"),
        ("{namespace: x, exclude: ['sub/a*']}", "{namespace: x/sub, include: ['a-*', '/a[0-9]/']}"),
    ],
)
def test_namespaces_that_are_apart_may_be_pruned(write: Write, ours: str, theirs: str) -> None:
    mirrors = [f"{{source: quay, destinations: [acr], repositories: [{rule}], {PRUNED}}}" for rule in (ours, theirs)]
    assert list(load_mirrors(write(many(f"a: {mirrors[0]}", f"b: {mirrors[1]}"))).mirrors) == ["a", "b"]


@pytest.mark.parametrize(
    "mirrors",
    [
        [
            "a: {source: quay, destinations: [acr], repositories: [x/yy], prune: {tags: none}}",
            "b: {source: quay, destinations: [acr], repositories: [x/yy]}",
        ],
        [
            f"a: {{source: quay, destinations: [acr], repositories: [{{namespace: x}}, x/yy], {PRUNED}}}",
            "b: {source: quay, destinations: [acr], repositories: [{namespace: z}]}",
        ],
        [
            f"a: {{source: quay, destinations: [acr], repositories: [{{namespace: x, include: [a-*]}}], {PRUNED}}}",
            "b: {source: quay, destinations: [acr], repositories: [{namespace: x, include: [b-*]}]}",
        ],
        [
            f"a: {{source: quay, destinations: [acr], repositories: [x/yy], {PRUNED}}}",
            "b: {source: quay, destinations: [hub], repositories: [x/yy]}",
        ],
        [
            f"a: {{source: quay, destinations: [acr], {PRUNED}, repositories: [{{namespace: x, include: ['[a-m]']}}]}}",
            "b: {source: quay, destinations: [acr], repositories: [{namespace: x, exclude: ['[a-m]']}]}",
        ],
        [
            f"a: {{source: quay, destinations: [acr], {PRUNED}, prefix: m/, repositories: [{{namespace: x}}]}}",
            "b: {source: quay, destinations: [acr], prefix: m/, repositories: [{namespace: y}]}",
        ],
        [
            f"a: {{source: quay, destinations: [acr], repositories: [{{namespace: x, {ONLY_A}, {PRUNED}}}]}}",
            f"b: {{source: quay, destinations: [acr], repositories: [{{namespace: y, {TO_M}, exclude: [a]}}]}}",
        ],
    ],
    ids=[
        "prune is off",
        "other namespace",
        "globs apart",
        "other destination",
        "sets apart",
        "other names",
        "other namespaces and globs apart",
    ],
)
def test_pruning_what_one_mirror_writes_is_accepted(write: Write, mirrors: list[str]) -> None:
    assert list(load_mirrors(write(many(*mirrors))).mirrors) == ["a", "b"]
