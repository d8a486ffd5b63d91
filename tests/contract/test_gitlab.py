"""The client against the APIs that GitLab describes, and against a stand-in that follows them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import requests

from registry_sync.errors import ConfigurationError, DeniedError, LockedTag, NotFound, TemporaryError
from registry_sync.oci.manifest import parse_manifest
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.vendors.gitlab import GitlabClient
from testkit import images
from testkit.clients import connect
from testkit.gitlab_api import GitlabApi
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.registry import RegistryProcess
from testkit.token_server import TokenServer
from testkit.waiting import PATIENCE_SECONDS
from tests.contract.openapi import OpenApi

GITLAB = OpenApi("gitlab.json")
LISTING = "/gitlab/v1/repositories/{path}/tags/list/"
NAME = "group/project/image"
TAGS, NAMES = f"/gitlab/v1/repositories/{NAME}/tags/list/", f"/v2/{NAME}/tags/list"
LOGIN = Credentials(username="mirror", secret="glpat-secret")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DIGESTS = [Digest.of(str(number).encode()) for number in range(10)]
NOWHERE = "http://127.0.0.1:1"
client = partial(connect, GitlabClient)


def image(server: Interceptor) -> Repository:
    return Repository(server.host, NAME)


def row(name: str, digest: Digest = DIGESTS[1], **times: str) -> dict[str, Any]:
    return {"name": name, "digest": str(digest), "media_type": "m", "size_bytes": 1, **times}


def seen(server: Interceptor) -> list[tuple[str, str]]:
    return [(request.path, request.query) for request in server.requests()]


def fill(api: GitlabApi, count: int) -> list[str]:
    """Push tags an hour apart, the last one at noon."""
    names = [f"v{number:04}" for number in range(count)]
    for number, name in enumerate(names, start=1):
        api.push(NAME, name, NOON - timedelta(hours=count - number), DIGESTS[number % 10])
    return names


def test_tags_with_digests_and_times(wire: Interceptor) -> None:
    """A time is that of the last move. Older registries lack ``published_at``."""
    body = json.dumps(
        [
            row("both", created_at="2022-06-07T12:11:13.633Z", updated_at="2026-11-23T12:00:00.000Z"),
            row("new", created_at="2022-06-07T12:11:13.633Z", published_at="2026-11-23T12:00:00.000Z"),
            row("once", created_at="2026-11-23T12:00:00.000Z"),
        ]
    ).encode()
    GITLAB.check_answer(LISTING, body)
    wire.answer("GET", f"^{TAGS}$", 200, body)
    with client(wire) as asked:
        assert list(asked.list_tags(image(wire))) == [
            ListedTag(name=name, digest=DIGESTS[1], pushed_at=NOON) for name in ("both", "new", "once")
        ]
    assert seen(wire) == [(TAGS, "n=1000")]


def test_a_listing_takes_a_request_per_thousand_tags_and_one_for_a_window() -> None:
    with GitlabApi(NOWHERE) as api, client(api) as asked:
        names = fill(api, 1500)
        assert [entry.name for entry in asked.list_tags(image(api))] == names
        assert seen(api) == [(TAGS, "n=1000"), (TAGS, "n=1000&last=v0999")]
        api.clear_requests()
        listed = [entry.name for entry in asked.list_tags(image(api), since=NOON - timedelta(hours=5))]
        assert (listed, seen(api)) == (names[:1399:-1], [(TAGS, "n=100&sort=-published_at")])


def test_a_tag_that_moved_to_an_earlier_image_is_in_the_window() -> None:
    with GitlabApi(NOWHERE) as api, client(api) as asked:
        fill(api, 150)
        api.push(NAME, "v0000", NOON, DIGESTS[1])
        first = next(iter(asked.list_tags(image(api), since=NOON - timedelta(hours=5))))
    assert first.pushed_at == NOON


def test_a_window_over_several_pages_follows_the_order_by_time() -> None:
    with GitlabApi(NOWHERE) as api, client(api) as asked:
        names = fill(api, 250)
        since = NOON - timedelta(hours=120)
        assert [entry.name for entry in asked.list_tags(image(api), since=since)] == names[:49:-1]
        assert all("sort=-published_at" in query for _, query in seen(api))


def test_a_registry_that_does_not_sort_is_read_whole() -> None:
    with GitlabApi(NOWHERE, sorts=False) as api, client(api) as asked:
        names = fill(api, 150)
        assert [entry.name for entry in asked.list_tags(image(api), since=NOON - timedelta(hours=5))] == names
        assert seen(api) == [(TAGS, "n=100&sort=-published_at"), (TAGS, "n=1000")]


def test_our_requests_and_the_stand_in_are_what_the_description_says() -> None:
    with GitlabApi(NOWHERE, tokens=[LOGIN.secret]) as api, client(api, credentials=LOGIN, api_url=api.url) as asked:
        fill(api, 150)
        api.add_project("group/project")
        api.answer("GET", "^/v2/$", 200)
        list(asked.list_tags(image(api), since=NOON - timedelta(hours=500)))
        list(asked.list_repositories("group"))
        list(asked.list_repositories("group/project"))
        calls = [request for request in api.requests() if not request.path.startswith("/v2/")]
        templates = [GITLAB.check_request(_as_one_part(request)) for request in calls]
        headers = {"Authorization": f"Bearer {LOGIN.secret}"}
        for request, template in zip(calls, templates, strict=True):
            answer = requests.get(f"{api.url}{request.path}?{request.query}", headers=headers, timeout=PATIENCE_SECONDS)
            if answer.status_code == 200:
                GITLAB.check_answer(template, answer.content)
    groups, projects = "/api/v4/groups/{id}", "/api/v4/projects/{id}"
    repositories = "registry/repositories"
    assert templates == [
        *[LISTING] * 4,
        *(f"{groups}/{repositories}", f"{groups}/projects"),
        *(f"{groups}/{repositories}", f"{projects}/{repositories}", projects),
    ]


def _as_one_part(request: Request) -> Request:
    return Request(method=request.method, path=request.path.replace(NAME, "name"), query=request.query, status=200)


@pytest.mark.parametrize("status", [404, 403, 400, 405])
def test_without_a_metadata_database_names_are_listed(wire: Interceptor, status: int) -> None:
    wire.answer("GET", f"^{TAGS}$", status)
    wire.answer("GET", f"^{NAMES}$", 200, b'{"tags": ["v1"]}')
    with client(wire) as asked:
        assert list(asked.list_tags(image(wire))) == [ListedTag(name="v1")]
    assert [path for path, _ in seen(wire)] == [TAGS, NAMES]


def test_a_web_page_in_place_of_the_listing_is_none(wire: Interceptor) -> None:
    """A proxy may send only ``/v2`` to the registry, and all else to GitLab, which shows a page to log in."""
    wire.answer("GET", f"^{TAGS}$", 200, b"<!DOCTYPE html><title>Sign in</title>")
    wire.answer("GET", f"^{NAMES}$", 200, b'{"tags": ["v1"]}')
    with client(wire) as asked:
        assert list(asked.list_tags(image(wire))) == [ListedTag(name="v1")]


def test_a_missing_repository_is_not_found(wire: Interceptor) -> None:
    for path in (TAGS, NAMES):
        wire.answer("GET", f"^{path}$", 404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}')
    with client(wire) as asked, pytest.raises(NotFound) as caught:
        list(asked.list_tags(image(wire)))
    assert str(caught.value) == f"GET {wire.url}{NAMES} answered 404 NAME_UNKNOWN"


@pytest.mark.parametrize("body", [b"{}", b"null", b'["v1"]', b'[{"digest": "sha256:"}]'])
def test_an_answer_that_is_no_list_is_no_empty_list(wire: Interceptor, body: bytes) -> None:
    wire.answer("GET", f"^{TAGS}$", 200, body)
    with client(wire) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(image(wire)))
    assert str(caught.value) == f"{wire.url}{TAGS} answered 200 without a list"


def test_a_page_that_is_denied_after_others_ends_the_listing(wire: Interceptor) -> None:
    wire.answer("GET", f"^{TAGS}$", 200, json.dumps([row("v1")]).encode(), {"Link": '<?last=v1>; rel="next"'}, times=1)
    wire.answer("GET", f"^{TAGS}$", 403)
    with client(wire) as asked, pytest.raises(DeniedError, match=r"^page 2 of a listing cannot be read"):
        list(asked.list_tags(image(wire)))
    assert [path for path, _ in seen(wire)] == [TAGS, TAGS]


def test_a_token_of_another_host_than_the_registry_is_used_for_both_listings() -> None:
    """GitLab issues the tokens of its registry, at ``/jwt/auth`` of its own host."""
    content = images.multi_arch("one")
    with (
        TokenServer({LOGIN.username: LOGIN.secret}, grants={LOGIN.username: {"*": ("pull",)}}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as registry,
        GitlabApi(registry.url) as api,
        client(api, credentials=LOGIN) as asked,
    ):
        api.push(NAME, "v1", NOON, content.digest)
        assert [entry.name for entry in asked.list_tags(image(api))] == ["v1"]
        assert asked.head_manifest(image(api), "v2") is None
        assert [scope for request in tokens.requests() for scope in request.scopes] == [f"repository:{NAME}:pull"]


def test_a_rejected_login_does_not_fall_back_to_names() -> None:
    with (
        TokenServer({LOGIN.username: "another"}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as registry,
        GitlabApi(registry.url) as api,
        client(api, credentials=LOGIN) as asked,
    ):
        with pytest.raises(DeniedError, match="rejects the login of 'mirror'"):
            list(asked.list_tags(image(api)))
        assert [request.path for request in api.requests()] == ["/v2/"]


@pytest.mark.parametrize("word", ["protected", "immutable"])
def test_a_tag_that_gitlab_protects_is_locked_and_not_a_rejected_login(word: str) -> None:
    """GitLab's registry answers 401 for it, to a login that it has accepted."""
    detail = f'tag "v1" is {word}'
    body = json.dumps({"errors": [{"code": "X", "message": "m", "detail": detail}]}).encode()
    with (
        TokenServer({LOGIN.username: LOGIN.secret}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as registry,
        GitlabApi(registry.url) as api,
        client(api, credentials=LOGIN) as asked,
    ):
        for method in ("PUT", "DELETE"):
            api.answer(method, f"^/v2/{NAME}/manifests/v1$", 401, body)
        content = images.image([])
        manifest = parse_manifest(content.content, content.media_type)
        for method, call in (
            ("PUT", partial(asked.put_manifest, image(api), "v1", manifest)),
            ("DELETE", partial(asked.delete_tag, image(api), "v1")),
        ):
            with pytest.raises(LockedTag) as caught:
                call()
            assert str(caught.value) == f"{method} {api.url}/v2/{NAME}/manifests/v1 answered 401 X: m: " + json.dumps(
                detail
            )


class TestNamespaces:
    def names(self, api: GitlabApi, namespace: str, login: Credentials | None = LOGIN, **options: bool) -> list[str]:
        with client(api, credentials=login, api_url=api.url) as asked:
            return [entry.name for entry in asked.list_repositories(namespace, **options)]

    def api(self) -> GitlabApi:
        """A group with a public project, a private one, and one that shows its registry to members only."""
        api = GitlabApi(NOWHERE, tokens=[LOGIN.secret])
        api.add_project("group/open")
        api.add_project("group/sub/open")
        api.add_project("group/closed", visibility="private")
        api.add_project("group/members", registry_access="private")
        for name in ("open", "open/image", "open/image/deep", "sub/open/image", "closed/image", "members/image"):
            api.push(f"group/{name}", "v1", NOON, DIGESTS[1])
        return api

    def test_a_group_has_the_repositories_of_its_public_projects_and_subgroups(self) -> None:
        with self.api() as api:
            public = ["group/open", "group/open/image", "group/open/image/deep", "group/sub/open/image"]
            assert self.names(api, "group") == public
            assert self.names(api, "group/sub") == ["group/sub/open/image"]

    def test_private_projects_and_registries_of_members_need_include_private(self) -> None:
        with self.api() as api:
            names = self.names(api, "group", include_private=True)
            assert {"group/closed/image", "group/members/image"} <= set(names)
            assert len(names) == 6

    @pytest.mark.parametrize("login", [None, LOGIN])
    def test_a_public_project_is_listed_to_everybody(self, login: Credentials | None) -> None:
        """The project's own image is not in the namespace of the same name."""
        with self.api() as api:
            if login is None:
                api.answer("GET", "/groups/", 404)
            assert self.names(api, "group/open", login) == ["group/open/image", "group/open/image/deep"]

    def test_is_private_is_told_where_it_is_asked_for(self) -> None:
        with self.api() as api, client(api, credentials=LOGIN, api_url=api.url) as asked:
            assert list(asked.list_repositories("group/sub")) == [
                ListedRepository(name="group/sub/open/image", is_private=False)
            ]
            assert list(asked.list_repositories("group/sub", include_private=True)) == [
                ListedRepository(name="group/sub/open/image")
            ]

    def test_only_private_ones_are_explained(self) -> None:
        with self.api() as api, pytest.raises(ConfigurationError) as caught:
            self.names(api, "group/closed")
        assert str(caught.value) == (
            f"namespace 'group/closed' of {api.host} has no public repository, and 1 private ones; write "
            "include_private: true to mirror those"
        )

    def test_pages_are_followed(self) -> None:
        with GitlabApi(NOWHERE, tokens=[LOGIN.secret]) as api:
            for number in range(250):
                api.add_project(f"group/p{number:03}")
                api.push(f"group/p{number:03}/image", "v1", NOON, DIGESTS[1])
            assert len(self.names(api, "group")) == 250
            assert len(api.requests()) == 6

    def test_a_group_needs_a_role(self) -> None:
        with self.api() as api:
            with pytest.raises(ConfigurationError) as caught:
                self.names(api, "group", None)
            assert str(caught.value) == (
                f"{api.url} does not list the repositories of 'group'; use an access token with the scopes read_api "
                "and read_registry and the role Reporter, or write them one by one (GET "
                f"{api.url}/api/v4/groups/group/registry/repositories answered 403 403 Forbidden (not permitted with "
                "these credentials, or it does not exist))"
            )

    @pytest.mark.parametrize("missing", ["visibility", "container_registry_access_level"])
    def test_what_gitlab_does_not_tell_is_not_public(self, wire: Interceptor, missing: str) -> None:
        project = {"id": 1, "visibility": "public", "container_registry_access_level": "enabled"}
        del project[missing]
        wire.answer("GET", "/registry/repositories$", 200, b'[{"path": "group/a/b", "project_id": 1}]')
        wire.answer("GET", "/projects$", 200, json.dumps([project]).encode())
        with client(wire, api_url=wire.url) as asked, pytest.raises(ConfigurationError, match="1 private ones"):
            list(asked.list_repositories("group"))

    def test_a_registry_of_an_unknown_gitlab_sends_no_token_to_a_guess(self, wire: Interceptor) -> None:
        with client(wire, credentials=LOGIN) as asked, pytest.raises(ConfigurationError) as caught:
            list(asked.list_repositories("group"))
        assert str(caught.value) == (
            f"{wire.host} does not name the GitLab that it belongs to; write its address as api_url, or write the "
            "repositories of 'group' one by one"
        )
        assert wire.requests() == []
