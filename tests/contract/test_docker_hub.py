"""The client against recorded responses of Docker Hub, and against Docker's definition of its API.

The definition has mistakes (listed at the top of ``docker-hub.yaml``), so answers are not checked against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RateLimited, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.vendors.docker_hub import API_URL, DockerHubClient
from testkit.docker_hub_api import DockerHubApi
from testkit.interceptor import Interceptor
from testkit.times import Due
from tests.contract.openapi import OpenApi
from tests.contract.recorded import Exchange, load_exchanges, requests_of, serve

RECORDED = load_exchanges("docker_hub.json")
HUB = OpenApi("docker-hub.yaml")
REPOSITORIES = "/v2/namespaces/{namespace}/repositories"
TAGS = "/v2/namespaces/{namespace}/repositories/{repository}/tags"
DEBIAN_TAGS, WIDGET_TAGS = (
    f"/v2/namespaces/{each}/tags" for each in ("library/repositories/busybox", "a/repositories/b")
)
LOGIN = "/v2/auth/token"
ROBOT = Credentials(username="acme", secret="dckr_pat_secret")
DEBIAN = Digest.parse("sha256:2ae17aff4c3c8cdb2d3d9c885d7c59ad518bffc89e8351598ff1f3f918183b7c")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@contextmanager
def client(server: Interceptor, credentials: Credentials | None = None) -> Iterator[DockerHubClient]:
    endpoint = Endpoint(host=server.host, tls=False, credentials=credentials)
    with closing(DockerHubClient(endpoint, api_url=server.url)) as opened:
        yield opened


def at(path: str, name: str, **changes: Any) -> Exchange:
    """A recorded response under the current path. The recording used an older path."""
    return {"headers": {}, **RECORDED[name], "request": {"method": "GET", "path": path}, **changes}


def page(rows: list[Mapping[str, Any]], following: str | None = None) -> dict[str, Any]:
    return {"count": len(rows), "next": following, "previous": None, "results": rows}


def test_tags_with_digest_and_time() -> None:
    body = {**RECORDED["tags_page"]["body"], "next": None}
    with serve(at(DEBIAN_TAGS, "tags_page", body=body)) as server, client(server) as asked:
        entries = list(asked.list_tags(Repository(server.host, "library/busybox")))
        assert requests_of(server) == [f"{DEBIAN_TAGS}?page_size=100"]
    assert entries == [
        ListedTag(name="unstable-slim", digest=DEBIAN, pushed_at=datetime(2023, 6, 13, 4, 58, 31, 821511, tzinfo=UTC)),
        ListedTag(
            name="unstable-20230612-slim",
            digest=DEBIAN,
            pushed_at=datetime(2023, 6, 13, 4, 58, 26, 736918, tzinfo=UTC),
        ),
    ]


def test_a_next_page_on_another_host_is_read_on_our_own() -> None:
    last = at(DEBIAN_TAGS, "tags_page", body=page([{"name": "old", "last_updated": None}]))
    with serve(at(DEBIAN_TAGS, "tags_page"), last) as server, client(server) as asked:
        names = [entry.name for entry in asked.list_tags(Repository(server.host, "library/busybox"))]
        assert requests_of(server) == [f"{DEBIAN_TAGS}?page_size=100", f"{DEBIAN_TAGS}?page=2&page_size=2"]
    assert names == ["unstable-slim", "unstable-20230612-slim", "old"]


@pytest.mark.parametrize("count", [2, 3])
def test_a_page_beyond_the_end_is_the_end_when_all_were_seen(count: int) -> None:
    body = {**RECORDED["tags_page"]["body"], "count": count, "next": f"{DEBIAN_TAGS}?page=2&page_size=100"}
    first = at(DEBIAN_TAGS, "tags_page", body=body)
    with serve(first, at(DEBIAN_TAGS, "tags_page_beyond_end"), first) as server, client(server) as asked:
        listing = asked.list_tags(Repository(server.host, "library/busybox"))
        if count == 2:
            assert len(list(listing)) == 2
        else:
            with pytest.raises(TemporaryError, match=r"^a page of 3 entries is missing after 2 of them: "):
                list(listing)
        pages = [f"{DEBIAN_TAGS}?page_size=100", f"{DEBIAN_TAGS}?page=2&page_size=100"]
        assert requests_of(server) == [*pages, pages[0]]


@pytest.mark.parametrize("credentials", [None, ROBOT])
def test_a_repository_that_is_private_or_missing(credentials: Credentials | None) -> None:
    login = {"request": {"method": "POST", "path": LOGIN}, "status": 200, "body": {"access_token": "t"}}
    with serve(at(WIDGET_TAGS, "tags_private_or_missing_repo"), login) as server, client(server, credentials) as asked:
        with pytest.raises(NotFound) as caught:
            list(asked.list_tags(Repository(server.host, "a/b")))
        assert str(caught.value) == (
            f"{server.host}/a/b is missing or not permitted (GET {server.url}{WIDGET_TAGS} answered 404 httperror 404: "
            "object not found)"
        )


def test_a_namespace_without_a_repository_to_see() -> None:
    with serve(RECORDED["namespace_missing"]) as server, client(server) as asked:
        with pytest.raises(ConfigurationError) as caught:
            list(asked.list_repositories("nosuchnamespace"))
        assert str(caught.value) == (
            f"namespace 'nosuchnamespace' of {server.host} has no repository that we may see; check its name, and that "
            "its repositories are public or ours"
        )


def test_a_wrong_password_is_refused() -> None:
    answer = {**RECORDED["login_bad_credentials"], "request": {"method": "POST", "path": LOGIN}}
    with serve(answer) as server, client(server, ROBOT) as asked, pytest.raises(DeniedError) as caught:
        list(asked.list_tags(Repository(server.host, "a/b")))
    assert str(caught.value) == (
        f"{server.url} rejects the login of 'acme': POST {server.url}/v2/auth/token answered 401 Incorrect "
        "authentication credentials"
    )


def test_a_log_in_without_a_token() -> None:
    answer = {"request": {"method": "POST", "path": LOGIN}, "status": 200, "body": {"detail": "2FA"}}
    with serve(answer) as server, client(server, ROBOT) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(Repository(server.host, "a/b")))
    assert str(caught.value) == f"{server.url} answered without a token for 'acme'"


def test_the_example_of_a_repository_list() -> None:
    example = json.loads(HUB.example(REPOSITORIES))
    body = json.dumps({**example, "next": None})
    exchange = {"request": {"method": "GET", "path": "/v2/namespaces/docker/repositories"}, "status": 200, "body": body}
    with serve(exchange) as server, client(server) as asked:
        assert list(asked.list_repositories("docker")) == [
            ListedRepository(
                name="docker/highland_builder",
                modified_at=datetime(2023, 6, 20, 10, 44, 45, 459826, tzinfo=UTC),
                is_private=False,
            ),
            ListedRepository(
                name="docker/whalesay",
                modified_at=datetime(2015, 6, 19, 19, 6, 27, 388123, tzinfo=UTC),
                is_private=False,
            ),
        ]


def test_the_example_of_a_tag_is_read() -> None:
    """The definition omits the digest, which Hub sends."""
    row = {**HUB.example_of("tag"), "name": "v1"}
    with serve(at(WIDGET_TAGS, "tags_page", body=page([row]))) as server, client(server) as asked:
        assert list(asked.list_tags(Repository(server.host, "a/b"))) == [
            ListedTag(name="v1", pushed_at=datetime(2021, 1, 5, 21, 6, 53, 506400, tzinfo=UTC))
        ]


def test_the_example_of_a_token_is_used() -> None:
    login = {
        "request": {"method": "POST", "path": LOGIN},
        "status": 200,
        "body": HUB.example_of("AuthCreateTokenResponse"),
    }
    with serve(login, at(WIDGET_TAGS, "tags_page", body=page([]))) as server, client(server, ROBOT) as asked:
        list(asked.list_tags(Repository(server.host, "a/b")))
        list(asked.list_tags(Repository(server.host, "a/b")))
        assert requests_of(server) == [LOGIN] + [f"{WIDGET_TAGS}?page_size=100"] * 2


@pytest.mark.parametrize(
    ("row", "entry"),
    [
        ({"digest": None, "tag_last_pushed": None, "last_updated": None}, ListedTag(name="v1")),
        ({"tag_last_pushed": None, "last_updated": "2026-11-23T12:00:00Z"}, ListedTag(name="v1", pushed_at=NOON)),
        ({"tag_last_pushed": "0001-01-01T00:00:00Z", "digest": ""}, ListedTag(name="v1")),
        ({"tag_last_pushed": "2026-11-23T12:00:00Z", "last_updated": None}, ListedTag(name="v1", pushed_at=NOON)),
    ],
)
def test_a_field_that_is_unknown(row: Mapping[str, Any], entry: ListedTag) -> None:
    with serve(at(WIDGET_TAGS, "tags_page", body=page([{"name": "v1", **row}]))) as server, client(server) as asked:
        assert list(asked.list_tags(Repository(server.host, "a/b"))) == [entry]


@pytest.mark.parametrize("body", ["[]", "{}", '{"results": {}}', '{"results": [{"digest": "sha256:"}]}', "<html>"])
def test_an_answer_that_is_no_list_is_no_empty_list(body: str) -> None:
    with serve(at(WIDGET_TAGS, "tags_page", body=body)) as server, client(server) as asked:
        with pytest.raises(TemporaryError) as caught:
            list(asked.list_tags(Repository(server.host, "a/b")))
        problem = "with no type, not JSON" if body == "<html>" else "without a list of results"
        assert str(caught.value) == f"{server.url}{WIDGET_TAGS} answered 200 {problem}"


@pytest.mark.parametrize("case", ["rate_limited_current_docs", "rate_limited_older_docs", "reset"])
def test_a_wait_in_each_of_its_forms(case: str) -> None:
    due = Due(timedelta(minutes=20))
    unix = str(int(due.earliest.timestamp()))
    values = {"Retry-After": "1200", "X-Retry-After": unix, "X-RateLimit-Reset": unix}
    names = RECORDED[case]["headers"] if case in RECORDED else ["X-RateLimit-Reset"]
    headers = {name: values[name] for name in names}
    answer = at(WIDGET_TAGS, "tags_page", status=429, headers=headers, body='{"detail": "Rate limit exceeded"}')
    with serve(answer) as server, client(server) as asked, pytest.raises(RateLimited) as caught:
        list(asked.list_tags(Repository(server.host, "a/b")))
    assert str(caught.value) == f"GET {server.url}{WIDGET_TAGS} answered 429 Rate limit exceeded"
    assert due.is_at(caught.value.retry_at)


def test_our_requests_are_what_the_definition_takes() -> None:
    with DockerHubApi("http://127.0.0.1:1", users={"acme": ROBOT.secret}) as api, client(api, ROBOT) as asked:
        for number in range(150):
            api.push(f"acme/app{number}", "v1", NOON, DEBIAN)
            api.push("acme/app", f"v{number}", NOON + timedelta(minutes=number), DEBIAN)
        list(asked.list_repositories("acme", include_private=True))
        list(asked.list_tags(Repository(api.host, "acme/app")))
        checked = [HUB.check_request(request) for request in api.requests()]
        for login in api.logins:
            HUB.check_body(LOGIN, login)
    assert checked == [LOGIN, REPOSITORIES, REPOSITORIES, TAGS, TAGS]
    assert api.logins == [{"identifier": "acme", "secret": ROBOT.secret}]


def test_what_creates_a_repository_is_what_the_definition_takes() -> None:
    with DockerHubApi("http://127.0.0.1:1", users={"acme": ROBOT.secret}) as api, client(api, ROBOT) as asked:
        asked.create_repository(Repository(api.host, "acme/app"))
        checked = [HUB.check_request(request) for request in api.requests()]
        HUB.check_body(REPOSITORIES, api.created[0])
    assert checked == [LOGIN, f"{REPOSITORIES}/{{repository}}", REPOSITORIES]
    assert api.created == [{"namespace": "acme", "name": "app", "registry": "docker.io", "is_private": False}]


def test_the_api_is_where_the_definition_says() -> None:
    assert [server["url"] for server in HUB.document["servers"]] == [API_URL]
