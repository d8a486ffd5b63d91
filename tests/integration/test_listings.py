"""Listings of names as real registries page them: with and without ``Link``, in any form of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from registry_sync.errors import DeniedError, RateLimited, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.oci.reference import Repository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.vendors.acr import AcrClient
from registry_sync.registry.vendors.docker_hub import DockerHubClient
from registry_sync.registry.vendors.google import GoogleClient
from registry_sync.registry.vendors.harbor import HarborClient
from registry_sync.registry.vendors.quay import QuayClient
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer

PATH = "/v2/team/app/tags/list"
pytestmark = pytest.mark.usefixtures("recorded_pauses")


@contextmanager
def client(server: ScriptedServer) -> Iterator[DistributionClient]:
    with closing(DistributionClient(Endpoint(host=server.host, tls=False))) as opened:
        yield opened


def tags(server: ScriptedServer) -> list[str]:
    with client(server) as asked:
        return [entry.name for entry in asked.list_tags(Repository(server.host, "team/app"))]


def repositories(server: ScriptedServer) -> list[str]:
    with client(server) as asked:
        return [entry.name for entry in asked.list_repositories("team")]


def queries(server: ScriptedServer) -> list[str]:
    return [urlsplit(request.target).query for request in server.shown]


Page = Callable[[list[str], int, str], Reply]


def numbered(count: int) -> list[str]:
    return [f"{number:05d}" for number in range(count)]


def listing(
    names: list[str], *, cap: int = 10**6, ignores_n: bool = False, ignores_last: bool = False, link: str = ""
) -> Callable[[ScriptedRequest], Reply]:
    """A registry's listing, by ``n`` and ``last``.

    :param cap: largest page, whatever ``n`` is.
    :param link: format of the Link header of a page that others follow, with ``{query}``.
    """

    def answer(request: ScriptedRequest) -> Reply:
        query = parse_qs(urlsplit(request.target).query)
        asked = int(query.get("n", ["1000000"])[0])
        size = min(cap, 10**6 if ignores_n else asked)
        after = "" if ignores_last else query.get("last", [""])[0].removeprefix("team/")
        rest = [name for name in names if name > after]
        page = rest[:size]
        headers = {"Link": link.format(query=f"n={size}&last={page[-1]}")} if link and rest[size:] else {}
        return Reply(
            body=json.dumps({"tags": page, "repositories": [f"team/{name}" for name in page]}).encode(), headers=headers
        )

    return answer


class TestLink:
    """RFC 8288: names and relation types ignore case, quotes are optional, a header has several links."""

    @pytest.mark.parametrize(
        "link",
        [
            '<{path}?{query}>; rel="next"',
            '<{path}?{query}>; Rel="Next"',
            "<{path}?{query}>;rel=next",
            "<{path}?{query}> ; REL = NEXT",
            '<{path}?{query}>; rel="prefetch next"',
            '<{path}?n=2>; rel="first", <{path}?{query}>; rel="next"',
            "<{path}?{query}>; rel='next'",
            "<{path}?{query}>;; rel=next;",
            '<{path}?{query}>; title="a, b; rel=last"; rel="next", <{path}?n=2>; rel="first"',
            "<?{query}>; rel=next",
            "<list?{query}>; rel=next",
        ],
    )
    def test_forms(self, link: str) -> None:
        with ScriptedServer(listing(numbered(5), cap=2, link=link.replace("{path}", PATH))) as server:
            assert tags(server) == numbered(5)
            assert queries(server) == ["n=1000", "n=2&last=00001", "n=2&last=00003"]

    @pytest.mark.parametrize(
        "address",
        [
            "https://{host}" + PATH,
            "http://registry.internal:5000" + PATH,
            "http://{host}/repository/hub-proxy" + PATH,
            "http://{host}/v2/app/tags/list",
            "//registry.internal" + PATH,
        ],
        ids=["another scheme", "an internal host", "a path prefix", "no virtual repository", "no scheme"],
    )
    def test_addresses_that_the_registry_knows_itself_by(self, address: str) -> None:
        with ScriptedServer(lambda _: Reply()) as server:
            link = f'<{address.replace("{host}", server.host)}?{{query}}>; rel="next"'
            names = listing(numbered(5), cap=2, link=link)
            server.script = lambda asked: names(asked) if urlsplit(asked.target).path == PATH else Reply(status=400)
            assert tags(server) == numbered(5)
            assert [urlsplit(request.target).path for request in server.shown] == [PATH] * 3

    def test_another_path_is_followed(self) -> None:
        """A continuation under a path of its own."""
        first = Reply(body=b'{"tags": ["v1"]}', headers={"Link": "</v2/pages/7?token=t>; rel=next"})

        def answer(request: ScriptedRequest) -> Reply:
            return Reply(body=b'{"tags": ["v2"]}') if request.target == "/v2/pages/7?token=t" else first

        with ScriptedServer(answer) as server:
            assert tags(server) == ["v1", "v2"]

    def test_after_a_redirect(self) -> None:
        link = f'<http://mirror.internal/mirror{PATH}?{{query}}>; rel="next"'
        names = listing(numbered(5), cap=2, link=link)

        def answer(request: ScriptedRequest) -> Reply:
            parts = urlsplit(request.target)
            if parts.path == PATH:
                return Reply(status=307, headers={"Location": f"/mirror{PATH}?{parts.query}"})
            return names(request)

        with ScriptedServer(answer) as server:
            assert tags(server) == numbered(5)

    @pytest.mark.parametrize(
        "link",
        [
            '{path}?{query}; rel="next"',
            '<{path}?{query}; rel="next"',
            '<{path}?{query}>; rel="next',
            '<{path}?n=2>; rel="first", <{path}?{query}; rel="next"',
            "<>; rel=next",
        ],
    )
    def test_a_next_page_in_no_readable_form_is_an_error(self, link: str) -> None:
        with ScriptedServer(listing(numbered(5), cap=2, link=link.replace("{path}", PATH))) as server:
            with pytest.raises(TemporaryError) as caught:
                tags(server)
            assert str(caught.value) == f"{server.url}{PATH} links to a next page in a form that cannot be read"

    def test_a_last_page_that_links_to_itself_is_settled_by_last(self) -> None:
        def answer(request: ScriptedRequest) -> Reply:
            names = ["v1", "v2"] if "last=" not in request.target else []
            return Reply(body=json.dumps({"tags": names}).encode(), headers={"Link": f"<{request.target}>; rel=next"})

        with ScriptedServer(answer) as server:
            assert tags(server) == ["v1", "v2"]
            assert queries(server) == ["n=1000", "n=1000&last=v2"]

    def test_a_last_name_that_comes_again_is_the_end(self) -> None:
        def answer(request: ScriptedRequest) -> Reply:
            if "last=" in request.target:
                return Reply(body=b'{"tags": ["v2"]}')
            return Reply(body=b'{"tags": ["v1", "v2"]}', headers={"Link": f"<{PATH}?last=v2>; rel=next"})

        with ScriptedServer(answer) as server:
            assert tags(server) == ["v1", "v2"]

    def test_an_empty_page_with_a_link_is_not_the_end(self) -> None:
        pages = [(["v1"], 1), ([], 2), (["v2"], 0)]

        def answer(request: ScriptedRequest) -> Reply:
            names, following = pages[int(parse_qs(urlsplit(request.target).query).get("page", ["0"])[0])]
            headers = {"Link": f"<{PATH}?page={following}>; rel=next"} if following else {}
            return Reply(body=json.dumps({"tags": names}).encode(), headers=headers)

        with ScriptedServer(answer) as server:
            assert tags(server) == ["v1", "v2"]


class TestWithoutLink:
    """The specification makes ``Link`` optional. Nexus and go-containerregistry's registry send none."""

    @pytest.mark.parametrize(
        ("count", "options", "expected"),
        [
            (3, {}, 1),
            (999, {}, 2),
            (2500, {}, 4),
            (2000, {}, 3),
            (1200, {"cap": 100}, 13),
            (130, {"cap": 50}, 4),
            (60, {"cap": 20}, 4),
            (1200, {"ignores_n": True, "ignores_last": True}, 2),
            (1000, {"ignores_n": True, "ignores_last": True}, 3),
            (100, {"ignores_n": True, "ignores_last": True}, 3),
            (101, {"ignores_last": True}, 2),
            (30, {"ignores_n": True, "ignores_last": True}, 2),
            (31, {"ignores_n": True, "ignores_last": True}, 1),
        ],
    )
    def test_all_tags_are_listed(self, count: int, options: dict[str, int], expected: int) -> None:
        with ScriptedServer(listing(numbered(count), **options)) as server:  # type: ignore[arg-type]
            assert tags(server) == numbered(count)
            assert len(server.shown) == expected

    def test_repositories_too(self) -> None:
        with ScriptedServer(listing(numbered(1500))) as server:
            assert repositories(server) == [f"team/{name}" for name in numbered(1500)]

    def test_with_an_inclusive_last(self) -> None:
        def answer(request: ScriptedRequest) -> Reply:
            after = parse_qs(urlsplit(request.target).query).get("last", [""])[0]
            return Reply(body=json.dumps({"tags": [name for name in numbered(1500) if name >= after][:1000]}).encode())

        with ScriptedServer(answer) as server:
            assert tags(server) == numbered(1500)

    @pytest.mark.parametrize(("count", "expected"), [(1300, 4), (130, 2), (77, 1)])
    def test_a_catalog_in_random_order_that_ignores_last(self, count: int, expected: int) -> None:
        """go-containerregistry's registry iterates over a map."""

        def answer(request: ScriptedRequest) -> Reply:
            size = int(parse_qs(urlsplit(request.target).query)["n"][0])
            names = random.sample([f"team/{number}" for number in range(count)], count)[:size]
            return Reply(body=json.dumps({"repositories": names}).encode())

        with ScriptedServer(answer) as server:
            assert sorted(repositories(server)) == sorted(f"team/{number}" for number in range(count))
            assert len(server.shown) == expected

    def test_each_name_is_listed_once(self) -> None:
        with ScriptedServer(lambda _: Reply(body=b'{"tags": ["v1", "v2", "v1"]}')) as server:
            assert tags(server) == ["v1", "v2"]

    def test_a_last_name_that_no_address_can_hold(self) -> None:
        names = [*numbered(99), "\ud800"]

        def answer(request: ScriptedRequest) -> Reply:
            return Reply(body=json.dumps({"tags": [] if "last=" in request.target else names}).encode())

        with ScriptedServer(answer) as server:
            assert tags(server) == names
            assert queries(server) == ["n=1000", "n=1000&last=%3F"]

    @pytest.mark.parametrize("cap", [100, 10**6], ids=["cut", "complete"])
    @pytest.mark.parametrize("overlap", [2, 50])
    def test_pages_that_overlap(self, cap: int, overlap: int) -> None:
        """The order is not that of ``last``, so that names could be skipped. A larger page helps, or nothing does."""

        def answer(request: ScriptedRequest) -> Reply:
            query = parse_qs(urlsplit(request.target).query)
            first = numbered(260).index(query["last"][0]) + 1 - overlap if "last" in query else 0
            size = min(cap, 100 if query["n"] == ["1000"] else 260)
            return Reply(body=json.dumps({"tags": numbered(260)[first : first + size]}).encode())

        with ScriptedServer(answer) as server:
            if cap > 260:
                assert tags(server) == numbered(260)
            else:
                with pytest.raises(RefusedError, match="its listing cannot be completed"):
                    tags(server)

    def test_a_catalog_that_denies_a_later_page_has_a_catalog(self) -> None:
        names = listing(numbered(1500))
        with ScriptedServer(
            lambda request: Reply(status=403) if "last=" in request.target else names(request)
        ) as server:
            with pytest.raises(DeniedError) as caught:
                repositories(server)
            assert str(caught.value) == (
                f"page 2 of a listing cannot be read: GET {server.url}/v2/_catalog answered 403 (not permitted with "
                "these credentials, or it does not exist)"
            )

    @pytest.mark.parametrize("cap", [50, 100, 1000])
    def test_a_limit_of_a_registry_that_ignores_last_is_no_end(self, cap: int) -> None:
        with ScriptedServer(listing(numbered(1300), cap=cap, ignores_last=True)) as server:
            with pytest.raises(RefusedError, match="its listing cannot be completed"):
                tags(server)

    def test_a_listing_that_cannot_be_completed_fails(self) -> None:
        names = listing(numbered(1300), ignores_last=True)

        def answer(request: ScriptedRequest) -> Reply:
            return Reply(status=400) if "n=10000" in request.target else names(request)

        with ScriptedServer(answer) as server:
            with pytest.raises(RefusedError) as caught:
                tags(server)
            assert str(caught.value) == (
                f"{server.url}{PATH} sends full pages of tags with neither a link to the next page nor a reliable "
                "order, and no larger pages; its listing cannot be completed"
            )


class TestPageSize:
    def test_quay_is_asked_for_no_more_than_it_returns(self) -> None:
        """It reduces a larger size, and has answered 413 to it: google/go-containerregistry#1963."""
        names = listing(numbered(250), cap=100, link=f"<{PATH}?{{query}}>; rel=next")

        def answer(request: ScriptedRequest) -> Reply:
            return names(request) if request.target.startswith(PATH) else Reply(status=401)

        robot = Credentials(username="team+robot", secret="secret")
        with ScriptedServer(answer) as server:
            endpoint = Endpoint(host=server.host, tls=False, credentials=robot)
            with closing(QuayClient(endpoint, api_url=server.url)) as asked:
                assert [tag.name for tag in asked.list_tags(Repository(server.host, "team/app"))] == numbered(250)
            pages = [urlsplit(request.target).query for request in server.shown if request.target.startswith(PATH)]
            assert pages == ["n=100", "n=100&last=00099", "n=100&last=00199"]

    @pytest.mark.parametrize("status", [400, 405, 413, 416, 422])
    def test_a_refused_size_is_made_smaller(self, status: int) -> None:
        names = listing(numbered(250), link=f"<{PATH}?{{query}}>; rel=next")

        def answer(request: ScriptedRequest) -> Reply:
            return Reply(status=status) if "n=1000" in request.target else names(request)

        with ScriptedServer(answer) as server:
            assert tags(server) == numbered(250)
            assert queries(server) == ["n=1000", "n=100", "n=100&last=00099", "n=100&last=00199"]

    def test_any_size_may_be_refused(self) -> None:
        body = b'{"errors": [{"code": "PAGINATION_NUMBER_INVALID", "message": "no"}]}'
        names = listing(numbered(7))

        def answer(request: ScriptedRequest) -> Reply:
            return Reply(status=400, body=body) if "n=" in request.target else names(request)

        with ScriptedServer(answer) as server:
            assert tags(server) == numbered(7)
            assert queries(server) == ["n=1000", "n=100", ""]


class TestBrokenOff:
    """An error on a later page says nothing about the repository."""

    @pytest.mark.parametrize(
        ("status", "expected", "text"),
        [
            (404, TemporaryError, "404"),
            (400, TemporaryError, "400"),
            (403, DeniedError, "403 (not permitted with these credentials, or it does not exist)"),
            (500, TemporaryError, "500"),
            (429, RateLimited, "429"),
        ],
    )
    @pytest.mark.parametrize("link", [f"<{PATH}?{{query}}>; rel=next", ""], ids=["Link", "last"])
    def test_a_later_page_fails(self, status: int, expected: type[RegistrySyncError], text: str, link: str) -> None:
        names = listing(numbered(1500), link=link)

        def answer(request: ScriptedRequest) -> Reply:
            headers = {"Retry-After": "60"} if status == 429 else {}
            return Reply(status=status, headers=headers) if "last=" in request.target else names(request)

        with ScriptedServer(answer) as server:
            with pytest.raises(RegistrySyncError) as caught:
                tags(server)
            assert type(caught.value) is expected
            assert str(caught.value) == f"page 2 of a listing cannot be read: GET {server.url}{PATH} answered {text}"
        if isinstance(caught.value, RateLimited):
            assert timedelta() < caught.value.retry_at - datetime.now(UTC) <= timedelta(seconds=60)


TIME = "2026-11-23T12:00:00Z"
DIGEST = f"sha256:{64 * '1'}"

VENDORS: dict[type[DistributionClient], Reply] = {
    QuayClient: Reply(body=json.dumps({"tags": [{"name": "v1"}], "has_additional": True}).encode()),
    HarborClient: Reply(
        body=json.dumps([{"digest": DIGEST, "tags": [{"name": "v1", "push_time": TIME}]}]).encode(),
        headers={"Link": "<?page=2>; rel=next"},
    ),
    AcrClient: Reply(body=b'{"tags": [{"name": "v1"}]}', headers={"Link": "<?last=v1>; rel=next"}),
    DockerHubClient: Reply(body=b'{"results": [{"name": "v1"}], "count": 2, "next": "?page=2"}'),
    GoogleClient: Reply(body=b'{"tags": ["v1"], "manifest": {}}', headers={"Link": "<?last=v1>; rel=next"}),
}


class TestVendors:
    """Their own listings are held to the same."""

    @pytest.mark.parametrize("status", [400, 404, 405, 500])
    @pytest.mark.parametrize("kind", VENDORS, ids=lambda kind: kind.__name__)
    def test_an_error_on_a_later_page_is_temporary(self, kind: type[DistributionClient], status: int) -> None:
        def answer(request: ScriptedRequest) -> Reply:
            query = parse_qs(urlsplit(request.target).query)
            is_first = "last" not in query and query.get("page", ["1"]) == ["1"]
            return VENDORS[kind] if is_first else Reply(status=status)

        with ScriptedServer(answer) as server:
            asked = kind(Endpoint(host=server.host, tls=False), api_url=server.url)
            with closing(asked), pytest.raises(TemporaryError, match=f"page 2 of a listing .* answered {status}"):
                list(asked.list_tags(Repository(server.host, "team/app")))

    @pytest.mark.parametrize("kind", [QuayClient, HarborClient], ids=lambda kind: kind.__name__)
    def test_each_repository_is_listed_once(self, kind: type[DistributionClient]) -> None:
        row = {"namespace": "team", "name": "app", "is_public": True}
        project = {"name": "team", "metadata": {"public": "true"}}

        def answer(request: ScriptedRequest) -> Reply:
            if "/projects?" in request.target:
                return Reply(body=json.dumps([project]).encode())
            rows = [{**row, "name": "team/app"}] * 2 if kind is HarborClient else {"repositories": [row, row]}
            return Reply(body=json.dumps(rows).encode())

        with ScriptedServer(answer) as server:
            asked = kind(Endpoint(host=server.host, tls=False), api_url=server.url)
            with closing(asked):
                assert [entry.name for entry in asked.list_repositories("team")] == ["team/app"]

    def test_a_full_page_of_acr_without_link(self) -> None:
        def answer(request: ScriptedRequest) -> Reply:
            after = parse_qs(urlsplit(request.target).query).get("last", [""])[0]
            names = [name for name in numbered(200) if name > after][:100]
            return Reply(body=json.dumps({"tags": [{"name": name} for name in names]}).encode())

        with ScriptedServer(answer) as server, closing(AcrClient(Endpoint(host=server.host, tls=False))) as asked:
            assert [tag.name for tag in asked.list_tags(Repository(server.host, "team/app"))] == numbered(200)
            assert queries(server) == ["n=1000", "n=1000&last=00099", "n=1000&last=00199"]

    def test_without_the_extension_a_google_listing_is_read_like_any_other(self) -> None:
        names = listing(numbered(250), cap=100)
        with ScriptedServer(names) as server, closing(GoogleClient(Endpoint(host=server.host, tls=False))) as asked:
            assert [tag.name for tag in asked.list_tags(Repository(server.host, "team/app"))] == numbered(250)

    @pytest.mark.parametrize("following", ["", ', "next": 2', ', "next": ""'])
    def test_docker_hub_must_tell_whether_a_page_follows(self, following: str) -> None:
        reply = Reply(body=f'{{"results": [{{"name": "v1"}}]{following}}}'.encode())
        with ScriptedServer(lambda _: reply) as server:
            asked = DockerHubClient(Endpoint(host=server.host, tls=False), api_url=server.url)
            with closing(asked), pytest.raises(TemporaryError) as caught:
                list(asked.list_tags(Repository(server.host, "team/app")))
            where = f"{server.url}/v2/namespaces/team/repositories/app/tags"
            assert str(caught.value) == f"{where} answered 200 without the address of the next page"
