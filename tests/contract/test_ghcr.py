"""The client against GitHub's API definition, and against a stand-in that follows it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import requests

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RateLimited, RefusedError, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.vendors.ghcr import GhcrClient, api_path, api_url_of
from testkit import images
from testkit.clients import connect
from testkit.ghcr_api import PREFIX, GhcrApi
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.times import Due
from testkit.waiting import PATIENCE_SECONDS
from tests.contract.openapi import OpenApi

GITHUB = OpenApi("github-packages.json")
PACKAGES, VERSIONS = "/orgs/{org}/packages", "/orgs/{org}/packages/{package_type}/{package_name}/versions"
ORG, USER = (
    f"{PREFIX}/orgs/acme/packages/container/app/versions",
    f"{PREFIX}/users/acme/packages/container/app/versions",
)
NAMES = "/v2/acme/app/tags/list"
LOGIN = Credentials(username="bot", secret="ghp_token")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DIGESTS = [Digest.of(str(number).encode()) for number in range(10)]
NOWHERE = "http://127.0.0.1:1"
ADVICE = "give the login a classic personal access token with read:packages"
client = partial(connect, GhcrClient)


def app(server: Interceptor, name: str = "acme/app") -> Repository:
    return Repository(server.host, name)


def version(number: int, *tags: str, created_at: str = "2026-11-23T12:00:00Z", **changes: Any) -> dict[str, Any]:
    metadata = {"package_type": "container", "container": {"tags": list(tags)}}
    row = {"id": number, "name": str(DIGESTS[number]), "created_at": created_at, "updated_at": created_at}
    return {**row, "metadata": metadata, **changes}


def items(*rows: dict[str, Any]) -> bytes:
    return json.dumps(rows).encode()


def paths(server: Interceptor) -> list[str]:
    return [request.path for request in server.requests()]


def test_the_example_of_a_listing() -> None:
    body = json.dumps(GITHUB.document["components"]["examples"]["package-versions-for-authenticated-user"]["value"])
    with Interceptor(NOWHERE) as wire, client(wire, credentials=LOGIN) as asked:
        wire.answer("GET", f"^{ORG}$", 200, body.encode())
        assert list(asked.list_tags(app(wire))) == [
            ListedTag(
                name="latest",
                digest=Digest.parse("sha256:08a44bab0bddaddd8837a8b381aebc2e4b933768b981685a9e088360af0d3dd9"),
                pushed_at=datetime(2020, 9, 11, 21, 56, 40, tzinfo=UTC),
                is_image_time=True,
            )
        ]


def test_our_requests_and_the_stand_in_are_what_the_definition_says() -> None:
    with GhcrApi(NOWHERE) as api, client(api, credentials=LOGIN) as asked:
        for number in range(150):
            api.push(f"acme/app{number}", "v1", NOON, DIGESTS[1])
            api.push("acme/app", f"v{number}", NOON + timedelta(minutes=number), Digest.of(f"{number}".encode()))
        assert len(list(asked.list_repositories("acme"))) == 151
        assert len(list(asked.list_tags(app(api)))) == 150
        own = [replace(request, path=request.path.removeprefix(PREFIX)) for request in api.requests()]
        assert [GITHUB.check_request(request) for request in own] == [PACKAGES, PACKAGES, VERSIONS, VERSIONS]
        for path, url in ((PACKAGES, f"{PREFIX}/orgs/acme/packages"), (VERSIONS, ORG)):
            query, headers = {"package_type": "container"}, {"Authorization": f"Bearer {LOGIN.secret}"}
            answer = requests.get(f"{api.url}{url}", query, headers=headers, timeout=PATIENCE_SECONDS)
            GITHUB.check_answer(path, answer.content)


def test_pages_are_followed_by_their_numbers() -> None:
    """Links are those of another address, and name the owner by a number."""
    with GhcrApi(NOWHERE) as api, client(api, credentials=LOGIN) as asked:
        for number in range(250):
            api.push("acme/app", f"v{number}", NOON + timedelta(minutes=number), Digest.of(f"{number}".encode()))
        assert {entry.name for entry in asked.list_tags(app(api))} == {f"v{number}" for number in range(250)}
        seen = [(request.path, request.query) for request in api.requests()]
    assert seen == [
        (ORG, "per_page=100"),
        (ORG, "per_page=100&page=2"),
        (ORG, "per_page=100&page=3"),
    ]


def test_a_package_of_a_user_is_found_at_the_second_path_and_from_then_on_at_the_first() -> None:
    with GhcrApi(NOWHERE, users=["acme"]) as api, client(api, credentials=LOGIN) as asked:
        api.push("acme/app", "v1", NOON, DIGESTS[1])
        for _ in range(2):
            assert [entry.name for entry in asked.list_tags(app(api))] == ["v1"]
        assert [entry.name for entry in asked.list_repositories("acme")] == ["acme/app"]
        assert paths(api) == [ORG, USER, USER, f"{PREFIX}/users/acme/packages"]


def test_a_name_with_slashes_is_one_part_of_the_path() -> None:
    with GhcrApi(NOWHERE) as api, client(api, credentials=LOGIN) as asked:
        api.push("acme/charts/app", "v1", NOON, DIGESTS[1])
        assert [entry.name for entry in asked.list_tags(app(api, "acme/charts/app"))] == ["v1"]
        assert paths(api) == [f"{PREFIX}/orgs/acme/packages/container/charts%2Fapp/versions"]
        assert [entry.name for entry in asked.list_repositories("acme/charts")] == ["acme/charts/app"]


def test_all_tags_of_an_image_have_its_time_and_digest() -> None:
    with GhcrApi(NOWHERE) as api, client(api, credentials=LOGIN) as asked:
        for name in ("v1.2.3", "v1.2", "latest"):
            api.push("acme/app", name, NOON, DIGESTS[1])
        api.push("acme/app", None, NOON, DIGESTS[2])
        assert list(asked.list_tags(app(api))) == [
            ListedTag(name=name, digest=DIGESTS[1], pushed_at=NOON, is_image_time=True)
            for name in ("v1.2.3", "v1.2", "latest")
        ]
        assert len(api.requests()) == 1


def test_a_tag_moved_to_an_earlier_image_has_the_time_of_that() -> None:
    with GhcrApi(NOWHERE) as api, client(api, credentials=LOGIN) as asked:
        api.push("acme/app", "v1", NOON - timedelta(days=9), DIGESTS[1])
        api.push("acme/app", "v2", NOON, DIGESTS[2])
        api.push("acme/app", "latest", NOON, DIGESTS[2])
        api.push("acme/app", "latest", NOON, DIGESTS[1])
        earlier = NOON - timedelta(days=9)
        assert list(asked.list_tags(app(api), since=NOON - timedelta(hours=1))) == [
            ListedTag(name="v2", digest=DIGESTS[2], pushed_at=NOON, is_image_time=True),
            ListedTag(name="v1", digest=DIGESTS[1], pushed_at=earlier, is_image_time=True),
            ListedTag(name="latest", digest=DIGESTS[1], pushed_at=earlier, is_image_time=True),
        ]


def test_anonymous_users_list_names_and_the_api_is_not_asked(wire: Interceptor) -> None:
    wire.answer("GET", f"^{NAMES}$", 200, b'{"name": "acme/app", "tags": ["v1"]}')
    with client(wire) as asked:
        assert list(asked.list_tags(app(wire))) == [ListedTag(name="v1")]
        assert asked.notes(app(wire), is_changed=False) == ()
    assert paths(wire) == [NAMES]


@pytest.mark.parametrize("status", [401, 403, 404, 400])
def test_where_the_api_refuses_a_login_names_are_listed_and_a_note_says_why(wire: Interceptor, status: int) -> None:
    """Fine-grained tokens, and those of workflows, are taken by the registry and not by the API."""
    wire.answer("GET", f"^{PREFIX}/", status, b'{"message": "Resource not accessible"}')
    wire.answer("GET", "^/v2/$", 200)
    wire.answer("GET", f"^{NAMES}$", 200, b'{"name": "acme/app", "tags": ["v1"]}')
    with client(wire, credentials=LOGIN) as asked:
        assert list(asked.list_tags(app(wire))) == [ListedTag(name="v1")]
        notes = asked.notes(app(wire), is_changed=False)
    url = f"{wire.url}{USER if status == 404 else ORG}"
    denied = " (not permitted with these credentials, or it does not exist)" if status in (401, 403) else ""
    refusal = f"GET {url} answered {status} Resource not accessible{denied}"
    assert notes == (f"tags of {app(wire)} are listed without digests and times; {ADVICE} ({refusal})",)
    assert paths(wire) == [ORG, *([USER] if status == 404 else []), "/v2/", NAMES]


def test_a_package_that_does_not_exist_is_not_found_and_leaves_no_note(wire: Interceptor) -> None:
    wire.answer("GET", f"^{PREFIX}/", 404, b'{"message": "Package not found."}')
    wire.answer("GET", "^/v2/$", 200)
    wire.answer("GET", f"^{NAMES}$", 404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}')
    with client(wire, credentials=LOGIN) as asked:
        with pytest.raises(NotFound) as caught:
            list(asked.list_tags(app(wire)))
        assert asked.notes(app(wire), is_changed=False) == ()
    assert str(caught.value) == f"GET {wire.url}{NAMES} answered 404 NAME_UNKNOWN"


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("headers", [{"Retry-After": "120"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": ""}])
def test_a_rate_limit_is_no_denial(wire: Interceptor, status: int, headers: dict[str, str]) -> None:
    """Names would be listed at once, without a wait: then all rules about times would fail."""
    due = Due(timedelta(seconds=120))
    headers = {**headers, **({"X-RateLimit-Reset": str(int(due.earliest.timestamp()))} if len(headers) > 1 else {})}
    wire.answer("GET", f"^{ORG}$", status, b'{"message": "API rate limit exceeded for user ID 1."}', headers)
    with client(wire, credentials=LOGIN) as asked, pytest.raises(RateLimited) as caught:
        list(asked.list_tags(app(wire)))
    assert str(caught.value) == f"GET {wire.url}{ORG} answered {status} API rate limit exceeded for user ID 1."
    assert due.is_at(caught.value.retry_at)
    assert paths(wire) == [ORG]


@pytest.mark.parametrize(
    "body",
    [b"{}", b"null", b'["v1"]', b'[{"id": 1}]', b'[{"name": null}]', b'{"message": "Server Error"}'],
)
def test_an_answer_that_is_no_list_is_no_empty_list(wire: Interceptor, body: bytes) -> None:
    wire.answer("GET", f"^{ORG}$", 200, body)
    with client(wire, credentials=LOGIN) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(app(wire)))
    assert str(caught.value) == f"{wire.url}{ORG} answered 200 without a list"


@pytest.mark.parametrize(
    "metadata", [None, {}, {"container": None}, {"container": {"tags": None}}, {"container": {"tags": [1]}}]
)
def test_a_version_that_does_not_tell_its_tags_is_no_version_without_tags(wire: Interceptor, metadata: Any) -> None:
    wire.answer("GET", f"^{ORG}$", 200, items(version(1, metadata=metadata)))
    with client(wire, credentials=LOGIN) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(app(wire)))
    assert str(caught.value) == f"GitHub returned a version without a list of tags: {str(DIGESTS[1])!r}"


def next_page(number: int) -> dict[str, str]:
    return {"Link": f'<https://api.github.com{ORG}?per_page=100&page={number}>; rel="next"'}


def test_a_push_while_pages_are_read_is_found(wire: Interceptor) -> None:
    """It moves the last version of the first page to the second."""
    wire.answer("GET", f"^{ORG}$", 200, items(version(2, "v2"), version(1, "v1")), next_page(2), times=1)
    wire.answer("GET", f"^{ORG}$", 200, items(version(1, "v1"), version(0, "v0")), times=1)
    wire.answer("GET", f"^{ORG}$", 200, items(version(3, "v3"), version(2, "v2")), next_page(2))
    with client(wire, credentials=LOGIN) as asked:
        assert [entry.name for entry in asked.list_tags(app(wire))] == ["v2", "v1", "v0", "v3"]
    assert len(wire.requests()) == 3


def test_pages_that_repeat_themselves_end(wire: Interceptor) -> None:
    for number in range(2, 9):
        wire.answer("GET", f"^{ORG}$", 200, items(version(1)), next_page(number), times=1)
    with client(wire, credentials=LOGIN) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(app(wire)))
    assert str(caught.value) == f"{wire.url}{ORG}: the listing of versions repeats itself"


def test_a_page_that_is_denied_after_others_ends_the_listing(wire: Interceptor) -> None:
    wire.answer("GET", f"^{ORG}$", 200, items(version(1, "v1")), next_page(2), times=1)
    wire.answer("GET", f"^{ORG}$", 403, b'{"message": "Forbidden"}')
    with (
        client(wire, credentials=LOGIN) as asked,
        pytest.raises(DeniedError, match=r"^page 2 of a listing cannot be read"),
    ):
        list(asked.list_tags(app(wire)))
    assert paths(wire) == [ORG, ORG]


def test_private_and_internal_packages_need_include_private() -> None:
    with GhcrApi(NOWHERE) as api, client(api, credentials=LOGIN) as asked:
        for visibility in ("public", "private", "internal"):
            api.add(f"acme/{visibility}", visibility=visibility)
        assert list(asked.list_repositories("acme")) == [ListedRepository(name="acme/public", is_private=False)]
        listed = {entry.name: entry.is_private for entry in asked.list_repositories("acme", include_private=True)}
        assert listed == {"acme/public": False, "acme/private": True, "acme/internal": True}


@pytest.mark.parametrize("visibilities", [["private", "internal"], []])
def test_a_namespace_without_a_package_to_see_is_explained(visibilities: list[str]) -> None:
    with GhcrApi(NOWHERE) as api, client(api, credentials=LOGIN) as asked:
        api.add("acme/other/app", visibility="public")
        for visibility in visibilities:
            api.add(f"acme/charts/{visibility}", visibility=visibility)
        with pytest.raises(ConfigurationError) as caught:
            list(asked.list_repositories("acme/charts"))
        problem = (
            "public package, and 2 private ones; write include_private: true to mirror those"
            if visibilities
            else "container package that we may see; check its name, and the access of the token's user to them"
        )
        assert str(caught.value) == f"namespace 'acme/charts' of {api.host} has no {problem}"


def test_a_namespace_needs_a_login(wire: Interceptor) -> None:
    with client(wire) as asked, pytest.raises(ConfigurationError) as caught:
        list(asked.list_repositories("acme"))
    assert str(caught.value) == (
        f"{wire.host} lists packages only to a login; use a classic personal access token with read:packages as "
        "password, or write the repositories of 'acme' one by one"
    )
    assert wire.requests() == []


def test_a_token_that_may_not_list_packages(wire: Interceptor) -> None:
    """GitHub answers 400 to the token of a workflow: https://github.com/cli/cli/issues/9606."""
    wire.answer("GET", f"^{PREFIX}/orgs/acme/packages$", 400, b'{"message": "Invalid argument."}')
    with client(wire, credentials=LOGIN) as asked, pytest.raises(ConfigurationError) as caught:
        list(asked.list_repositories("acme"))
    assert str(caught.value) == (
        f"{wire.host} does not list the packages of 'acme'; use a classic personal access token with read:packages as "
        "password, or write the repositories of 'acme' one by one (GET "
        f"{wire.url}{PREFIX}/orgs/acme/packages answered 400 Invalid argument.)"
    )


class TestDeletion:
    """GitHub deletes images with all their tags. ``sync/pruning`` decides whether another tag needs the image."""

    def test_a_tag_alone_is_refused_without_a_request(self, wire: Interceptor) -> None:
        with client(wire, credentials=LOGIN) as asked, pytest.raises(RefusedError) as caught:
            asked.delete_tag(app(wire), "v1")
        assert str(caught.value) == f"GitHub deletes images with all their tags, and not {app(wire)}:v1 alone"
        assert wire.requests() == []

    @pytest.mark.parametrize("is_listed", [True, False])
    def test_an_image_is_deleted_by_the_number_of_its_version(self, *, is_listed: bool) -> None:
        content = images.multi_arch("app")
        with RegistryProcess() as registry, GhcrApi(registry.url) as api, client(api, credentials=LOGIN) as asked:
            images.push(registry.url, "acme/app", "v1", content)
            api.push("acme/app", "v1", NOON, content.digest)
            api.push("acme/app", "v2", NOON, DIGESTS[2])
            if is_listed:
                list(asked.list_tags(app(api)))
            api.clear_requests()
            asked.delete_image(app(api), "v1", content.digest)
            assert api.tags("acme/app") == {"v2"}
            seen = [(request.method, request.path, request.status) for request in api.requests()]
        head = [("GET", "/v2/", 200), ("HEAD", "/v2/acme/app/manifests/v1", 200)]
        listing = [] if is_listed else [("GET", ORG, 200)]
        assert seen == [*head, *listing, ("DELETE", f"{ORG}/1000", 204)]

    def test_the_last_tagged_version_of_a_package_stays(self) -> None:
        content = images.multi_arch("app")
        with RegistryProcess() as registry, GhcrApi(registry.url) as api, client(api, credentials=LOGIN) as asked:
            images.push(registry.url, "acme/app", "v1", content)
            api.push("acme/app", "v1", NOON, content.digest)
            with pytest.raises(RefusedError) as caught:
                asked.delete_image(app(api), "v1", content.digest)
        assert str(caught.value) == (
            f"DELETE {api.url}{ORG}/1000 answered 400 You cannot delete the last tagged version of a package. You must "
            "delete the package."
        )

    def test_an_image_that_the_api_does_not_list_is_not_deleted(self, wire: Interceptor) -> None:
        wire.answer("GET", "^/v2/$", 200)
        wire.answer("HEAD", "/manifests/v1$", 200, headers={"Docker-Content-Digest": str(DIGESTS[1])})
        wire.answer("GET", f"^{PREFIX}/", 403, b'{"message": "Forbidden"}')
        with client(wire, credentials=LOGIN) as asked, pytest.raises(DeniedError) as caught:
            asked.delete_image(app(wire), "v1", DIGESTS[1])
        assert str(caught.value) == (
            f"{app(wire)}: GitHub does not list its versions, so none can be deleted (GET {wire.url}{ORG} answered 403 "
            "Forbidden (not permitted with these credentials, or it does not exist))"
        )

    def test_deletion_needs_a_login(self, wire: Interceptor) -> None:
        wire.answer("HEAD", "/manifests/v1$", 200, headers={"Docker-Content-Digest": str(DIGESTS[1])})
        with client(wire) as asked, pytest.raises(DeniedError) as caught:
            asked.delete_image(app(wire), "v1", DIGESTS[1])
        assert str(caught.value) == (
            f"deleting tags at {wire.host} needs a classic personal access token with delete:packages"
        )


@pytest.mark.parametrize(
    ("host", "url", "path"),
    [
        ("ghcr.io", GITHUB.document["servers"][0]["url"], ""),
        ("containers.acme.ghe.com", "https://api.acme.ghe.com", ""),
        ("containers.github.example", "https://github.example", "/api/v3"),
        ("containers.github.example:8443", "https://github.example:8443", "/api/v3"),
    ],
)
def test_the_address_of_the_api_follows_from_the_host(host: str, url: str, path: str) -> None:
    assert (api_url_of(host), api_path(url)) == (url, path)


def test_a_host_that_names_no_api_is_its_api(wire: Interceptor) -> None:
    assert api_url_of(wire.host) is None
    wire.answer("GET", f"^{ORG}$", 200, items(version(1, "v1")))
    with client(wire, credentials=LOGIN) as asked:
        assert [entry.name for entry in asked.list_tags(app(wire))] == ["v1"]


def test_an_api_at_another_address_is_used(wire: Interceptor) -> None:
    with Interceptor(NOWHERE) as api, client(wire, credentials=LOGIN, api_url=api.url) as asked:
        api.answer("GET", f"^{ORG}$", 200, items(version(1, "v1")))
        assert [entry.name for entry in asked.list_tags(app(wire))] == ["v1"]
        assert (len(api.requests()), len(wire.requests())) == (1, 0)


def test_what_listing_costs() -> None:
    """A request per hundred images, platforms included; where the API is closed, a HEAD for each tag follows."""
    with GhcrApi(NOWHERE) as api, client(api, credentials=LOGIN) as asked:
        for number in range(100):
            for part in ("index", "amd64", "arm64"):
                tag = f"v{number}" if part == "index" else None
                api.push("acme/app", tag, NOON, Digest.of(f"{number} {part}".encode()))
        assert len(list(asked.list_tags(app(api)))) == 100
        assert len(api.requests()) == 3
