"""The client against Azure's API in front of a real registry: listings, windows, tokens, and their costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from registry_sync.errors import NotFound
from registry_sync.oci.manifest import parse_manifest
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.vendors.acr import AcrClient
from testkit import images
from testkit.acr_api import AcrApi
from testkit.clients import connect
from testkit.registry import RegistryProcess
from testkit.token_server import TokenServer
from tests.contract.swagger import Swagger

IMAGE = images.multi_arch("one")
OTHER = images.multi_arch("other")
NAME = "team/app"
ROBOT = Credentials(username="robot", secret="the-robots-password")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVERY_RIGHT = {"*": ("pull", "push", "metadata_read"), "registry:catalog": ("*",)}
client = partial(connect, AcrClient)


@pytest.fixture
def registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v000", IMAGE)
        yield registry


def fill(registry: RegistryProcess, count: int) -> list[str]:
    """Fill the repository with ``count`` tags of one manifest."""
    names = [f"v{each:03}" for each in range(count)]
    with client(registry) as pushing:
        manifest = parse_manifest(IMAGE.content, IMAGE.media_type)
        for name in names[1:]:
            pushing.put_manifest(Repository(registry.host, NAME), name, manifest)
    return names


def test_lists_digests_times_and_locks(registry: RegistryProcess) -> None:
    images.push(registry.url, NAME, "moved", OTHER)
    with AcrApi(registry) as azure, client(azure) as asked:
        azure.set_pushed_at(NAME, "v000", NOON)
        azure.set_pushed_at(NAME, "moved", None)
        azure.lock(NAME, "v000")
        entries = list(asked.list_tags(Repository(azure.host, NAME)))
        assert entries == [
            ListedTag(name="moved", digest=OTHER.digest),
            ListedTag(name="v000", digest=IMAGE.digest, pushed_at=NOON, is_locked=True),
        ]
        assert list(asked.list_repositories("team")) == [ListedRepository(name=NAME)]


def test_a_push_has_the_time_of_the_push(registry: RegistryProcess) -> None:
    started = datetime.now(UTC) - timedelta(seconds=1)
    with AcrApi(registry) as azure, client(azure) as asked:
        target = Repository(azure.host, NAME)
        asked.put_manifest(target, "v001", asked.get_manifest(target, IMAGE.digest))
        (entry,) = [tag for tag in asked.list_tags(target) if tag.name == "v001"]
        assert asked.head_manifest(target, "v001") == entry.digest == IMAGE.digest
    assert entry.pushed_at is not None
    assert started <= entry.pushed_at <= datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize("loses_order", [False, True])
def test_listing_takes_one_request_per_thousand_tags(registry: RegistryProcess, loses_order: bool) -> None:
    """One request per thousand tags, and one for a window in a repository of any size, by a hundred."""
    names = fill(registry, 250)
    with AcrApi(registry, loses_order=loses_order) as azure, client(azure) as asked:
        for age, name in enumerate(reversed(names)):
            azure.set_pushed_at(NAME, name, NOON - timedelta(hours=age))
        assert [tag.name for tag in asked.list_tags(Repository(azure.host, NAME))] == names
        assert len(azure.requests()) == 1
        azure.clear_requests()
        listed = [tag.name for tag in asked.list_tags(Repository(azure.host, NAME), since=NOON - timedelta(hours=5))]
        assert listed == names[:149:-1]
        assert len(azure.requests()) == 1
        azure.clear_requests()
        since = NOON - timedelta(hours=500)
        assert [tag.name for tag in asked.list_tags(Repository(azure.host, NAME), since=since)] == names[::-1]
        assert len(azure.requests()) == 3


def test_the_stand_in_answers_as_defined(registry: RegistryProcess) -> None:
    definition = Swagger("acr.json")
    with AcrApi(registry) as azure:
        definition.check_answer("/acr/v1/{name}/_tags", azure.answer(f"/acr/v1/{NAME}/_tags", "n=100", None).body)
        definition.check_answer("/acr/v1/_catalog", azure.answer("/acr/v1/_catalog", "", None).body)


def test_a_missing_repository_is_not_found(registry: RegistryProcess) -> None:
    with AcrApi(registry) as azure, client(azure) as asked, pytest.raises(NotFound) as caught:
        list(asked.list_tags(Repository(azure.host, "team/other")))
    assert str(caught.value) == (
        f"GET {azure.url}/acr/v1/team/other/_tags answered 404 NAME_UNKNOWN: repository name not known to registry: "
        '{"name": "team/other"}'
    )


def test_expired_tokens_are_fetched_again() -> None:
    """Azure does not state the lifetime of its tokens. An expired one is fetched again."""
    with (
        TokenServer({ROBOT.username: ROBOT.secret}, grants={"robot": EVERY_RIGHT}, states_expiry=False) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        AcrApi(locked, realm=tokens.realm) as azure,
        client(azure, ROBOT) as asked,
    ):
        images.push(locked.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        target = Repository(azure.host, NAME)
        asked.ping()
        tokens.clear_requests()
        for _ in range(2):
            assert [tag.digest for tag in asked.list_tags(target)] == [IMAGE.digest]
            assert asked.head_manifest(target, "v1") == IMAGE.digest
            assert list(asked.list_repositories("team")) == [ListedRepository(name=NAME)]
        listing, pulling = f"repository:{NAME}:metadata_read", f"repository:{NAME}:pull"
        assert scopes_of(tokens) == [listing, pulling, "registry:catalog:*"]
        azure.revoke_tokens()
        assert [tag.name for tag in asked.list_tags(target)] == ["v1"]
        assert scopes_of(tokens) == [listing, pulling, "registry:catalog:*", listing]


def scopes_of(tokens: TokenServer) -> list[str]:
    return [scope for request in tokens.requests() for scope in request.scopes]


def test_anonymous_users_without_the_right_to_list_read_names() -> None:
    with (
        TokenServer({}, anonymous={NAME: ("pull",)}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        AcrApi(locked, realm=tokens.realm) as azure,
        client(azure) as asked,
    ):
        images.push(locked.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        assert list(asked.list_tags(Repository(azure.host, NAME))) == [ListedTag(name="v1")]
        assert asked.head_manifest(Repository(azure.host, NAME), "v1") == IMAGE.digest


def test_the_stand_in_takes_whole_images(registry: RegistryProcess) -> None:
    """Pushes by skopeo and the end-to-end tests go through it."""
    with AcrApi(registry) as azure:
        images.push(azure.url, NAME, "v2", OTHER)
        assert images.pull_whole(azure.url, NAME, "v2") == {"linux/amd64", "linux/arm64"}
