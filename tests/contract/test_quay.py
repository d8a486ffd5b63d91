"""The client against recorded responses of Quay, and against Quay's own definition of its API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RegistrySyncError, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.vendors.quay import OAUTH_USER, QuayClient
from testkit.clients import connect
from testkit.quay_api import QuayApi
from testkit.waiting import PATIENCE_SECONDS
from tests.contract.openapi import QuaySwagger
from tests.contract.recorded import Exchange, load_exchanges, requests_of, serve

RECORDED = load_exchanges("quay.json")
QUAY = QuaySwagger("quay-swagger.json")
ANSWERS = json.loads(Path(__file__).with_name("quay-answers.json").read_text())
LISTING, TAGS = "/api/v1/repository", "/api/v1/repository/{repository}/tag/"
TOKEN = Credentials(username=OAUTH_USER, secret="an-oauth-token")
ROBOT = Credentials(username="acme+puller", secret="the-robots-password")
INDEX = Digest.parse("sha256:70da357c73147325f935de07c372a01609c5c60979fac58f9a78fac4f4249a96")
UNKNOWN_TO_ANONYMOUS = (
    "{host}/acme/nosuch is missing or not permitted, and a private one needs '$oauthtoken' and an OAuth token, or a "
    "robot account (GET {url} answered 401 Requires authentication (not permitted with these credentials, or it does "
    "not exist))"
)
UNKNOWN_TO_A_TOKEN = (
    "{host}/acme/nosuch is missing or not permitted, or the OAuth token has expired; it needs the scope repo:read (GET "
    "{url} answered 403 Unauthorized (not permitted with these credentials, or it does not exist))"
)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
client = partial(connect, QuayClient, requests_per_second=1000)


def recorded(*names: str) -> Sequence[Exchange]:
    return [RECORDED[name] for name in names]


def repositories(
    names: Sequence[str], credentials: Credentials | None = None, **options: Any
) -> tuple[list[ListedRepository], Sequence[str]]:
    """The client's result for recorded listings of ``acme``, and the requests that it sent."""
    with serve(*recorded(*names)) as server, client(server, credentials) as asked:
        return list(asked.list_repositories("acme", **options)), requests_of(server)


def refusal(names: Sequence[str], credentials: Credentials | None = None, **options: Any) -> RegistrySyncError:
    with pytest.raises(RegistrySyncError) as caught:
        repositories(names, credentials, **options)
    return caught.value


def tags(name: str, *answers: Exchange, credentials: Credentials | None = None) -> list[ListedTag]:
    with serve(*answers) as server, client(server, credentials) as asked:
        return list(asked.list_tags(Repository(server.host, f"acme/{name}")))


def test_tags_with_digest_and_time() -> None:
    moments = [datetime(2026, 11, 23, 18, 35, second, tzinfo=UTC) for second in (22, 20, 17)]
    older = Digest.parse("sha256:439b9ba5e78657c4430d27efd0f0377310a080ac9d596d4eed87f5f8a291af3a")
    assert tags("app", *recorded("tags_anon_public")) == [
        ListedTag(name="latest", digest=INDEX, pushed_at=moments[0]),
        ListedTag(name="v1.0.0", digest=INDEX, pushed_at=moments[1]),
        ListedTag(name="v1.1.0", digest=older, pushed_at=moments[2]),
    ]


def test_pages_end_where_quay_says_so() -> None:
    pages = recorded("tags_page1_limit1", "tags_page2_limit1", "tags_page99")
    with serve(*pages) as server, client(server) as asked:
        names = [tag.name for tag in asked.list_tags(Repository(server.host, "acme/app"))]
        assert requests_of(server) == [
            f"/api/v1/repository/acme/app/tag/?onlyActiveTags=true&limit=100&page={page}" for page in (1, 2, 3)
        ]
    assert names == ["latest", "v1.0.0"]


def test_a_repeated_page_is_an_error() -> None:
    with serve(*recorded("tags_page1_limit1")) as server, client(server) as asked:
        with pytest.raises(TemporaryError) as caught:
            list(asked.list_tags(Repository(server.host, "acme/app")))
        assert str(caught.value) == (f"{server.host}/acme/app: the tag listing repeats itself and does not end")
        assert len(server.requests()) == 3


def test_a_repository_without_tags_lists_none() -> None:
    assert tags("empty", *recorded("tags_empty_repo")) == []


def test_a_token_reads_a_private_repository() -> None:
    assert [tag.name for tag in tags("private-app", *recorded("tags_private_token"), credentials=TOKEN)] == ["v1.0.0"]


def test_a_robot_reads_a_private_repository_by_name() -> None:
    """The API treats the robot as anonymous; ``/v2`` accepts it."""
    answers = recorded("tags_private_robot_basic", "v2_tags_private_user_token")
    assert tags("private-app", *answers, credentials=ROBOT) == [ListedTag(name="v1.0.0")]


@pytest.mark.parametrize(
    ("case", "credentials", "expected", "text"),
    [
        (
            "tags_missing_repo_anon",
            None,
            DeniedError,
            UNKNOWN_TO_ANONYMOUS,
        ),
        (
            "tags_missing_repo_other",
            TOKEN,
            DeniedError,
            UNKNOWN_TO_A_TOKEN,
        ),
        ("tags_missing_repo_token", TOKEN, NotFound, "GET {url} answered 404 Not Found"),
    ],
)
def test_a_missing_repository_is_refused(
    case: str, credentials: Credentials | None, expected: type[RegistrySyncError], text: str
) -> None:
    with serve(*recorded(case)) as server, client(server, credentials) as asked:
        with pytest.raises(RegistrySyncError) as caught:
            list(asked.list_tags(Repository(server.host, "acme/nosuch")))
        url = f"{server.url}/api/v1/repository/acme/nosuch/tag/"
        assert str(caught.value) == text.format(host=server.host, url=url)
    assert type(caught.value) is expected


def test_repositories_of_two_pages_are_listed() -> None:
    entries, asked = repositories(["repos_anon_public_p1", "repos_anon_public_p2"])
    assert [entry.name for entry in entries][3:5] == ["acme/bulk100", "acme/bulk101"]
    assert entries[-1] == ListedRepository(
        name="acme/app", modified_at=datetime(2026, 11, 23, 18, 35, 22, tzinfo=UTC), is_private=False
    )
    assert entries[0] == ListedRepository(name="acme/bulk001", is_private=False)
    assert [each.partition("&next_page=")[0] for each in asked] == [
        f"{LISTING}?namespace=acme&public=true&last_modified=true"
    ] * 2


def test_a_listing_that_starts_over() -> None:
    error = refusal(["repos_anon_public_p1", "repos_anon_public_bad_next_page"])
    assert type(error) is TemporaryError
    assert str(error).endswith(" restarted its listing of 'acme' at the first page; try again")


@pytest.mark.parametrize("pages", [["repos_token_garbage"], ["repos_token_public", "repos_anon_public_p2"]])
def test_a_token_that_is_ignored(pages: list[str]) -> None:
    """From the first page, or from when it expires."""
    error = refusal(pages, TOKEN)
    assert type(error) is DeniedError
    assert str(error).partition(" ")[2] == (
        "ignores the OAuth token (expired, revoked, or not one) and lists only public repositories; make a new one "
        "with the scope repo:read"
    )


@pytest.mark.parametrize("case", ["repos_unknown_namespace", "repos_token_expired", "repos_anon_namespace_only"])
def test_a_namespace_without_a_repository_to_see(case: str) -> None:
    error = refusal([case], TOKEN)
    assert type(error) is ConfigurationError
    assert str(error).startswith("namespace 'acme' of 127.0.0.1:")
    assert str(error).endswith(
        " has no repository that we may see; check its name, and that its repositories are public or the token may "
        "read them"
    )


def test_private_repositories_take_a_token() -> None:
    error = refusal(["repos_anon_public_p1"], ROBOT, include_private=True)
    assert type(error) is ConfigurationError
    assert str(error).partition(" ")[2] == (
        "lists private repositories only for OAuth tokens; use '$oauthtoken' and an OAuth token with the scope "
        "repo:read as login and password"
    )


@pytest.mark.parametrize("body", ["[]", "{}", '{"repositories": null}', '{"repositories": [{"name": "app"}]}'])
def test_an_answer_that_is_no_list_is_no_empty_list(body: str) -> None:
    answer = {**RECORDED["repos_anon_public_p1"], "body": body}
    with serve(answer) as server, client(server) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_repositories("acme"))
    assert str(caught.value) == f"{server.url}/api/v1/repository answered 200 without a list of repositories"


def test_tags_without_a_mark_of_the_end() -> None:
    answer = {**RECORDED["tags_empty_repo"], "body": {"tags": [], "page": 1}}
    with serve(answer) as server, client(server) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(Repository(server.host, "acme/empty")))
    assert str(caught.value) == f"{server.host} does not report whether {server.host}/acme/empty has more tags"


@pytest.mark.parametrize(
    ("field", "value"), [("start_ts", None), ("start_ts", 0), ("start_ts", 10**15), ("manifest_digest", "sha256:short")]
)
def test_a_field_that_is_unknown(field: str, value: object) -> None:
    row = {"name": "v1", "start_ts": None, "manifest_digest": None, field: value, "immutable": True}
    answer = {**RECORDED["tags_anon_public"], "body": {"tags": [row], "page": 1, "has_additional": False}}
    assert tags("app", answer) == [ListedTag(name="v1", is_locked=True)]


def test_an_anonymous_ping_asks_the_api() -> None:
    with serve(*recorded("v2_ping_anon", "repos_unknown_namespace")) as server, client(server) as asked:
        asked.ping()
        assert requests_of(server) == [f"{LISTING}?namespace=library&public=true"]


def test_a_ping_of_what_is_no_quay() -> None:
    answer = {**RECORDED["repos_unknown_namespace"], "status": 404, "body": "404 page not found"}
    with serve(answer) as server, client(server) as asked, pytest.raises(ConfigurationError) as caught:
        asked.ping()
    assert str(caught.value) == (
        f"{server.url} does not answer like Quay's API: GET {server.url}/api/v1/repository answered 404 404 page not "
        "found"
    )


def test_head_returns_the_digest_of_a_tag() -> None:
    with serve(*recorded("v2_head_index", "v2_head_missing_tag")) as server, client(server) as asked:
        assert asked.head_manifest(Repository(server.host, "acme/app"), "v1.0.0") == INDEX
        assert asked.head_manifest(Repository(server.host, "acme/app"), "nope") is None


def test_our_requests_are_what_the_definition_takes() -> None:
    with QuayApi("http://127.0.0.1:1", tokens={TOKEN.secret: {"acme"}}) as api, client(api, TOKEN) as asked:
        for number in range(150):
            api.push(f"acme/app{number}", "v1", NOON, INDEX)
            api.push("acme/app", f"v{number}", NOON + timedelta(minutes=number), INDEX)
        list(asked.list_repositories("acme", include_private=True))
        list(asked.list_tags(Repository(api.host, "acme/app")))
        list(asked.list_tags(Repository(api.host, "acme/app"), since=NOON))
        checked = [QUAY.check_request(request) for request in api.requests()]
    assert checked == [LISTING, LISTING, *4 * [TAGS], *2 * [TAGS]]


def schema_of(body: Any, status: int) -> str | None:
    if status == 200 and isinstance(body, dict):
        return next((each for each in ("repositories", "tags") if isinstance(body.get(each), list)), None)
    return "api_error" if isinstance(body, dict) and "error_type" in body else None


@pytest.mark.parametrize("name", [each for each in RECORDED if each.startswith(("repos_", "tags_"))])
def test_recorded_answers_fit_the_schemas_that_stand_ins_are_held_to(name: str) -> None:
    exchange = RECORDED[name]
    schema = schema_of(exchange["body"], exchange["status"])
    if schema:
        _check(exchange["body"], schema)


def test_the_stand_in_answers_by_the_schemas() -> None:
    with QuayApi("http://127.0.0.1:1", tokens={"good": {"acme"}}) as api:
        api.add("acme/private", is_public=False)
        api.push("acme/app", "v1", NOON, INDEX)
        api.push("acme/app", "v1", NOON + timedelta(hours=1), INDEX)
        asked = [
            (f"{LISTING}?namespace=acme&public=true&last_modified=true", "repositories", 200),
            (f"{LISTING}/acme/app/tag/", "tags", 200),
            (f"{LISTING}/acme/private/tag/", "api_error", 401),
            (LISTING, "api_error", 400),
        ]
        for path, schema, status in asked:
            answer = _get(f"{api.url}{path}")
            assert answer[0] == status
            _check(answer[1], schema)
            assert "is_starred" not in json.dumps(answer[1])


def _check(body: Any, schema: str) -> None:
    Draft202012Validator({"$ref": f"#/$defs/{schema}", "$defs": ANSWERS["$defs"]}).validate(body)


def _get(url: str) -> tuple[int, Any]:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(url, timeout=PATIENCE_SECONDS)
    return answer.status_code, answer.json()
