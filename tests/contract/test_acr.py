"""The client against Azure's API definition, and against responses that Azure sometimes sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.vendors.acr import AcrClient
from testkit.clients import connect
from testkit.interceptor import Interceptor
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.sleeping_clock import SleepingClock
from tests.contract.swagger import Swagger

AZURE = Swagger("acr.json")
CATALOG, TAGS = "/acr/v1/_catalog", "/acr/v1/{name}/_tags"
TAGS_OF_APP = "^/acr/v1/team/app/_tags$"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
REFUSAL = json.dumps(
    {
        "errors": [
            {
                "code": "UNAUTHORIZED",
                "message": "authentication required, visit https://aka.ms/acr/authorization for more information.",
                "detail": [{"Type": "repository", "Name": "team/app", "Action": "metadata_read"}],
            }
        ]
    }
).encode()
client = partial(connect, AcrClient)
pytestmark = pytest.mark.usefixtures("recorded_pauses")


def app(wire: Interceptor) -> Repository:
    return Repository(wire.host, "team/app")


def tag(name: str, pushed_at: datetime | None, **attributes: bool) -> dict[str, Any]:
    shown = f"{pushed_at:%Y-%m-%dT%H:%M:%S}.1234567Z" if pushed_at else None
    enabled = {"deleteEnabled": True, "writeEnabled": True, "readEnabled": True, "listEnabled": True}
    return {
        "name": name,
        "digest": str(Digest.of(name.encode())),
        "createdTime": "2018-09-06T06:17:21.0856539Z",
        "lastUpdateTime": shown,
        "changeableAttributes": {**enabled, **attributes},
    }


def page(*tags: dict[str, Any]) -> bytes:
    return json.dumps({"registry": "r.azurecr.io", "imageName": "team/app", "tags": tags}).encode()


def link(last: str, orderby: str | None = "timedesc") -> dict[str, str]:
    order = "" if orderby is None else f"&orderby={orderby}"
    return {"Link": f'</acr/v1/team/app/_tags?last={last}&n=100{order}>; rel="next"'}


def queries(wire: Interceptor) -> list[str]:
    return [request.query for request in wire.requests()]


def hours_ago(hours: float) -> datetime:
    return NOON - timedelta(hours=hours)


def test_the_example_of_a_tag_list(wire: Interceptor) -> None:
    wire.answer("GET", "/acr/v1/nanoserver/_tags", 200, AZURE.example(TAGS))
    with client(wire) as asked:
        entries = list(asked.list_tags(Repository(wire.host, "nanoserver")))
    assert entries == [
        ListedTag(
            name="4.7.2-20180905-nanoserver-1803",
            digest=Digest.parse("sha256:110d2b6c84592561338aa040b1b14b7ab81c2f9edbd564c2285dd7d70d777086"),
            pushed_at=datetime(2018, 9, 6, 6, 17, 21, 85653, UTC),
        ),
        ListedTag(
            name="4.7.2-20180906-nanoserver-1803",
            digest=Digest.parse("sha256:7af5cd1dde3e8f5c2c9103860afa4ca871a6075373b6564b0e7b1b47866dab52"),
            pushed_at=datetime(2018, 9, 7, 16, 30, 46, 702273, UTC),
        ),
    ]


def test_the_example_of_a_catalog_is_read(wire: Interceptor) -> None:
    wire.answer("GET", CATALOG, 200, AZURE.example(CATALOG))
    with client(wire) as asked:
        assert list(asked.list_repositories("production")) == [ListedRepository(name="production/alpine")]
        assert list(asked.list_repositories("product")) == []


def test_our_requests_are_what_the_definition_takes(wire: Interceptor) -> None:
    wire.answer("GET", CATALOG, 200, AZURE.example(CATALOG))
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v2", NOON)), link("v2"), times=1)
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v1", hours_ago(1))))
    AZURE.check_answer(TAGS, page(tag("v1", NOON)))
    with client(wire) as asked:
        list(asked.list_repositories("team"))
        list(asked.list_tags(app(wire), since=hours_ago(9)))
        list(asked.list_tags(app(wire)))
    assert [AZURE.check_request(request) for request in wire.requests()] == [CATALOG, TAGS, TAGS, TAGS]


def test_reading_stops_at_the_start_of_the_window(wire: Interceptor) -> None:
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v4", NOON), tag("v3", hours_ago(1))), link("v3"), times=1)
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v2", hours_ago(2)), tag("v1", hours_ago(3))), link("v1"))
    with client(wire) as asked:
        assert [tag.name for tag in asked.list_tags(app(wire), since=hours_ago(2))] == [
            "v4",
            "v3",
            "v2",
            "v1",
        ]
    assert queries(wire) == ["n=100&orderby=timedesc", "n=100&orderby=timedesc&last=v3"]


@pytest.mark.parametrize("orderby", ["", None], ids=["empty", "absent"])
def test_the_order_is_kept_where_a_link_loses_it(wire: Interceptor, orderby: str | None) -> None:
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v2", NOON)), link("v2", orderby), times=1)
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v1", hours_ago(1))))
    with client(wire) as asked:
        assert [tag.name for tag in asked.list_tags(app(wire), since=hours_ago(3))] == ["v2", "v1"]
    assert queries(wire) == ["n=100&orderby=timedesc", "n=100&orderby=timedesc&last=v2"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([tag("a", hours_ago(5)), tag("b", NOON)], []),
        ([tag("a", hours_ago(5)), tag("b", None)], []),
        ([tag("a", None)], []),
        ([], []),
        ([tag("a", hours_ago(1))], [tag("b", NOON), tag("c", hours_ago(9))]),
    ],
    ids=["within a page", "a time is unknown", "no time at all", "nothing on a page", "from page to page"],
)
def test_out_of_order_all_is_read_by_name(
    wire: Interceptor, first: list[dict[str, Any]], second: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """The tags are complete and unique, wherever the order breaks."""
    wire.answer("GET", TAGS_OF_APP, 200, page(*first), link("a"), times=1)
    if second:
        wire.answer("GET", TAGS_OF_APP, 200, page(*second), link("c"), times=1)
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("a", NOON), tag("b", NOON)), link("b", ""), times=1)
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("c", NOON), tag("d", hours_ago(90))))
    with client(wire) as asked:
        names = [tag.name for tag in asked.list_tags(app(wire), since=hours_ago(3))]
    assert sorted(names) == ["a", "b", "c", "d"]
    assert queries(wire)[-2:] == ["n=1000", "n=1000&last=b"]
    assert caplog.messages == [f"{app(wire)} does not list its tags newest first; all are read"]


def test_a_link_of_another_form_is_followed(wire: Interceptor) -> None:
    following = {"Link": '</acr/v1/team/app/_tags?cursor=abc>; rel="next"'}
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v2", NOON)), following, times=1)
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v1", hours_ago(1))))
    with client(wire) as asked:
        assert [tag.name for tag in asked.list_tags(app(wire), since=hours_ago(3))] == ["v2", "v1"]
    assert queries(wire) == ["n=100&orderby=timedesc", "cursor=abc"]


def test_equal_times_do_not_end_the_reading(wire: Interceptor) -> None:
    """Equal times would be first in ascending order too."""
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("a", hours_ago(9)), tag("b", hours_ago(9))), link("b"), times=1)
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("c", hours_ago(9))))
    with client(wire) as asked:
        assert [tag.name for tag in asked.list_tags(app(wire), since=hours_ago(3))] == ["a", "b", "c"]


def test_a_last_that_comes_again_ends(wire: Interceptor) -> None:
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v1", NOON)), link("v1"))
    with client(wire) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(app(wire), since=hours_ago(1)))
    assert str(caught.value) == f"{wire.url}/acr/v1/team/app/_tags: the pages of this listing form a loop"
    assert len(wire.requests()) < 10


def test_without_a_window_tags_are_read_by_name(wire: Interceptor) -> None:
    """By name, because a concurrent push would change the order of times."""
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v1", NOON)), link("v1", ""), times=1)
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v2", None)))
    with client(wire) as asked:
        assert [tag.name for tag in asked.list_tags(app(wire))] == ["v1", "v2"]
    assert queries(wire) == ["n=1000", "n=1000&last=v1"]


def serve(request: ScriptedRequest, count: int, *, most: int = 1000, refused: int = 0, has_links: bool = True) -> Reply:
    """A page of ``count`` tags, with at most ``most`` on a page.

    :param refused: status of the answer to an ``n`` above ``most``; 0 is none.
    """
    query = dict(parse_qsl(urlsplit(request.target).query))
    if refused and int(query["n"]) > most:
        return Reply(status=refused)
    begin = int(query.get("last", "-1")) + 1
    end = min(count, begin + min(int(query["n"]), most))
    headers = link(f"{end - 1:04}", None) if has_links and end < count else {}
    return Reply(body=page(*(tag(f"{number:04}", NOON) for number in range(begin, end))), headers=headers)


@pytest.mark.parametrize(
    ("count", "options", "expected"),
    [
        (1000, {}, ["n=1000", "n=1000&last=0999"]),
        (1500, {}, ["n=1000", "n=1000&last=0999"]),
        (250, {"most": 100}, ["n=1000", "n=1000&last=0099", "n=1000&last=0199"]),
        (250, {"most": 100, "has_links": False}, ["n=1000", "n=1000&last=0099", "n=1000&last=0199"]),
        (250, {"most": 100, "refused": 400}, ["n=1000", "n=100", "n=100&last=0099", "n=100&last=0199"]),
        (99, {"most": 100, "refused": 422, "has_links": False}, ["n=1000", "n=100"]),
        (999, {"has_links": False}, ["n=1000"]),
    ],
    ids=[
        "a full page",
        "largest page",
        "capped",
        "capped without links",
        "refused",
        "refused without links",
        "no links",
    ],
)
def test_the_largest_page_is_asked_for(count: int, options: dict[str, Any], expected: list[str]) -> None:
    """Every tag is read, whatever page the registry takes."""
    with ScriptedServer(lambda request: serve(request, count, **options)) as server:
        with connect(AcrClient, server) as asked:
            names = [tag.name for tag in asked.list_tags(Repository(server.host, "team/app"))]
        targets = [urlsplit(request.target).query for request in server.shown]
    assert names == [f"{number:04}" for number in range(count)]
    assert targets == expected


def test_locked_tags_are_marked(wire: Interceptor) -> None:
    tags = [tag("v1", NOON, writeEnabled=False), tag("v2", NOON, deleteEnabled=False), tag("v3", NOON)]
    del tags[2]["changeableAttributes"]
    wire.answer("GET", TAGS_OF_APP, 200, page(*tags))
    with client(wire) as asked:
        assert [tag.is_locked for tag in asked.list_tags(app(wire))] == [True, False, False]


@pytest.mark.parametrize("text", [None, "", "yesterday", "0001-01-01T00:00:00Z", "2026-11-23T12:00:00", 7])
def test_a_time_that_is_none_is_unknown(wire: Interceptor, text: Any) -> None:
    wire.answer("GET", TAGS_OF_APP, 200, page({**tag("v1", None), "lastUpdateTime": text, "digest": "sha256:short"}))
    with client(wire) as asked:
        assert list(asked.list_tags(app(wire))) == [ListedTag(name="v1")]


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"tags": {}}', b'{"tags": ["v1"]}', b'{"tags": [{"name": null}]}', b'{"errors": []}']
)
def test_an_answer_that_is_no_list_is_no_empty_list(wire: Interceptor, body: bytes) -> None:
    wire.answer("GET", TAGS_OF_APP, 200, body)
    with client(wire) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(app(wire)))
    assert str(caught.value) == f"{wire.url}/acr/v1/team/app/_tags answered 200 without a list of tags"


def test_a_repository_without_tags_lists_none(wire: Interceptor) -> None:
    wire.answer("GET", TAGS_OF_APP, 200, b'{"registry": "r", "imageName": "team/app", "tags": null}')
    with client(wire) as asked:
        assert list(asked.list_tags(app(wire))) == []


def test_a_missing_repository_is_not_found(wire: Interceptor) -> None:
    error = b'{"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known", "detail": {"name": "x"}}]}'
    wire.answer("GET", TAGS_OF_APP, 404, error)
    with client(wire) as asked, pytest.raises(NotFound) as caught:
        list(asked.list_tags(app(wire)))
    assert str(caught.value) == (
        f'GET {wire.url}/acr/v1/team/app/_tags answered 404 NAME_UNKNOWN: repository name not known: {{"name": "x"}}'
    )


def test_an_anonymous_user_falls_back_to_names(wire: Interceptor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    realm = f'Bearer realm="{wire.url}/oauth2/token",service="{wire.host}"'
    wire.answer("GET", TAGS_OF_APP, 401, REFUSAL, {"WWW-Authenticate": realm})
    wire.answer("GET", "/oauth2/token", 401, REFUSAL, times=1)
    wire.answer("GET", "/oauth2/token", 200, b'{"access_token": "for-pull"}')
    wire.answer("GET", "^/v2/team/app/tags/list$", 200, b'{"name": "team/app", "tags": ["v1", "v2"]}')
    with client(wire) as asked:
        entries = list(asked.list_tags(app(wire), since=NOON))
    assert entries == [ListedTag(name="v1"), ListedTag(name="v2")]
    assert caplog.messages[-1].startswith(
        f"{app(wire)} does not list digests for anonymous users; each tag needs a HEAD request ("
    )


def test_credentials_without_the_right_to_list(wire: Interceptor) -> None:
    """Denied credentials do not fall back: ``/v2/…/tags/list`` needs the same permission."""
    wire.answer("GET", "^/v2/$", 401, headers={"WWW-Authenticate": 'Basic realm="r"'})
    wire.answer("GET", TAGS_OF_APP, 401, REFUSAL, {"WWW-Authenticate": 'Basic realm="r"'})
    with client(wire, Credentials(username="token", secret="s")) as asked, pytest.raises(DeniedError) as caught:
        list(asked.list_tags(app(wire)))
    assert str(caught.value) == (
        f"GET {wire.url}/acr/v1/team/app/_tags answered 401 UNAUTHORIZED: authentication required, visit "
        'https://aka.ms/acr/authorization for more information.: [{"Type": "repository", "Name": "team/app", "Action": '
        '"metadata_read"}] (not permitted with these credentials, or it does not exist); to list tags, a token needs '
        "metadata/read beside content/read"
    )


def test_credentials_that_may_not_read_the_catalog(wire: Interceptor) -> None:
    wire.answer("GET", CATALOG, 403, b"no")
    with client(wire) as asked, pytest.raises(ConfigurationError) as caught:
        list(asked.list_repositories("team"))
    assert str(caught.value) == (
        f"{wire.host} does not list its repositories, let the credentials read its catalog, or write the "
        f"repositories of 'team' one by one (GET {wire.url}/acr/v1/_catalog answered 403 no (not permitted with these "
        "credentials, or it does not exist))"
    )


def test_a_429_page_is_retried(wire: Interceptor, sleeping_clock: SleepingClock) -> None:
    wire.answer("GET", TAGS_OF_APP, 429, b"<html><h1>429 Too Many Requests</h1></html>", times=1)
    wire.answer("GET", TAGS_OF_APP, 200, page(tag("v1", NOON)))
    with client(wire) as asked:
        assert len(list(asked.list_tags(app(wire)))) == 1
    assert 0.4 < sleeping_clock.slept < 0.6
