"""ECR by moto's server, and whole routes to and from a stand-in for ECR in front of a real registry.

moto serves repositories, images, immutability and deletion. It serves no pages (``maxResults``), no creation templates,
no throttling and no ``/v2``: those are in ``tests/contract/test_ecr.py`` and in the routes here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from registry_sync.errors import NotFound
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedRepository
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.vendors.ecr.client import EcrClient
from registry_sync.routes.route import Route
from registry_sync.sync.window import Window
from testkit import images
from testkit.aws import ACCOUNT, ENVIRONMENT, shared_keys
from testkit.ecr_api import EcrServer
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route

HOST = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
IMAGES = [images.image([], labels={"number": str(number)}) for number in range(4)]
GONE = {"tags": "gone_at_source", "max_percent": 100, "dry_run": False}
KEYS = shared_keys()


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of moto's server, in a thread of this process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def sdk(moto: str) -> Any:
    """A client of the SDK itself, which fills moto's registry."""
    keys = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "secret"}
    return boto3.client("ecr", region_name="eu-west-1", endpoint_url=moto, **keys)


def connect(moto: str) -> Any:
    return closing(EcrClient(Endpoint(host=HOST, identity=KEYS), api_url=moto))


def push(client: Any, name: str, tag: str, number: int) -> None:
    image = IMAGES[number]
    client.put_image(
        registryId=ACCOUNT,
        repositoryName=name,
        imageTag=tag,
        imageManifest=image.content.decode(),
        imageManifestMediaType=image.media_type,
        imageDigest=str(image.digest),
    )


class TestMoto:
    def test_tags_with_digests_and_times(self, moto: str) -> None:
        began = datetime.now(UTC) - timedelta(seconds=2)
        aws = sdk(moto)
        aws.create_repository(registryId=ACCOUNT, repositoryName="listing/app")
        for tag, number in (("v1", 0), ("v2", 1), ("latest", 1)):
            push(aws, "listing/app", tag, number)
        with connect(moto) as client:
            entries = list(client.list_tags(Repository(HOST, "listing/app")))
            assert client.traffic.requests == 1
            assert {entry.name: entry.digest for entry in entries} == {
                "v1": IMAGES[0].digest,
                "v2": IMAGES[1].digest,
                "latest": IMAGES[1].digest,
            }
            assert all(entry.pushed_at and began <= entry.pushed_at for entry in entries)
            assert list(client.list_repositories("listing")) == [ListedRepository(name="listing/app")]
            with pytest.raises(NotFound, match="answered RepositoryNotFoundException: The repository with name"):
                list(client.list_tags(Repository(HOST, "listing/none")))

    def test_the_locks_are_those_that_a_push_meets(self, moto: str) -> None:
        aws = sdk(moto)
        aws.create_repository(
            registryId=ACCOUNT,
            repositoryName="locks/app",
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
        )
        tags = ("v1", "dev-1", "latest")
        for number, tag in enumerate(tags):
            push(aws, "locks/app", tag, number)
        with connect(moto) as client:
            locked = client.locked_tags(Repository(HOST, "locks/app"), tags)
        refused = set()
        for tag in tags:
            try:
                push(aws, "locks/app", tag, 3)
            except aws.exceptions.ImageAlreadyExistsException:  # moto, for ImageTagAlreadyExistsException
                refused.add(tag)
        assert locked == refused == {"v1", "latest"}

    def test_tags_are_deleted_one_by_one(self, moto: str) -> None:
        aws = sdk(moto)
        aws.create_repository(registryId=ACCOUNT, repositoryName="deletion/app")
        push(aws, "deletion/app", "v1", 2)
        push(aws, "deletion/app", "v1.0", 2)
        repository = Repository(HOST, "deletion/app")
        with connect(moto) as client:
            client.delete_tag(repository, "v1")
            assert [entry.name for entry in client.list_tags(repository)] == ["v1.0"]
            with pytest.raises(NotFound, match="failed with ImageNotFound"):
                client.delete_tag(repository, "v1")
            client.delete_tag(repository, "v1.0")
            assert list(client.list_tags(repository)) == []


@pytest.fixture
def ecr() -> Iterator[EcrServer]:
    with RegistryProcess() as registry, EcrServer(registry) as ecr:
        yield ecr


def to_ecr(source: RegistryProcess, ecr: EcrServer, name: str, *, creates: bool = False, **settings: Any) -> Route:
    route = make_route(source, ecr, name, destination_kind="ecr", **settings)
    return replace(route, destination=replace(route.destination, api_url=ecr.url, create_repository=creates))


class TestRoutes:
    def test_a_repository_is_created_before_the_first_push(
        self, source: RegistryProcess, ecr: EcrServer, name: str
    ) -> None:
        for number, tag in enumerate(("v1", "v2", "v3")):
            images.push(source.url, name, tag, IMAGES[number])
        route = to_ecr(source, ecr, name, creates=True)
        assert counted(run_route(route, identity=KEYS)) == {"copied": 3}
        assert ecr.actions() == [
            "DescribeImages",
            *("DescribeRepositories", "DescribeRepositoryCreationTemplates", "CreateRepository"),
        ]
        ecr.calls.clear()
        assert counted(run_route(route, identity=KEYS)) == {"unchanged": 3}
        assert ecr.actions() == ["DescribeImages"]

    def test_without_creation_the_failure_says_what_to_do(
        self, source: RegistryProcess, ecr: EcrServer, name: str
    ) -> None:
        images.push(source.url, name, "v1", IMAGES[0])
        report = run_route(to_ecr(source, ecr, name), identity=KEYS)
        assert counted(report) == {"failed": 1}
        (note,) = report.notes
        assert note == (
            f"if {name!r} does not exist yet: create it (aws ecr create-repository), write create_repository: true for "
            "the registry, or make a repository creation template for CREATE_ON_PUSH"
        )

    def test_an_immutable_tag_is_reported_as_locked_and_nothing_is_sent(
        self, source: RegistryProcess, ecr: EcrServer, name: str
    ) -> None:
        for tag in ("v1", "latest", "v2"):
            images.push(source.url, name, tag, IMAGES[0])
        rows = [{"filterType": "WILDCARD", "filter": "latest"}]
        ecr.create(name, imageTagMutability="IMMUTABLE_WITH_EXCLUSION", imageTagMutabilityExclusionFilters=rows)
        route = to_ecr(source, ecr, name)
        assert counted(run_route(route, identity=KEYS)) == {"copied": 3}
        for tag in ("v1", "latest"):
            images.push(source.url, name, tag, IMAGES[1])
        ecr.calls.clear()
        report = run_route(route, identity=KEYS)
        assert counted(report) == {"copied": 1, "locked": 1, "unchanged": 1}
        assert result_of(report, "v1").reason.endswith(", where it is locked")
        assert sorted(ecr.actions()) == ["DescribeImages", "DescribeRepositories"]

    def test_pruning_keeps_immutable_tags_and_children_of_an_index(
        self, source: RegistryProcess, ecr: EcrServer, name: str
    ) -> None:
        for number, tag in enumerate(("v1", "v1-amd64", "old", "kept")):
            images.push(source.url, name, tag, IMAGES[number])
        rows = [{"filterType": "WILDCARD", "filter": "kept"}]
        ecr.create(name, imageTagMutability="MUTABLE_WITH_EXCLUSION", imageTagMutabilityExclusionFilters=rows)
        route = to_ecr(source, ecr, name, prune=GONE)
        first = run_route(route, identity=KEYS)
        ecr.refer_to(IMAGES[1].digest)
        for tag in ("v1-amd64", "old", "kept"):
            source.forget_tag(name, tag)
        second = run_route(route, identity=KEYS, planned=first.planned_deletions)
        third = run_route(route, identity=KEYS, planned=second.planned_deletions)
        assert counted(third) == {"unchanged": 1, "deleted": 1, "skipped": 1}
        assert result_of(third, "old").outcome == "deleted"
        (note,) = third.notes
        assert note == (
            "v1-amd64 is not deleted: an index there still has its image (ecr:BatchDeleteImage of "
            f"{ecr.host}/{name}:v1-amd64 failed with ImageReferencedByManifestList: Requested image referenced by "
            "manifest list)"
        )
        assert images.resolve(ecr.registry.url, name, "kept") == IMAGES[3].digest

    def test_a_window_at_a_source(self, ecr: EcrServer, destination: RegistryProcess, name: str) -> None:
        """The time of an image is the earliest of its tags, so tags of older images are compared, too."""
        noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
        ecr.create(name)
        for number, tag in enumerate(("v1", "v2")):
            images.push(ecr.registry.url, name, tag, IMAGES[number])
            ecr.set_pushed_at(IMAGES[number].digest, noon + timedelta(days=number))
        route = make_route(ecr, destination, name, source_kind="ecr")
        route = replace(route, source=replace(route.source, api_url=ecr.url))
        window = Window(start=noon + timedelta(hours=1), end=noon + timedelta(days=2), reason="requested")
        assert counted(run_route(route, identity=KEYS, window=window)) == {"copied": 2}
        ecr.calls.clear()
        assert counted(run_route(route, identity=KEYS, window=window)) == {"unchanged": 2}
        assert ecr.actions() == ["DescribeImages"]
