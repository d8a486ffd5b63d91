"""Parsing of hosts, repository names, tags, digests and references, and the messages for invalid ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import (
    Digest,
    Reference,
    Repository,
    is_tag,
    parse_host,
    parse_repository_name,
    without_default_port,
)

HEX = 64 * "a"
NAMES = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}(/[a-z0-9]{1,8}){0,3}", fullmatch=True)
HOSTS = st.sampled_from(["quay.io", "docker.io", "localhost", "registry:5000", "127.0.0.1:5000"])
REPOSITORIES = st.builds(Repository.at, HOSTS, NAMES)
DIGESTS = st.builds(Digest.of, st.binary(max_size=8), st.sampled_from(["sha256", "sha512"]))
TAGS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)


@given(DIGESTS)
def test_a_digest_is_parsed_from_its_own_text(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest


@given(REPOSITORIES)
def test_a_repository_is_parsed_from_its_own_text(repository: Repository) -> None:
    assert Repository.parse(str(repository)) == repository


@given(REPOSITORIES, st.one_of(TAGS, DIGESTS))
def test_a_reference_is_parsed_from_its_own_text(repository: Repository, target: str | Digest) -> None:
    reference = Reference(repository, target)
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_a_configuration_error(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except ConfigurationError:
        return
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("quay.io", "quay.io"),
        ("Quay.IO", "quay.io"),
        ("localhost", "localhost"),
        ("registry:5000", "registry:5000"),
        ("quay.io:65535", "quay.io:65535"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("Registry.Hub.Docker.com", "docker.io"),
    ],
)
def test_hosts_are_normalized(written: str, host: str) -> None:
    assert parse_host(written) == host


@pytest.mark.parametrize(
    "written",
    [
        "",
        "https://quay.io",
        "quay.io/giantswarm",
        "quay.io/",
        "quay.io:",
        "quay.io:0",
        "quay.io:65536",
        "quay.io:0443",
        "quay.io:https",
        "-quay.io",
        "quay..io",
        "user@quay.io",
        "quay.io\n",
        "quäy.io",
    ],
)
def test_invalid_hosts_are_refused(written: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_host(written)
    advice = "write host or host:port, without https:// or a path"
    assert str(caught.value) == f"{written!r} is not a registry host; {advice}"


@pytest.mark.parametrize("written", ["[::1]", "[::1]:5000", "[fd00::A1]:443", "::1", "fd00::a1", "[::ffff:10.0.0.1]"])
def test_ipv6_addresses_are_refused(written: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_host(written)
    assert str(caught.value) == (
        f"{written!r} is an IPv6 address, which skopeo's image references cannot hold; write a name that resolves to it"
    )


@pytest.mark.parametrize(
    ("host", "tls", "expected"),
    [
        ("quay.io:443", True, "quay.io"),
        ("quay.io:443", False, "quay.io:443"),
        ("quay.io:80", False, "quay.io"),
        ("quay.io:80", True, "quay.io:80"),
        ("index.docker.io:443", True, "docker.io"),
        ("127.0.0.1:443", True, "127.0.0.1"),
        ("localhost:443", True, "localhost"),
        ("registry:443", True, "registry:443"),
        ("quay.io:8443", True, "quay.io:8443"),
    ],
)
def test_the_port_that_a_scheme_has_anyway_is_left_out(host: str, tls: bool, expected: str) -> None:
    assert without_default_port(parse_host(host), tls=tls) == expected


def test_a_host_without_dot_and_port_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_host("registry")
    assert str(caught.value) == (
        "'registry' has neither a dot nor a port, so image names with it would mean Docker Hub; "
        "write the port too, such as 'registry:443'"
    )


@pytest.mark.parametrize("name", ["alpine", "a/b/c/d", "a.b_c__d-e---f", "0/1", 255 * "a"])
def test_valid_repository_names_are_accepted(name: str) -> None:
    assert parse_repository_name(name) == name


GRAMMAR = "only a-z, 0-9 and single '.', '_', '-' or '__' between them, in parts separated by '/'"
NO_TAG = "write it without registry, tag and digest (tags have a key of their own)"
BY_DIGEST = (
    "write it without registry, tag and digest; names: (below tags:) takes a digest as TAG@sha256:…, with any TAG of "
    "your own"
)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("", "it is empty"),
        (256 * "a", "it has 256 characters, at most 255 are allowed"),
        ("Giantswarm/Hyperkube", "upper-case letters are not allowed; write 'giantswarm/hyperkube'"),
        (255 * "A", f"upper-case letters are not allowed; write {255 * 'a'!r}"),
        ("app:v1", NO_TAG),
        ("App:v1", NO_TAG),
        ("localhost:5000/app", NO_TAG),
        (f"app@sha256:{HEX}", BY_DIGEST),
        (f"quay.io/app@sha256:{HEX}", BY_DIGEST),
        (f"app:v1@sha256:{HEX}", BY_DIGEST),
        ("two words", GRAMMAR),
        ("Two Words", GRAMMAR),
        ("a//b", GRAMMAR),
        ("/a", GRAMMAR),
        ("a/", GRAMMAR),
        ("a..b", GRAMMAR),
        ("a___b", GRAMMAR),
        ("-a", GRAMMAR),
        ("a-", GRAMMAR),
        ("ä", GRAMMAR),
        ("a\n", GRAMMAR),
    ],
)
def test_invalid_repository_names_are_refused(written: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_repository_name(written)
    assert str(caught.value) == f"{written!r} is not a repository name: {fault}"


@pytest.mark.parametrize("tag", ["v1.0", "latest", "_", "A", "1.10-rc.1_x", 128 * "a"])
def test_valid_tags_are_accepted(tag: str) -> None:
    assert is_tag(tag)


@pytest.mark.parametrize("text", ["", ".v1", "-v1", "v1+build", 129 * "a", f"sha256:{HEX}", "v1\n", "v 1", "é"])
def test_invalid_tags_are_refused(text: str) -> None:
    assert not is_tag(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a digest"),
        (HEX, f"'{HEX}' is not a digest"),
        ("sha256:", "'sha256:' is not a digest"),
        (f"sha256:{HEX}\n", f"'sha256:{HEX}\\n' is not a digest"),
        ("sha256:abc", "'sha256:abc' is not a sha256 or sha512 digest"),
        (f"sha512:{HEX}", f"'sha512:{HEX}' is not a sha256 or sha512 digest"),
        (f"md5:{HEX}", f"'md5:{HEX}' is not a sha256 or sha512 digest"),
        (f"sha256:{64 * 'A'}", f"'sha256:{64 * 'A'}' is not a sha256 or sha512 digest"),
    ],
)
def test_invalid_digests_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="is not a") as caught:
        Digest.parse(text)
    assert str(caught.value) == message


def test_a_digest_is_computed_from_content() -> None:
    digest = Digest.of(b"")
    assert str(digest) == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest.short == "sha256:e3b0c44298fc"


@pytest.mark.parametrize(
    ("text", "repository"),
    [
        ("alpine", "docker.io/library/alpine"),
        ("docker.io/alpine", "docker.io/library/alpine"),
        ("index.docker.io/library/alpine", "docker.io/library/alpine"),
        ("giantswarm/app", "docker.io/giantswarm/app"),
        ("quay.io/app", "quay.io/app"),
        ("localhost/app", "localhost/app"),
        ("registry/app", "docker.io/registry/app"),
        ("registry:5000/app", "registry:5000/app"),
    ],
)
def test_repositories_are_parsed_as_docker_does(text: str, repository: str) -> None:
    assert str(Repository.parse(text)) == repository


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("quay.io/a/b:v1", "quay.io/a/b:v1"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("localhost:5000/a:v1", "localhost:5000/a:v1"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        (f"quay.io/a@sha256:{HEX}", f"quay.io/a@sha256:{HEX}"),
    ],
)
def test_references_are_parsed(text: str, reference: str) -> None:
    assert str(Reference.parse(text)) == reference


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a repository name: it is empty"),
        ("quay.io/a:", "'quay.io/a:': '' is not a tag"),
        ("quay.io/a:v+1", "'quay.io/a:v+1': 'v+1' is not a tag"),
        ("quay.io/a@", "'quay.io/a@': '' is not a digest"),
        ("quay.io/a@v1", "'quay.io/a@v1': 'v1' is not a digest"),
        (f"a:v1@sha256:{HEX}", f"'a:v1@sha256:{HEX}' has a tag and a digest; write one of them"),
        (f"a:@sha256:{HEX}", f"'a:@sha256:{HEX}' has a tag and a digest; write one of them"),
        ("quay.io/A", "'A' is not a repository name: upper-case letters are not allowed; write 'a'"),
    ],
)
def test_invalid_references_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Reference.parse(text)
    assert str(caught.value) == message
