"""Harbor's own rules, by its API in front of a real registry: private projects, pull policies, proxies, accessories."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from registry_sync.errors import ConfigurationError, DeniedError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.vendors.harbor import HarborClient
from registry_sync.routes.route import Route
from testkit import images
from testkit.clients import connect
from testkit.harbor_api import UNSIGNED, HarborApi
from testkit.registry import RegistryProcess
from testkit.routes import FULL_CHECK, counted, make_route, result_of, run_route

client = partial(connect, HarborClient)

ROBOT = Credentials(username="robot$team+mirror", secret="the-robots-secret")
pytestmark = pytest.mark.usefixtures("minimal_jitter")


@pytest.fixture
def harbor(destination: RegistryProcess) -> Iterator[HarborApi]:
    with HarborApi(destination.url) as api:
        api.add_project("team")
        yield api


def to_harbor(source: RegistryProcess, harbor: HarborApi, name: str) -> Route:
    return make_route(source, harbor, name, destination_kind="harbor")


def from_harbor(harbor: HarborApi, destination: RegistryProcess, name: str) -> Route:
    return make_route(harbor, destination, name, source_kind="harbor")


class TestPrivateProjects:
    """A guard that is not told refuses. Harbor tells an anonymous user and a robot alike."""

    @pytest.mark.parametrize("credentials", [None, ROBOT])
    @pytest.mark.parametrize(
        ("is_public", "reason"),
        [
            (False, "project 'guarded' of HOST is private; write include_private: true to mirror it"),
            (
                None,
                "HOST does not report whether project 'guarded' is public; write include_private: true to mirror it",
            ),
        ],
    )
    def test_they_need_include_private(
        self,
        destination: RegistryProcess,
        harbor: HarborApi,
        credentials: Credentials | None,
        is_public: bool | None,
        reason: str,
    ) -> None:
        harbor.add_project("guarded", is_public=is_public)
        images.push(destination.url, "guarded/app", "v1", images.image([]))
        with client(harbor, credentials) as asked:
            with pytest.raises(ConfigurationError) as caught:
                list(asked.list_repositories("guarded"))
            assert str(caught.value) == reason.replace("HOST", harbor.host)
            assert [repository.name for repository in asked.list_repositories("guarded", include_private=True)] == [
                "guarded/app"
            ]

    def test_public_ones_do_not(self, destination: RegistryProcess, harbor: HarborApi) -> None:
        harbor.add_project("open")
        images.push(destination.url, "open/app", "v1", images.image([]))
        with client(harbor) as asked:
            assert [repository.name for repository in asked.list_repositories("open")] == ["open/app"]

    def test_a_missing_one_is_said_to_be_missing(self, harbor: HarborApi) -> None:
        with client(harbor) as asked, pytest.raises(ConfigurationError) as caught:
            list(asked.list_repositories("nosuch"))
        path = f"{harbor.url}/api/v2.0/projects/nosuch/repositories"
        assert str(caught.value) == (
            f"{harbor.host} has no project 'nosuch'; fix the namespace, which begins with a project (GET {path} "
            "answered 404 NOT_FOUND: project nosuch not found)"
        )


class TestPullPolicies:
    """A project that lets nobody pull unsigned images answers 412 to /v2. The API is not subject to it."""

    @pytest.mark.parametrize("tags", [("v1",), ("v1", "v2", "v3")], ids=["one tag", "more tags than pages"])
    def test_tags_are_published_with_a_note(
        self, source: RegistryProcess, harbor: HarborApi, name: str, tags: tuple[str, ...]
    ) -> None:
        for tag in tags:
            images.push(source.url, name, tag, images.image([], labels={"tag": tag, "name": name}))
        harbor.forbid_pulls()
        first = run_route(to_harbor(source, harbor, name))
        assert counted(first) == {"copied": len(tags)}
        [note] = [each for each in first.notes if UNSIGNED in each]
        where = f"{harbor.host}/{name} holds images that Harbor lets nobody pull: GET {harbor.url}/v2/{name}/manifests/"
        assert note.startswith(where)
        assert note.endswith(f" answered 412 PROJECTPOLICYVIOLATION: {UNSIGNED}")
        assert counted(run_route(to_harbor(source, harbor, name))) == {"unchanged": len(tags)}

    def test_a_changed_tag_replaces_the_blocked_one(
        self, source: RegistryProcess, harbor: HarborApi, name: str, destination: RegistryProcess
    ) -> None:
        images.push(destination.url, name, "v1", images.image([], labels={"old": name}))
        fixed = images.image([], labels={"fixed": name})
        images.push(source.url, name, "v1", fixed)
        harbor.forbid_pulls()
        assert counted(run_route(to_harbor(source, harbor, name))) == {"copied": 1}
        assert images.resolve(destination.url, name, "v1") == fixed.digest

    def test_at_a_source_they_fail_the_tag_with_harbors_words(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        images.push(source.url, name, "v1", images.image([], labels={"name": name}))
        with HarborApi(source.url) as harbor:
            harbor.forbid_pulls()
            report = run_route(from_harbor(harbor, destination, name))
        assert counted(report) == {"failed": 1}
        assert result_of(report, "v1").error_class == "refused"
        assert UNSIGNED in result_of(report, "v1").reason


class TestAccessories:
    """The listing says which artifacts something refers to; only these are asked for their referrers."""

    def test_a_full_check_asks_for_no_referrers_where_there_are_none(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        contents = [images.image([], labels={"name": f"{name} {number}"}) for number in range(5)]
        for number, content in enumerate(contents):
            images.push(source.url, name, f"v{number}", content)
        with HarborApi(source.url) as harbor:
            run_route(from_harbor(harbor, destination, name))
            harbor.clear_requests()
            digest = str(contents[0].digest)
            harbor.accessories[digest] = [{"id": 1, "type": "subject.accessory", "digest": digest, "size": 7}]
            assert counted(run_route(from_harbor(harbor, destination, name), window=FULL_CHECK)) == {"unchanged": 5}
            asked = [request.path for request in harbor.requests() if "/referrers/" in request.path]
        assert asked == [f"/v2/{name}/referrers/{digest}"]

    def test_what_was_not_listed_is_asked_for(self, harbor: HarborApi) -> None:
        with client(harbor) as asked:
            asked.list_referrers(Repository(harbor.host, "team/app"), Digest.of(b"a child"))
        assert [request.path for request in harbor.requests()] == [f"/v2/team/app/referrers/{Digest.of(b'a child')}"]


def test_a_proxy_cache_is_refused_as_a_destination(source: RegistryProcess, harbor: HarborApi) -> None:
    """Its reads show what its upstream has, so that everything would count as in sync."""
    harbor.add_project("cache", registry_id=7)
    images.push(source.url, "cache/app", "v1", images.image([]))
    with pytest.raises(ConfigurationError) as caught:
        run_route(to_harbor(source, harbor, "cache/app"))
    assert str(caught.value) == (
        f"project 'cache' of {harbor.host} is a proxy cache, which takes no pushes; use another project"
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b""), (403, b"<html><title>403 Forbidden</title></html>"), (404, b"404 page not found")],
)
def test_a_destination_whose_api_does_not_tell_is_refused_with_a_way_out(
    source: RegistryProcess, harbor: HarborApi, name: str, status: int, body: bytes
) -> None:
    """Such as behind a proxy that lets only /v2 through. It may be a proxy cache."""
    images.push(source.url, name, "v1", images.image([]))
    harbor.answer("GET", "^/api/v2.0/projects$", status, body)
    with pytest.raises(DeniedError) as caught:
        run_route(to_harbor(source, harbor, name))
    project = name.partition("/")[0]
    advice = "permit requests to /api/v2.0, or write kind: distribution"
    request = f"GET {harbor.url}/api/v2.0/projects answered {status}"
    reason = f"it is not known whether {project!r} is a proxy cache; {advice} ({request}"
    assert str(caught.value).startswith(reason)
    assert counted(run_route(make_route(source, harbor, name, destination_kind="distribution"))) == {"copied": 1}


def test_a_project_that_does_not_exist_gets_the_advice_to_create_it(source: RegistryProcess, harbor: HarborApi) -> None:
    images.push(source.url, "nosuch/app", "v1", images.image([]))
    harbor.forget_project("nosuch")
    report = run_route(to_harbor(source, harbor, "nosuch/app"), destination_credentials=ROBOT)
    assert counted(report) == {"failed": 1}
    assert (
        "if 'nosuch/app' does not exist yet: create the project 'nosuch' (Projects, New Project), and let the account "
        "push to it"
    ) in report.notes


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_read_only_mode_passes_by_itself(source: RegistryProcess, harbor: HarborApi, name: str, method: str) -> None:
    """Harbor's switch for garbage collection, backups and migrations."""
    images.push(source.url, name, "v1", images.image([images.layer({"name": name.encode()})]))
    problem = (
        b'{"errors":[{"code":"DENIED","message":"The system is in read only mode. Any modification is prohibited."}]}'
    )
    harbor.answer(method, f"^/v2/{name}/", 403, problem)
    report = run_route(to_harbor(source, harbor, name))
    assert result_of(report, "v1").error_class == "temporary"
    assert "read-only mode" in result_of(report, "v1").reason
    harbor.clear_rules()
    assert counted(run_route(to_harbor(source, harbor, name))) == {"copied": 1}
