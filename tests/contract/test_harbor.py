"""The client against Harbor's API definition, and against behaviour found in its source."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.vendors.harbor import HarborClient
from testkit.clients import connect
from testkit.interceptor import Interceptor
from testkit.loopback import LoopbackHandler, LoopbackServer
from tests.contract.swagger import Swagger

HARBOR = Swagger("harbor.yaml")
PROJECTS = "/projects"
REPOSITORIES = "/projects/{project_name}/repositories"
ARTIFACTS = "/projects/{project_name}/repositories/{repository_name}/artifacts"
PROJECTS_PATH = "^/api/v2.0/projects$"
REPOSITORIES_PATH = "^/api/v2.0/projects/team/repositories$"
ARTIFACTS_PATH = f"^{re.escape('/api/v2.0/projects/team/repositories/web%252Fapp/artifacts')}$"
NAMES_PATH = "^/v2/team/web/app/tags/list$"
ROBOT = Credentials(username="robot$team+mirror", secret="the-robots-secret")
MISSING = b'{"errors":[{"code":"NOT_FOUND","message":"repository team/web/app not found"}]}'
FORBIDDEN = b'{"errors":[{"code":"FORBIDDEN","message":"forbidden"}]}'
DIGESTS = [f"sha256:{each:064x}" for each in range(10)]
client = partial(connect, HarborClient)


def app(wire: Interceptor) -> Repository:
    return Repository(wire.host, "team/web/app")


def artifact(digest: str, *tags: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "digest": digest, "push_time": "2026-11-20T10:00:00.123Z", "type": "IMAGE", "tags": list(tags)}


def tag(name: str, push_time: str = "2026-11-23T12:00:00.123Z", *, immutable: bool = False) -> dict[str, Any]:
    return {"id": 1, "name": name, "push_time": push_time, "immutable": immutable}


def items(*each: dict[str, Any]) -> bytes:
    return json.dumps(each).encode()


def names(*each: str) -> bytes:
    return json.dumps({"name": "team/web/app", "tags": each}).encode()


def pages(total: int, next_path: str = "") -> dict[str, str]:
    return {"X-Total-Count": str(total), **({"Link": f'<{next_path}>; rel="next"'} if next_path else {})}


def test_tags_with_digests_times_and_locks(wire: Interceptor) -> None:
    body = items(
        artifact(DIGESTS[1], tag("v1", immutable=True), tag("latest", "2026-11-23T13:00:00+01:00")),
        artifact(DIGESTS[2], tag("old", "0001-01-01T00:00:00.000Z")),
    )
    wire.answer("GET", ARTIFACTS_PATH, 200, body, pages(2))
    wire.answer("GET", NAMES_PATH, 200, names("latest", "old", "v1"))
    HARBOR.check_answer(ARTIFACTS, body)
    with client(wire) as asked:
        entries = list(asked.list_tags(app(wire)))
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    first, second = Digest.parse(DIGESTS[1]), Digest.parse(DIGESTS[2])
    assert entries == [
        ListedTag(name="v1", digest=first, pushed_at=noon.replace(microsecond=123000), is_locked=True),
        ListedTag(name="latest", digest=first, pushed_at=noon),
        ListedTag(name="old", digest=second),
    ]


def test_our_requests_are_what_the_definition_takes(wire: Interceptor) -> None:
    wire.answer("GET", PROJECTS_PATH, 200, items({"name": "team", "metadata": {"public": "true"}}))
    wire.answer("GET", REPOSITORIES_PATH, 200, items({"name": "team/web/app"}))
    wire.answer("GET", ARTIFACTS_PATH, 200, items(artifact(DIGESTS[1], tag("v1"))), pages(1))
    wire.answer("GET", NAMES_PATH, 200, names("v1"))
    with client(wire) as asked:
        asked.ping()
        list(asked.list_repositories("team"))
        list(asked.list_tags(app(wire), since=datetime.now(UTC)))
    api = [request for request in wire.requests() if request.path.startswith(HARBOR.prefix)]
    assert [HARBOR.check_request(each) for each in api] == [PROJECTS, PROJECTS, REPOSITORIES, ARTIFACTS]
    assert api[3].query == (
        "q=tags%3D%2A&with_tag=true&with_immutable_status=true&sort=-push_time&with_accessory=true&page=1&page_size=100"
    )
    assert [each.query for each in api[:2]] == [
        "with_detail=false&page=1&page_size=1",
        "q=name%3Dteam&page=1&page_size=100",
    ]
    assert len(wire.requests()) == 5


@pytest.mark.parametrize(
    "headers",
    [
        pages(4, "/api/v2.0/projects/team/repositories/web%2Fapp/artifacts?page=2&page_size=2"),
        pages(4),
        {"Link": '</elsewhere?page=2>; rel="prev" , </elsewhere?page=3>; rel="next"'},
        {"Link": "</elsewhere?page=3>; Rel=Next"},
    ],
    ids=["a link with the path decoded", "no link", "no total", "no quotes"],
)
def test_pages_are_followed_to_the_end(wire: Interceptor, headers: dict[str, str]) -> None:
    """A server may return fewer items than requested. Its links only show that another page exists."""
    first = [artifact(DIGESTS[1], tag("a"), tag("b")), artifact(DIGESTS[2], tag("c"))]
    second = [artifact(DIGESTS[2], tag("c")), artifact(DIGESTS[3], tag("d"))]
    wire.answer("GET", ARTIFACTS_PATH, 200, items(*first), headers, times=1)
    wire.answer("GET", ARTIFACTS_PATH, 200, items(*second), {"X-Total-Count": "4"}, times=1)
    wire.answer("GET", ARTIFACTS_PATH, 200, items(artifact(DIGESTS[9], tag("beyond the end"))))
    wire.answer("GET", NAMES_PATH, 200, names())
    with client(wire) as asked:
        assert [tag.name for tag in asked.list_tags(app(wire))] == ["a", "b", "c", "d"]
    assert [request.query[-20:] for request in wire.requests()[:2]] == ["page=1&page_size=100", "page=2&page_size=100"]


def test_an_old_artifact_with_a_new_tag_is_not_overlooked(wire: Interceptor) -> None:
    """Moving a tag to an older artifact does not move the artifact to the front."""
    wire.answer("GET", ARTIFACTS_PATH, 200, items(artifact(DIGESTS[1], tag("v2"))), pages(2), times=1)
    last = items(artifact(DIGESTS[2], tag("rolled-back", "2026-11-23T12:30:00.000Z")))
    wire.answer("GET", ARTIFACTS_PATH, 200, last, pages(2))
    wire.answer("GET", NAMES_PATH, 200, names())
    with client(wire) as asked:
        entries = list(asked.list_tags(app(wire), since=datetime(2026, 11, 23, 12, 15, tzinfo=UTC)))
    assert [entry.name for entry in entries] == ["v2", "rolled-back"]


def test_tags_of_signatures_come_by_name(wire: Interceptor) -> None:
    """The API omits them. If they counted as missing, every run would copy them again."""
    wire.answer("GET", ARTIFACTS_PATH, 200, items(artifact(DIGESTS[1], tag("v1"))), pages(1))
    wire.answer("GET", NAMES_PATH, 200, names("sha256-abc.sig", "v1"))
    with client(wire) as asked:
        entries = list(asked.list_tags(app(wire)))
    assert [(entry.name, entry.digest is None) for entry in entries] == [("v1", False), ("sha256-abc.sig", True)]


def test_the_same_page_again_ends(wire: Interceptor) -> None:
    wire.answer("GET", ARTIFACTS_PATH, 200, items(artifact(DIGESTS[1], tag("v1"))), pages(100))
    with client(wire) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(app(wire)))
    where = f"{wire.url}/api/v2.0/projects/team/repositories/web%252Fapp/artifacts"
    assert str(caught.value) == f"{where} answers the same page again"


@pytest.mark.parametrize("body", [b"{}", b"null", b'["v1"]', b'{"errors": []}'])
def test_an_answer_that_is_no_list_is_no_empty_list(wire: Interceptor, body: bytes) -> None:
    wire.answer("GET", ARTIFACTS_PATH, 200, body)
    with client(wire) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(app(wire)))
    where = f"{wire.url}/api/v2.0/projects/team/repositories/web%252Fapp/artifacts"
    assert str(caught.value) == f"{where} answered 200 without a list"


def test_an_item_without_a_name(wire: Interceptor) -> None:
    wire.answer("GET", ARTIFACTS_PATH, 200, items(artifact(DIGESTS[1], {"id": 7})))
    with client(wire) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(app(wire)))
    assert str(caught.value) == "Harbor returned an item without a name, only ['id']"


def test_a_missing_repository_is_not_found(wire: Interceptor) -> None:
    wire.answer("GET", ARTIFACTS_PATH, 404, MISSING)
    with client(wire) as asked, pytest.raises(NotFound) as caught:
        list(asked.list_tags(app(wire)))
    where = f"{wire.url}/api/v2.0/projects/team/repositories/web%252Fapp/artifacts"
    assert str(caught.value) == f"GET {where} answered 404 NOT_FOUND: repository team/web/app not found"


@pytest.mark.parametrize(("status", "credentials"), [(401, None), (401, ROBOT), (403, ROBOT)])
def test_a_private_or_missing_repository_is_denied(
    wire: Interceptor, status: int, credentials: Credentials | None
) -> None:
    """The API sends no challenge with its 401."""
    wire.answer("GET", ARTIFACTS_PATH, status, FORBIDDEN)
    with client(wire, credentials=credentials) as asked, pytest.raises(DeniedError) as caught:
        list(asked.list_tags(app(wire)))
    where = f"{wire.url}/api/v2.0/projects/team/repositories/web%252Fapp/artifacts"
    assert str(caught.value) == (
        f"GET {where} answered {status} FORBIDDEN: forbidden (not permitted with these credentials, or it does not "
        "exist)"
    )
    assert len(wire.requests()) == 1


def test_a_name_without_a_project(wire: Interceptor) -> None:
    with client(wire) as asked, pytest.raises(ConfigurationError) as caught:
        list(asked.list_tags(Repository(wire.host, "app")))
    assert str(caught.value) == f"{wire.host}/app is not a valid Harbor repository, whose name is PROJECT/NAME"


def project(public: str | None, name: str = "team") -> bytes:
    return items({"name": name, "metadata": {} if public is None else {"public": public}})


def test_repositories_are_listed_over_all_pages(wire: Interceptor) -> None:
    first = [{"name": f"team/{each}", "update_time": "2026-11-23T12:00:00.000Z"} for each in ("a", "web/app")]
    wire.answer("GET", PROJECTS_PATH, 200, project("true"))
    wire.answer("GET", REPOSITORIES_PATH, 200, items(*first), pages(3), times=1)
    wire.answer("GET", REPOSITORIES_PATH, 200, items({"name": "team/web/api"}), pages(3), times=1)
    wire.answer("GET", REPOSITORIES_PATH, 200, items(*first))
    HARBOR.check_answer(REPOSITORIES, items(*first))
    with client(wire) as asked:
        assert list(asked.list_repositories("team")) == [
            ListedRepository(name=f"team/{each}", is_private=False) for each in ("a", "web/app", "web/api")
        ]
        assert [repository.name for repository in asked.list_repositories("team/web")] == ["team/web/app"]


def test_a_private_project_is_mirrored_only_with_include_private(wire: Interceptor) -> None:
    wire.answer("GET", PROJECTS_PATH, 200, project("false"))
    wire.answer("GET", REPOSITORIES_PATH, 200, items({"name": "team/app"}))
    with client(wire, credentials=ROBOT) as asked:
        assert list(asked.list_repositories("team", include_private=True)) == [
            ListedRepository(name="team/app", is_private=True)
        ]
        with pytest.raises(ConfigurationError) as caught:
            list(asked.list_repositories("team"))
    assert str(caught.value) == (f"project 'team' of {wire.host} is private; write include_private: true to mirror it")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        project(None),
        project("maybe"),
        project("false", "team-two"),
        b'[{"name": "team"}]',
        b'[{"name": "team", "metadata": null}]',
    ],
)
def test_a_project_of_which_harbor_does_not_tell_needs_include_private(wire: Interceptor, body: bytes) -> None:
    wire.answer("GET", PROJECTS_PATH, 200, body)
    wire.answer("GET", REPOSITORIES_PATH, 200, items({"name": "team/app"}))
    with client(wire) as asked:
        assert list(asked.list_repositories("team", include_private=True)) == [ListedRepository(name="team/app")]
        with pytest.raises(ConfigurationError) as caught:
            list(asked.list_repositories("team"))
    assert str(caught.value) == (
        f"{wire.host} does not report whether project 'team' is public; write include_private: true to mirror it"
    )


def test_a_missing_project_is_explained(wire: Interceptor) -> None:
    wire.answer("GET", PROJECTS_PATH, 200, b"[]")
    wire.answer("GET", REPOSITORIES_PATH, 404, b'{"errors":[{"code":"NOT_FOUND","message":"project team not found"}]}')
    with client(wire) as asked, pytest.raises(ConfigurationError) as caught:
        list(asked.list_repositories("team"))
    assert str(caught.value) == (
        f"{wire.host} has no project 'team'; fix the namespace, which begins with a project (GET {wire.url}/api/v2.0/"
        "projects/team/repositories answered 404 NOT_FOUND: project team not found)"
    )


class Noting(LoopbackHandler):
    """A Harbor that requires a token at ``/v2`` and nothing at its API, and records the authorization of each."""

    def __init__(self, seen: list[tuple[str, str | None]], *args: Any) -> None:
        self._seen = seen
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802 - name of the base class
        path, sent = self.path.partition("?")[0], self.headers.get("Authorization")
        self._seen.append((path, sent))
        body = {"/service/token": b'{"token": "t", "expires_in": 1800}', "/v2/team/app/tags/list": names("v1")}
        self.send_response(401 if path.startswith("/v2/") and sent is None else 200)
        self.send_header("WWW-Authenticate", f'Bearer realm="http://{self.headers["Host"]}/service/token",service="h"')
        content = body.get(path, b"[]")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def test_credentials_go_to_the_api_at_once_and_to_v2_after_a_challenge() -> None:
    """Robot account names contain a dollar sign."""
    seen: list[tuple[str, str | None]] = []
    server = LoopbackServer(partial(Noting, seen))
    server.start()
    endpoint = Endpoint(host=server.host, tls=False, credentials=ROBOT)
    with closing(HarborClient(endpoint)) as asked:
        assert [tag.name for tag in asked.list_tags(Repository(server.host, "team/app"))] == ["v1"]
    server.stop()
    basic = f"Basic {ROBOT.basic()}"
    assert seen == [
        ("/api/v2.0/projects/team/repositories/app/artifacts", basic),
        ("/v2/", None),
        ("/service/token", basic),
        ("/v2/team/app/tags/list", "Bearer t"),
    ]


def test_wrong_credentials_are_seen_by_ping(wire: Interceptor) -> None:
    """Harbor's API would treat them as anonymous."""
    challenge = f'Bearer realm="{wire.url}/service/token",service="harbor-registry"'
    wire.answer("GET", "^/v2/$", 401, headers={"WWW-Authenticate": challenge})
    wire.answer("GET", "^/service/token$", 401, b'{"errors":[{"code":"UNAUTHORIZED","message":"unauthorized"}]}')
    with client(wire, credentials=ROBOT) as asked, pytest.raises(DeniedError) as caught:
        asked.ping()
    assert str(caught.value) == (
        f"{wire.host} rejects the login of 'robot$team+mirror' to {wire.host}: 401 UNAUTHORIZED: unauthorized"
    )


def test_an_api_at_another_address_is_used(wire: Interceptor) -> None:
    with Interceptor("http://127.0.0.1:1") as api, client(wire, api_url=api.url, requests_per_second=100) as asked:
        api.answer("GET", ARTIFACTS_PATH, 200, items(artifact(DIGESTS[1], tag("v1"))))
        wire.answer("GET", NAMES_PATH, 200, names("v1"))
        assert [tag.name for tag in asked.list_tags(app(wire))] == ["v1"]
        assert (len(api.requests()), len(wire.requests())) == (1, 1)


def test_what_listing_costs(wire: Interceptor) -> None:
    """One request per hundred artifacts, and one for the names."""
    listed = [artifact(f"sha256:{each:064x}", tag(f"v{each}")) for each in range(300)]
    for page in range(3):
        wire.answer("GET", ARTIFACTS_PATH, 200, items(*listed[page * 100 : page * 100 + 100]), pages(300), times=1)
    wire.answer("GET", NAMES_PATH, 200, names(*(f"v{each}" for each in range(300))))
    with client(wire) as asked:
        assert len(list(asked.list_tags(app(wire)))) == 300
    assert len(wire.requests()) == 4
