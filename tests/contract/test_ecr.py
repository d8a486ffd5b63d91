"""The client against ECR's API definition, in front of a real registry and with errors that AWS sends."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LoginRejected,
    NeededImage,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.manifest import parse_manifest
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsRole
from registry_sync.registry.vendors.ecr.client import EcrClient
from testkit import images
from testkit.aws import ENVIRONMENT, NOWHERE, shared_keys
from testkit.ecr_api import EcrServer
from testkit.interceptor import Interceptor
from testkit.project import PROJECT
from testkit.registry import RegistryProcess
from testkit.sleeping_clock import SleepingClock
from tests.contract.aws_definition import AwsDefinition

ECR = AwsDefinition("ecr.json")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
IMAGES = [images.image([], labels={"number": str(number)}) for number in range(3)]
IDENTITY = "an identity of AWS: a connection of type aws, or identity: ambient"
pytestmark = pytest.mark.usefixtures("recorded_pauses")


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, "team/app", "v1", IMAGES[0])
        images.push(registry.url, "team/app", "latest", IMAGES[1])
        images.push(registry.url, "team/app", "v2", IMAGES[1])
        yield registry


@pytest.fixture
def ecr(registry: RegistryProcess) -> Iterator[EcrServer]:
    with EcrServer(registry) as ecr:
        ecr.create("team/app")
        ecr.set_pushed_at(IMAGES[0].digest, NOON)
        ecr.set_pushed_at(IMAGES[1].digest, NOON - timedelta(hours=2))
        yield ecr


def connect(ecr: EcrServer, identity: Any = None, **options: Any) -> Any:
    endpoint = Endpoint(host=ecr.host, tls=False, identity=identity or shared_keys())
    return closing(EcrClient(endpoint, api_url=ecr.url, **options))


def set_keys(monkeypatch: pytest.MonkeyPatch, key_id: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def app(ecr: EcrServer, name: str = "team/app") -> Repository:
    return Repository(ecr.host, name)


def tag(name: str, number: int, pushed_at: datetime | None) -> ListedTag:
    return ListedTag(name=name, digest=IMAGES[number].digest, pushed_at=pushed_at, is_image_time=True)


def test_our_requests_and_the_stand_in_are_what_the_definition_says(ecr: EcrServer, registry: RegistryProcess) -> None:
    images.push(registry.url, "team/old", "v1", IMAGES[2])
    ecr.create("team/old")
    ecr.templates.append({"prefix": "other", "appliedFor": ["REPLICATION"]})
    with connect(ecr) as client:
        list(client.list_tags(app(ecr)))
        list(client.list_repositories("team"))
        client.locked_tags(app(ecr), ["v1"])
        client.create_repository(app(ecr, "team/new"))
        client.delete_tag(app(ecr, "team/old"), "v1")
    actions = [ECR.check_request(call.target, call.body) for call in ecr.calls]
    assert actions == [
        "DescribeImages",
        "DescribeRepositories",
        "DescribeRepositories",
        "DescribeRepositories",
        "DescribeRepositoryCreationTemplates",
        "CreateRepository",
        "BatchDeleteImage",
    ]
    for call in ecr.calls:
        if call.status == 200:
            ECR.check_answer(call.action, call.answer)


class TestListing:
    def test_a_page_of_a_thousand_images_has_digests_and_times(self, ecr: EcrServer) -> None:
        with connect(ecr) as client:
            entries = list(client.list_tags(app(ecr)))
            assert client.traffic.requests == 1
        by_name = {entry.name: entry for entry in entries}
        earlier = NOON - timedelta(hours=2)
        assert by_name == {"v1": tag("v1", 0, NOON), "v2": tag("v2", 1, earlier), "latest": tag("latest", 1, earlier)}
        assert [call.document for call in ecr.calls] == [
            {"repositoryName": "team/app", "filter": {"tagStatus": "TAGGED"}, "maxResults": 1000}
        ]

    def test_the_account_is_that_of_the_host(self, ecr: EcrServer) -> None:
        """A proxy in front shows the host of ECR; the API is at its own address."""
        endpoint = Endpoint(host="123456789012.dkr.ecr.eu-west-1.amazonaws.com", identity=shared_keys())
        repository = Repository(endpoint.host, "team/app")
        with closing(EcrClient(endpoint, api_url=ecr.url)) as client:
            list(client.list_tags(repository))
            list(client.list_repositories("team"))
            client.locked_tags(repository, ["v1"])
        assert [call.document["registryId"] for call in ecr.calls] == ["123456789012"] * 3

    def test_pages_follow_the_token(self, ecr: EcrServer) -> None:
        ecr.page_size = 1
        with connect(ecr) as client:
            assert sorted(entry.name for entry in client.list_tags(app(ecr))) == ["latest", "v1", "v2"]
            assert client.traffic.requests == 2

    def test_a_time_is_that_of_the_image(self, ecr: EcrServer) -> None:
        """A tag that was moved just now may have an image that was pushed long ago."""
        with connect(ecr) as client:
            entries = {entry.name: entry for entry in client.list_tags(app(ecr), since=NOON - timedelta(hours=1))}
        earlier = NOON - timedelta(hours=2)
        assert entries == {"v1": tag("v1", 0, NOON), "v2": tag("v2", 1, earlier), "latest": tag("latest", 1, earlier)}

    def test_repositories_of_a_namespace(self, ecr: EcrServer) -> None:
        for name in ("team", "team/other", "teams/app"):
            ecr.create(name)
        ecr.page_size = 2
        with connect(ecr) as client:
            assert list(client.list_repositories("team")) == [
                ListedRepository(name="team/app"),
                ListedRepository(name="team/other"),
            ]
        assert ecr.actions() == ["DescribeRepositories"] * 2

    def test_a_missing_repository_is_not_found(self, ecr: EcrServer) -> None:
        with connect(ecr) as client, pytest.raises(NotFound) as caught:
            list(client.list_tags(app(ecr, "team/none")))
        assert str(caught.value) == (
            f"ecr:DescribeImages of {ecr.host}/team/none answered RepositoryNotFoundException: The repository with "
            "name 'team/none' does not exist in the registry with id '123456789012'"
        )

    @pytest.mark.parametrize("code", ["RepositoryNotFoundException", "InvalidParameterException", "AccessDenied"])
    def test_a_later_page_that_cannot_be_read_is_no_end(self, ecr: EcrServer, code: str) -> None:
        ecr.page_size = 1
        with connect(ecr) as client:
            entries = client.list_tags(app(ecr))
            next(entries)
            ecr.fail("DescribeImages", code)
            with pytest.raises((TemporaryError, DeniedError), match="page 2 of a listing cannot be read: "):
                list(entries)

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (b"{}", "answered without a list of imageDetails"),
            (b'{"imageDetails": null}', "answered without a list of imageDetails"),
            (b"<html>", "answered without a list of imageDetails"),
            (b'{"imageDetails": {"a": 1}}', ""),
            (b'{"imageDetails": [{"imageTags": ["v1"], "imagePushedAt": "soon"}]}', ""),
            (b'{"imageDetails": [], "nextToken": "x"}', "the pages of this listing form a loop"),
            (b'{"imageDetails": [], "nextToken": ["x"]}', "the pages of this listing form a loop"),
        ],
    )
    def test_what_is_not_a_listing_is_never_an_empty_one(self, ecr: EcrServer, body: bytes, problem: str) -> None:
        ecr.answer("POST", "^/$", 200, body)
        with connect(ecr) as client, pytest.raises(TemporaryError) as caught:
            list(client.list_tags(app(ecr)))
        assert problem in str(caught.value)
        assert str(caught.value).startswith(f"ecr:DescribeImages of {ecr.host}/team/app")

    @pytest.mark.parametrize("tags", [b"null", b"[]", b"[null]"])
    def test_an_image_without_tags_among_those_with_tags_is_an_error(self, ecr: EcrServer, tags: bytes) -> None:
        row = b'{"imageDigest": "%s", "imageTags": %s}' % (str(IMAGES[0].digest).encode(), tags)
        ecr.answer("POST", "^/$", 200, b'{"imageDetails": [' + row + b"]}")
        with connect(ecr) as client, pytest.raises(TemporaryError) as caught:
            list(client.list_tags(app(ecr)))
        assert str(caught.value) == f"ECR returned an image without a valid list of tags: {IMAGES[0].digest}"

    def test_without_an_identity_names_are_listed(self, ecr: EcrServer) -> None:
        endpoint = Endpoint(host=ecr.host, tls=False, credentials=Credentials(username="AWS", secret="token"))
        with closing(EcrClient(endpoint, api_url=ecr.url)) as client:
            names = [ListedTag(name=name) for name in ("latest", "v1", "v2")]
            assert list(client.list_tags(app(ecr))) == names
            assert client.locked_tags(app(ecr), ["v1"]) == frozenset()
        assert ecr.calls == []


class TestLocks:
    @pytest.mark.parametrize(
        ("setting", "filters", "locked"),
        [
            ("MUTABLE", [], set()),
            ("IMMUTABLE", [], {"v1", "v2", "latest", "dev-a.b"}),
            ("IMMUTABLE_WITH_EXCLUSION", ["latest", "dev-*"], {"v1", "v2"}),
            ("IMMUTABLE_WITH_EXCLUSION", ["*-a*b"], {"v1", "v2", "latest"}),
            ("IMMUTABLE_WITH_EXCLUSION", ["dev-a?b", "LATEST", "v"], {"v1", "v2", "latest", "dev-a.b"}),
            ("MUTABLE_WITH_EXCLUSION", ["v*"], {"v1", "v2"}),
        ],
    )
    def test_immutable_tags_are_locked(
        self, ecr: EcrServer, setting: str, filters: list[str], locked: set[str]
    ) -> None:
        rows = [{"filterType": "WILDCARD", "filter": each} for each in filters]
        ecr.create("team/app", imageTagMutability=setting, imageTagMutabilityExclusionFilters=rows)
        with connect(ecr) as client:
            for _ in range(2):
                assert client.locked_tags(app(ecr), ["v1", "v2", "latest", "dev-a.b"]) == locked
        assert ecr.actions() == ["DescribeRepositories"]

    def test_a_missing_repository_locks_nothing(self, ecr: EcrServer) -> None:
        with connect(ecr) as client:
            assert client.locked_tags(app(ecr, "team/none"), ["v1"]) == frozenset()

    def test_settings_that_may_not_be_read(self, ecr: EcrServer) -> None:
        text = "User: arn:aws:sts::1:assumed-role/mirror/x is not authorized to perform: ecr:DescribeRepositories"
        ecr.fail("DescribeRepositories", "AccessDeniedException", text)
        with connect(ecr) as client, pytest.raises(DeniedError) as caught:
            client.locked_tags(app(ecr), ["v1"])
        assert str(caught.value) == (
            f"ecr:DescribeRepositories of {ecr.host}/team/app answered AccessDeniedException: {text}; allow "
            "ecr:DescribeRepositories in the policy of the identity"
        )


class TestCreation:
    def test_a_missing_repository_is_created_once(self, ecr: EcrServer) -> None:
        with connect(ecr) as client:
            for _ in range(2):
                client.create_repository(app(ecr, "team/new"))
        assert ecr.actions() == [
            *("DescribeRepositories", "DescribeRepositoryCreationTemplates", "CreateRepository"),
            "DescribeRepositories",
        ]
        assert ecr.calls[2].document == {"repositoryName": "team/new"}

    @pytest.mark.parametrize(
        ("prefix", "applied_for", "creates"),
        [
            ("team", ["CREATE_ON_PUSH"], False),
            ("ROOT", ["REPLICATION", "CREATE_ON_PUSH"], False),
            ("team", ["PULL_THROUGH_CACHE"], True),
            ("tea", ["CREATE_ON_PUSH"], True),
            ("team/new", ["CREATE_ON_PUSH"], True),
        ],
    )
    def test_a_template_is_left_to_the_push(
        self, ecr: EcrServer, prefix: str, applied_for: list[str], creates: bool
    ) -> None:
        ecr.templates.append({"prefix": prefix, "appliedFor": applied_for})
        with connect(ecr) as client:
            client.create_repository(app(ecr, "team/new"))
        assert ("CreateRepository" in ecr.actions()) is creates

    @pytest.mark.parametrize(
        ("prefixes", "creates"),
        [
            (["ROOT", "team"], True),
            (["ROOT", "team/", "other"], True),
            (["ROOT", "team/new", "tea"], False),
            (["team/x", "team/new/x"], True),
        ],
    )
    def test_the_longest_prefix_decides(self, ecr: EcrServer, prefixes: list[str], creates: bool) -> None:
        """Only the first of the templates is for pushes. The order of the list does not count."""
        ecr.page_size = 1
        rows = [{"prefix": prefix, "appliedFor": ["REPLICATION"]} for prefix in prefixes]
        rows[0]["appliedFor"] = ["CREATE_ON_PUSH"]
        for templates in (rows, rows[::-1]):
            ecr.templates = list(templates)
            ecr.calls.clear()
            with connect(ecr) as client:
                client.create_repository(app(ecr, "team/new" if templates is rows else "team/again"))
            assert ("CreateRepository" in ecr.actions()) is creates

    def test_templates_of_another_account_decide_nothing(self, ecr: EcrServer) -> None:
        ecr.account = "210987654321"
        endpoint = Endpoint(host="123456789012.dkr.ecr.eu-west-1.amazonaws.com", identity=shared_keys())
        repository = Repository(endpoint.host, "team/new")
        with closing(EcrClient(endpoint, api_url=ecr.url)) as client:
            client.create_repository(Repository(endpoint.host, "team/app"))
            with pytest.raises(DeniedError) as caught:
                client.create_repository(repository)
        assert str(caught.value) == (
            f"{repository} does not exist, and was not created: whether a creation template of account 123456789012 "
            "is for it cannot be known by an identity of account 210987654321; assume a role of account 123456789012, "
            "create the repository, or remove create_repository where a template creates it"
        )
        assert "CreateRepository" not in ecr.actions()

    @pytest.mark.parametrize("code", ["UnknownOperationException", "UnsupportedOperation", "InvalidAction"])
    def test_a_region_without_templates(self, ecr: EcrServer, code: str) -> None:
        ecr.fail("DescribeRepositoryCreationTemplates", code)
        with connect(ecr) as client:
            client.create_repository(app(ecr, "team/new"))
        assert ecr.actions()[-1] == "CreateRepository"

    def test_a_repository_that_another_task_creates_meanwhile(self, ecr: EcrServer) -> None:
        ecr.fail("CreateRepository", "RepositoryAlreadyExistsException", "it already exists")
        with connect(ecr) as client:
            client.create_repository(app(ecr, "team/new"))

    @pytest.mark.parametrize(
        ("action", "code", "error"),
        [
            ("CreateRepository", "LimitExceededException", RefusedError),
            ("CreateRepository", "KmsException", RefusedError),
            ("CreateRepository", "AccessDeniedException", DeniedError),
            ("DescribeRepositoryCreationTemplates", "AccessDeniedException", DeniedError),
            ("DescribeRepositories", "AccessDeniedException", DeniedError),
        ],
    )
    def test_a_repository_that_cannot_be_created(
        self, ecr: EcrServer, action: str, code: str, error: type[RegistrySyncError]
    ) -> None:
        ecr.fail(action, code, "no")
        with connect(ecr) as client, pytest.raises(error, match=f"^ecr:{action} of .* answered {code}: no"):
            client.create_repository(app(ecr, "team/new"))

    def test_an_answer_without_the_repository_is_not_a_success(self, ecr: EcrServer) -> None:
        ecr.answer_with("CreateRepository", {})
        with connect(ecr) as client, pytest.raises(TemporaryError) as caught:
            client.create_repository(app(ecr, "team/new"))
        assert str(caught.value) == f"ecr:CreateRepository of {ecr.host}/team/new answered without the repository"

    def test_creation_needs_an_identity(self, ecr: EcrServer) -> None:
        """With a fixed login the repositories that exist get their copies."""
        with closing(EcrClient(Endpoint(host=ecr.host, tls=False))) as client:
            client.create_repository(app(ecr))
            with pytest.raises(DeniedError) as caught:
                client.create_repository(app(ecr, "team/new"))
            assert client.create_fault() == f"creating repositories at {ecr.host} needs {IDENTITY}"
        assert str(caught.value) == (
            f"{ecr.host}/team/new does not exist, and creating repositories at {ecr.host} needs {IDENTITY}; else "
            "create it (aws ecr create-repository), or remove create_repository where a creation template creates it"
        )


class TestDeletion:
    def test_a_tag_is_deleted_alone(self, ecr: EcrServer, registry: RegistryProcess) -> None:
        images.push(registry.url, "team/app", "gone", IMAGES[1])
        with connect(ecr) as client:
            client.delete_tag(app(ecr), "gone")
            assert client.head_manifest(app(ecr), "gone") is None
            assert client.head_manifest(app(ecr), "v2") == IMAGES[1].digest
            assert client.delete_fault() == ""
        assert [call.document for call in ecr.calls] == [
            {"repositoryName": "team/app", "imageIds": [{"imageTag": "gone"}]}
        ]

    def test_a_missing_tag_is_not_found(self, ecr: EcrServer) -> None:
        with connect(ecr) as client, pytest.raises(NotFound) as caught:
            client.delete_tag(app(ecr), "none")
        assert str(caught.value) == (
            f"ecr:BatchDeleteImage of {ecr.host}/team/app:none failed with ImageNotFound: Requested image not found"
        )

    def test_the_last_tag_of_an_image_that_an_index_has(self, ecr: EcrServer) -> None:
        ecr.refer_to(IMAGES[0].digest)
        with connect(ecr) as client, pytest.raises(NeededImage) as caught:
            client.delete_tag(app(ecr), "v1")
        assert str(caught.value) == (
            f"an index there still has its image (ecr:BatchDeleteImage of {ecr.host}/team/app:v1 failed with "
            "ImageReferencedByManifestList: Requested image referenced by manifest list)"
        )

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ({"imageIds": [], "failures": []}, TemporaryError),
            ({}, TemporaryError),
            ({"imageIds": [{"imageTag": "v2"}]}, TemporaryError),
            ({"imageIds": [{"imageTag": "v1"}], "failures": [{"failureCode": "KmsError"}]}, RefusedError),
            ({"failures": [{"failureCode": "ImageTagDoesNotMatchDigest"}]}, TemporaryError),
            ({"failures": [{"failureCode": "UpstreamUnavailable"}]}, TemporaryError),
            ({"failures": [{}]}, RefusedError),
        ],
    )
    def test_a_200_with_failures_is_not_a_success(
        self, ecr: EcrServer, answer: dict[str, Any], error: type[RegistrySyncError]
    ) -> None:
        ecr.answer_with("BatchDeleteImage", answer)
        with connect(ecr) as client, pytest.raises(error):
            client.delete_tag(app(ecr), "v1")
        assert ecr.actions() == ["BatchDeleteImage"]


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("ThrottlingException", 400),
            ("Throttling", 400),
            ("TooManyRequestsException", 400),
            ("RequestLimitExceeded", 503),
            ("com.amazon.coral.availability#ThrottlingException", 400),
            ("ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.availability/", 400),
            ("anything", 429),
        ],
    )
    @pytest.mark.usefixtures("sleeping_clock")
    def test_a_throttled_call_pauses_and_is_repeated(self, ecr: EcrServer, code: str, status: int) -> None:
        ecr.fail("DescribeImages", code, "Rate exceeded", status=status, times=4)
        with connect(ecr) as client:
            assert len(list(client.list_tags(app(ecr)))) == 3
            assert client.traffic.requests == 5
            assert client.traffic.waits >= 4

    @pytest.mark.usefixtures("sleeping_clock")
    def test_throttling_that_does_not_end_is_a_rate_limit(self, ecr: EcrServer) -> None:
        ecr.fail("DescribeImages", "ThrottlingException", "Rate exceeded")
        with connect(ecr) as client, pytest.raises(RateLimited) as caught:
            list(client.list_tags(app(ecr)))
        assert "for 300 s although all requests paused" in str(caught.value)

    @pytest.mark.parametrize(
        ("code", "status"), [("ServerException", 500), ("ServerException", 400), ("ServiceUnavailable", 503), ("", 502)]
    )
    def test_an_outage_is_repeated(self, ecr: EcrServer, code: str, status: int, recorded_pauses: list[float]) -> None:
        ecr.fail("DescribeImages", code, "down", status=status, times=2)
        with connect(ecr) as client:
            assert len(list(client.list_tags(app(ecr)))) == 3
        assert ecr.actions() == ["DescribeImages"] * 3
        assert len(recorded_pauses) == 2

    def test_an_outage_that_lasts_is_temporary(self, ecr: EcrServer) -> None:
        ecr.fail("DescribeImages", "ServerException", "down", status=500)
        with connect(ecr) as client, pytest.raises(TemporaryError) as caught:
            list(client.list_tags(app(ecr)))
        assert str(caught.value) == f"POST {ecr.url}/ answered 503 down"
        assert ecr.actions() == ["DescribeImages"] * 3

    def test_a_broken_connection_is_repeated(self, ecr: EcrServer) -> None:
        ecr.reset("POST", "^/$", times=1)
        with connect(ecr) as client:
            assert len(list(client.list_tags(app(ecr)))) == 3

    @pytest.mark.parametrize("code", ["ExpiredTokenException", "ExpiredToken"])
    def test_credentials_that_have_ended_are_read_anew_once(
        self, ecr: EcrServer, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        set_keys(monkeypatch, "ASIAFIRST")
        with connect(ecr, AwsIdentity(origin="the worker")) as client:
            list(client.list_tags(app(ecr)))
            set_keys(monkeypatch, "ASIASECOND")
            ecr.fail("DescribeImages", code, "The security token included in the request is expired", times=1)
            assert len(list(client.list_tags(app(ecr)))) == 3
            assert client.traffic.requests == 3
        assert [call.key_id for call in ecr.calls] == ["ASIAFIRST", "ASIAFIRST", "ASIASECOND"]

    def test_credentials_that_end_between_two_pages(self, ecr: EcrServer, monkeypatch: pytest.MonkeyPatch) -> None:
        ecr.page_size = 1
        set_keys(monkeypatch, "ASIAFIRST")
        with connect(ecr, AwsIdentity(origin="the worker")) as client:
            entries = client.list_tags(app(ecr))
            first = next(entries)
            set_keys(monkeypatch, "ASIASECOND")
            ecr.expired.add("ASIAFIRST")
            assert sorted([first.name, *(entry.name for entry in entries)]) == ["latest", "v1", "v2"]

    def test_an_identity_without_valid_credentials_is_rejected(
        self, ecr: EcrServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_keys(monkeypatch, "ASIAFIRST")
        ecr.expired.add("ASIAFIRST")
        with connect(ecr, AwsIdentity(origin="the worker")) as client, pytest.raises(LoginRejected) as caught:
            list(client.list_tags(app(ecr)))
        assert str(caught.value) == (
            f"ecr:DescribeImages of {ecr.host}/team/app answered ExpiredTokenException: The security token included in "
            "the request is expired"
        )
        assert ecr.actions() == ["DescribeImages"] * 2

    def test_a_role_that_may_not_be_assumed(self, ecr: EcrServer, wire: Interceptor) -> None:
        text = b"<Error><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error>"
        wire.answer("POST", "^/$", 403, b"<ErrorResponse>" + text + b"</ErrorResponse>")
        role = AwsRole(arn="arn:aws:iam::123456789012:role/mirror")
        identity = replace(shared_keys(), role=role, endpoint_urls={"sts": wire.url})
        with connect(ecr, identity) as client, pytest.raises(LoginRejected) as caught:
            list(client.list_tags(app(ecr)))
        assert str(caught.value) == (
            "AWS denies sts:AssumeRole to the keys of the test (AccessDenied: not authorized to perform: "
            "sts:AssumeRole)"
        )
        assert ecr.calls == []

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("UnrecognizedClientException", LoginRejected),
            ("InvalidSignatureException", LoginRejected),
            ("InvalidClientTokenId", LoginRejected),
            ("AccessDeniedException", DeniedError),
            ("AccessDenied", DeniedError),
            ("UnauthorizedOperation", DeniedError),
            ("RepositoryNotFoundException", NotFound),
            ("InvalidParameterException", RefusedError),
            ("ValidationException", RefusedError),
            ("anything", RefusedError),
        ],
    )
    def test_other_errors_stay(self, ecr: EcrServer, code: str, error: type[RegistrySyncError]) -> None:
        ecr.fail("DescribeImages", code, "no")
        with connect(ecr) as client, pytest.raises(error) as caught:
            list(client.list_tags(app(ecr)))
        assert type(caught.value) is error
        assert str(caught.value).startswith(f"ecr:DescribeImages of {ecr.host}/team/app answered {code}: no")
        assert ecr.actions() == ["DescribeImages"]

    def test_no_credentials_are_a_mistake_of_the_worker(self, ecr: EcrServer, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        with connect(ecr, AwsIdentity(origin="the worker")) as client, pytest.raises(ConfigurationError) as caught:
            list(client.list_tags(app(ecr)))
        assert str(caught.value).startswith("the worker has no AWS identity: none in the environment (")
        assert ecr.calls == []

    def test_a_worker_without_the_sdk(self, ecr: EcrServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "boto3", None)
        with connect(ecr) as client, pytest.raises(ConfigurationError, match=r"pip install boto3"):
            list(client.list_tags(app(ecr)))

    def test_an_abort_ends_the_waiting(self, ecr: EcrServer) -> None:
        with connect(ecr) as client:
            list(client.list_tags(app(ecr)))
            client.abort()
            with pytest.raises(TemporaryError):
                list(client.list_tags(app(ecr)))
        assert len(ecr.calls) == 1


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "https://api.ecr.eu-west-1.amazonaws.com"),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "https://api.ecr-fips.us-east-1.amazonaws.com"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "https://api.ecr.cn-north-1.amazonaws.com.cn"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "https://ecr.eu-west-1.api.aws"),
        ("123456789012.dkr-ecr-fips.us-east-1.on.aws", "https://ecr-fips.us-east-1.api.aws"),
    ],
)
def test_the_api_of_a_host(host: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not there keeps the request on this machine."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.delenv("no_proxy", raising=False)
    client = EcrClient(Endpoint(host=host, identity=shared_keys()))
    with closing(client), pytest.raises(TemporaryError) as caught:
        list(client.list_tags(Repository(host, "team/app")))
    assert str(caught.value) == (
        f"the proxy {NOWHERE}, which leads to {address}, cannot be reached: [Errno 111] Connection refused"
    )


def test_the_api_is_called_ten_times_a_second(ecr: EcrServer, sleeping_clock: SleepingClock) -> None:
    with connect(ecr) as client:
        began = sleeping_clock.monotonic()
        for _ in range(11):
            list(client.list_tags(app(ecr)))
    assert sleeping_clock.monotonic() - began >= 1.0


def test_manifests_are_put_ten_times_a_second(ecr: EcrServer, sleeping_clock: SleepingClock) -> None:
    """The quota of an account and region."""
    manifest = parse_manifest(IMAGES[0].content, IMAGES[0].media_type)
    with connect(ecr) as client:
        began = sleeping_clock.monotonic()
        for number in range(11):
            client.put_manifest(app(ecr), f"put-{number}", manifest)
    assert sleeping_clock.monotonic() - began >= 1.0


def test_a_push_to_a_missing_repository_is_refused(ecr: EcrServer) -> None:
    manifest = parse_manifest(IMAGES[0].content, IMAGES[0].media_type)
    with connect(ecr) as client, pytest.raises(RefusedError, match="create it at the registry first"):
        client.put_manifest(app(ecr, "team/none"), "v1", manifest)


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("source", {"DescribeImages", "DescribeRepositories"}),
        ("destination", {"DescribeImages", "DescribeRepositories"}),
        (
            "destination with create_repository or prune",
            {
                *("DescribeImages", "DescribeRepositories", "DescribeRepositoryCreationTemplates"),
                *("CreateRepository", "BatchDeleteImage"),
            },
        ),
    ],
)
def test_the_documented_policies_allow_what_is_called(heading: str, expected: set[str]) -> None:
    text = (PROJECT / "docs" / "registry-ecr.md").read_text()
    section = text.partition(f"### Policy of a {heading}\n")[2]
    policy = json.loads(section.partition("```json\n")[2].partition("```")[0])
    actions = [action for each in policy["Statement"] for action in listed(each["Action"])]
    called = {action.removeprefix("ecr:") for action in actions} & ECR.document["operations"].keys()
    assert called == expected | {"GetAuthorizationToken"}
    known = set(boto3.client("ecr", region_name="eu-west-1").meta.service_model.operation_names)
    assert {action.removeprefix("ecr:") for action in actions} <= known


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
