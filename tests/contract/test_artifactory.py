"""The client against Artifactory's query language as JFrog describes it, and where its answers are not to be used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from registry_sync.errors import NotFound, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.vendors.artifactory import ArtifactoryClient
from testkit import images
from testkit.artifactory_api import ArtifactoryApi
from testkit.clients import connect
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess

NAME = "docker-local/team/app"
LOGIN = Credentials(username="mirror", secret="the-token")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
IMAGES = [images.image([], labels={"number": str(number)}) for number in range(3)]
INDEX = images.multi_arch("index")
TYPES, QUERY, NAMES = "/artifactory/api/repositories", "/artifactory/api/search/aql", f"/v2/{NAME}/tags/list"
NAMES_ONLY = [ListedTag(name="latest"), ListedTag(name="v1")]
client = partial(connect, ArtifactoryClient)


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v1", IMAGES[1])
        images.push(registry.url, NAME, "latest", INDEX)
        yield registry


@pytest.fixture
def api(registry: RegistryProcess) -> Iterator[ArtifactoryApi]:
    with ArtifactoryApi(registry.url) as api:
        api.push(NAME, "v1", NOON - timedelta(hours=9), IMAGES[1].digest)
        api.push(NAME, "latest", NOON, INDEX.digest, is_index=True)
        yield api


def app(server: Interceptor, name: str = NAME) -> Repository:
    return Repository(server.host, name)


def tags(server: Interceptor, login: Credentials | None = LOGIN, **options: Any) -> list[ListedTag]:
    with client(server, credentials=login, **options) as asked:
        return list(asked.list_tags(app(server)))


def paths(server: Interceptor) -> list[str]:
    return [request.path for request in server.requests()]


def test_tags_with_digests_and_times_cost_a_query(api: ArtifactoryApi) -> None:
    """And the names, the types of the repositories once a session, and a HEAD that confirms it."""
    assert tags(api) == [
        ListedTag(name="latest", digest=INDEX.digest, pushed_at=NOON),
        ListedTag(name="v1", digest=IMAGES[1].digest, pushed_at=NOON - timedelta(hours=9)),
    ]
    assert paths(api) == ["/v2/", NAMES, TYPES, QUERY, f"/v2/{NAME}/manifests/latest"]
    (query,) = api.queries
    assert query == (
        'items.find({"repo": "docker-local", "path": {"$match": "team/app/*"}, "$or": [{"name": "manifest.json"}, '
        '{"name": "list.manifest.json"}]}).include("repo", "path", "name", "sha256", "created", "modified", "updated")'
    )


def test_an_api_at_another_address_is_used(registry: RegistryProcess, api: ArtifactoryApi) -> None:
    with Interceptor(registry.url) as server:
        assert [entry.digest for entry in tags(server, api_url=api.url)] == [INDEX.digest, IMAGES[1].digest]
        assert paths(api) == [TYPES, QUERY]


def test_folders_that_are_no_tags_are_left_out(api: ArtifactoryApi) -> None:
    """Those of platforms are named after digests, and the pattern matches images with longer names."""
    api.push(f"{NAME}/sub", "v1", NOON, IMAGES[2].digest)
    api.push(NAME, f"sha256__{IMAGES[2].digest.encoded}", NOON, IMAGES[2].digest)
    api.push(NAME, "deleted", NOON, IMAGES[2].digest)
    assert [(entry.name, entry.digest) for entry in tags(api)] == [("latest", INDEX.digest), ("v1", IMAGES[1].digest)]


def test_a_tag_with_two_manifests_is_a_name_only(api: ArtifactoryApi) -> None:
    api.push(NAME, "v1", NOON, IMAGES[2].digest, is_index=True)
    assert [(entry.name, entry.digest) for entry in tags(api)] == [("latest", INDEX.digest), ("v1", None)]


@pytest.mark.parametrize("kind", ["REMOTE", "VIRTUAL", "unknown"])
def test_remote_and_virtual_repositories_are_read_by_name(api: ArtifactoryApi, kind: str) -> None:
    """What somebody has pulled from a remote one may be outdated."""
    api.types["docker-local"] = kind
    assert tags(api) == NAMES_ONLY
    assert api.queries == []


@pytest.mark.parametrize("kind", ["LOCAL", "local", "FEDERATED"])
def test_local_and_federated_ones_are_read_by_query(api: ArtifactoryApi, kind: str) -> None:
    api.types["docker-local"] = kind
    assert all(entry.digest for entry in tags(api))


def test_a_repository_that_another_key_stands_for_is_noticed(api: ArtifactoryApi) -> None:
    """A host may stand for a key. A local repository that is named as the name begins is then another one."""
    api.push(NAME, "v1", NOON, IMAGES[2].digest)
    api.push(NAME, "latest", NOON, IMAGES[2].digest, is_index=True)
    assert tags(api) == NAMES_ONLY


def test_a_tag_that_is_refused_confirms_nothing(api: ArtifactoryApi) -> None:
    """Xray blocks single images. The next tag is compared instead."""
    api.answer("HEAD", "/manifests/latest$", 403)
    api.answer("GET", "/manifests/latest$", 403)
    assert all(entry.digest for entry in tags(api))
    api.answer("HEAD", "/manifests/", 403)
    api.answer("GET", "/manifests/", 403)
    assert tags(api) == NAMES_ONLY


@pytest.mark.parametrize("path", [TYPES, QUERY])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_where_the_api_refuses_names_are_listed(api: ArtifactoryApi, path: str, status: int) -> None:
    api.answer("*", f"^{path}$", status)
    assert tags(api) == NAMES_ONLY


@pytest.mark.parametrize("path", [TYPES, QUERY])
def test_a_web_page_is_no_answer(api: ArtifactoryApi, path: str) -> None:
    api.answer("*", f"^{path}$", 200, b"<!doctype html><title>JFrog</title>")
    assert tags(api) == NAMES_ONLY


def test_a_redirect_to_another_page_is_no_answer(api: ArtifactoryApi) -> None:
    api.answer("POST", f"^{QUERY}$", 302, headers={"Location": "/ui/login"})
    assert tags(api) == NAMES_ONLY


def test_a_query_that_is_cut_off_is_not_used(api: ArtifactoryApi) -> None:
    api.is_trimmed = True
    assert tags(api) == NAMES_ONLY


@pytest.mark.parametrize("body", [b"{}", b"null", b"[]", b'{"results": [{"repo": 1}]}'])
def test_an_answer_that_is_no_list_is_no_empty_list(api: ArtifactoryApi, body: bytes) -> None:
    api.answer("POST", f"^{QUERY}$", 200, body)
    with pytest.raises(TemporaryError) as caught:
        tags(api)
    assert str(caught.value) == f"{api.url}{QUERY} answered 200 without a list of results"


def test_anonymous_users_read_names(api: ArtifactoryApi) -> None:
    assert tags(api, None) == NAMES_ONLY
    assert paths(api) == [NAMES]


def test_a_missing_image_is_not_found(api: ArtifactoryApi) -> None:
    with client(api, credentials=LOGIN) as asked, pytest.raises(NotFound):
        list(asked.list_tags(app(api, "docker-local/other")))
    assert api.queries == []


def test_a_digest_before_sha256_was_kept_is_read_by_head(api: ArtifactoryApi) -> None:
    rows = [{"repo": "docker-local", "path": "team/app/v1", "name": "manifest.json", "sha256": None}]
    api.answer("POST", f"^{QUERY}$", 200, json.dumps({"results": rows}).encode())
    assert tags(api) == NAMES_ONLY


def test_the_images_of_a_key_are_listed_by_its_own_catalog(api: ArtifactoryApi) -> None:
    api.push("docker-local/other", "v1", NOON, Digest.of(b"other"))
    with client(api, credentials=LOGIN) as asked:
        assert list(asked.list_repositories("docker-local")) == [
            ListedRepository(name="docker-local/other"),
            ListedRepository(name=NAME),
        ]
        assert list(asked.list_repositories("docker-local/team")) == [ListedRepository(name=NAME)]


def test_where_a_host_stands_for_a_key_the_catalog_of_v2_is_read(api: ArtifactoryApi) -> None:
    api.answer("GET", "^/artifactory/", 404)
    with client(api, credentials=LOGIN) as asked:
        assert list(asked.list_repositories("docker-local/team")) == [ListedRepository(name=NAME)]
