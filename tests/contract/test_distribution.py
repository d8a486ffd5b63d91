"""The client against recorded responses of two versions of the CNCF registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RegistrySyncError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from tests.contract.replay import RECORDED, VERSIONS, replay

PUBLIC = "public/app"


@pytest.fixture(params=VERSIONS, ids=["2.8.2", "3.1.1"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def client(host: str, password: str | None = None) -> Iterator[DistributionClient]:
    credentials = Credentials(username="robot", secret=password) if password else None
    with closing(DistributionClient(Endpoint(host=host, tls=False, credentials=credentials))) as opened:
        yield opened


def error_of(version: str, case: str, call: str) -> RegistrySyncError:
    """The client's result for a recorded response."""
    path = RECORDED[version][case]["request"]["path"]
    with replay(version, case) as server, client(server.host) as asked, pytest.raises(RegistrySyncError) as caught:
        name, _, last = path.removeprefix("v2/").rpartition("/manifests/" if "/manifests/" in path else "/tags/")
        repository = Repository(server.host, name)
        if call == "tags":
            list(asked.list_tags(repository))
        else:
            asked.get_manifest(repository, Digest.parse(last))
    return caught.value


def test_tags_are_listed_by_name(version: str) -> None:
    with replay(version, "tags") as server, client(server.host) as asked:
        entries = list(asked.list_tags(Repository(server.host, PUBLIC)))
    assert [entry.name for entry in entries] == ["v1.0.0", "v1.1.0", "v1.2.0"]
    assert {(entry.digest, entry.pushed_at) for entry in entries} == {(None, None)}


def test_pages_are_followed_by_link(version: str) -> None:
    """2.8.2 ignores ``n`` and returns all tags; 3.1.1 returns two and a link to the third."""
    with replay(version, "tags_n2", "tags_n2_last") as server, client(server.host) as asked:
        names = [tag.name for tag in asked.list_tags(Repository(server.host, PUBLIC))]
        requests = len(server.requests())
    assert names == ["v1.0.0", "v1.1.0", "v1.2.0"]
    assert requests == (1 if version.startswith("2.8.2") else 2)


def test_catalog_is_filtered_by_namespace(version: str) -> None:
    with replay(version, "catalog") as server, client(server.host) as asked:
        assert list(asked.list_repositories("public")) == [ListedRepository(name=PUBLIC)]


def test_a_refused_catalog_names_the_remedy(version: str) -> None:
    with (
        replay(version, "catalog_n_over_max") as server,
        client(server.host) as asked,
        pytest.raises(ConfigurationError) as caught,
    ):
        list(asked.list_repositories("public"))
    assert str(caught.value) == (
        f"{server.host} does not list its repositories, write the repositories of 'public' one by one (GET "
        f"http://{server.host}/v2/_catalog answered 400 PAGINATION_NUMBER_INVALID: invalid number of results "
        'requested: {"n": 5000})'
    )


def test_a_missing_repository_is_an_error_and_no_empty_list(version: str) -> None:
    error = error_of(version, "tags_missing_repo", "tags")
    assert type(error) is NotFound
    assert "answered 404 NAME_UNKNOWN: repository name not known to registry" in str(error)


def test_a_page_that_is_no_registry_answer_is_an_error(version: str) -> None:
    error = error_of(version, "get_bad_name", "tags")
    assert type(error) is NotFound
    assert str(error).endswith("answered 404 404 page not found")


def test_head_gives_the_index_digest(version: str) -> None:
    with replay(version, "head_index") as server, client(server.host) as asked:
        found = asked.head_manifest(Repository(server.host, PUBLIC), "v1.0.0")
    assert str(found) == RECORDED[version]["head_index"]["headers"]["docker-content-digest"]


def test_head_of_a_missing_tag_returns_none(version: str) -> None:
    with replay(version, "head_missing_tag") as server, client(server.host) as asked:
        assert asked.head_manifest(Repository(server.host, PUBLIC), "nope") is None


def test_a_missing_digest_is_not_found(version: str) -> None:
    error = error_of(version, "get_missing_digest", "manifest")
    assert type(error) is NotFound
    assert "answered 404 MANIFEST_UNKNOWN: manifest unknown" in str(error)


def test_token_challenge_without_a_token_server_to_reach(version: str) -> None:
    """The realm is plain http, which tls: false allows. Its port is closed."""
    with replay(version, "token_ping_anon") as server, client(server.host) as asked:
        with pytest.raises(RegistrySyncError, match=r"^http://127\.0\.0\.1:5190 cannot be reached: "):
            asked.ping()


def test_a_basic_challenge_requires_credentials(version: str) -> None:
    with replay(version, "htpasswd_anon") as server, client(server.host) as asked, pytest.raises(DeniedError) as caught:
        asked.ping()
    assert str(caught.value) == f"{server.host} requires a user name and password; give its registry a connection"


def test_a_wrong_password_is_refused(version: str) -> None:
    with replay(version, "htpasswd_anon", "htpasswd_bad") as server, client(server.host, "wrong") as asked:
        with pytest.raises(DeniedError, match="answered 401 UNAUTHORIZED: authentication required"):
            asked.ping()


def test_a_password_is_accepted(version: str) -> None:
    with replay(version, "htpasswd_anon", "htpasswd_ok") as server, client(server.host, "right") as asked:
        asked.ping()
