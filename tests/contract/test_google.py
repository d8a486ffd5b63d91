"""The client against bodies of Google's ``tags/list`` extension, and of registries without it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError, NotFound, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.vendors.google import GoogleClient
from testkit.clients import connect
from testkit.interceptor import Interceptor

EXAMPLE = json.loads(Path(__file__).with_name("google-registry.json").read_text())["gcr_tags_list"]
NAME = "my-project/app"
PATH = f"^/v2/{NAME}/tags/list$"
A, B = (f"sha256:{letter * 64}" for letter in "ab")
UPLOADED = datetime(2026, 11, 23, 18, 35, 20, tzinfo=UTC)
client = partial(connect, GoogleClient)


def tags(wire: Interceptor, since: datetime | None = None) -> list[ListedTag]:
    with client(wire) as asked:
        return list(asked.list_tags(Repository(wire.host, NAME), since=since))


def body(document: Any) -> bytes:
    return json.dumps(document).encode()


def manifest(uploaded_ms: Any, *names: str) -> dict[str, Any]:
    return {"mediaType": "application/vnd.oci.image.index.v1+json", "tag": names, "timeUploadedMs": uploaded_ms}


def test_the_example_is_read(wire: Interceptor) -> None:
    wire.answer("GET", EXAMPLE["request"]["path"], 200, body(EXAMPLE["body"]))
    digest = Digest.parse("sha256:70da357c73147325f935de07c372a01609c5c60979fac58f9a78fac4f4249a96")
    assert tags(wire) == [
        ListedTag(name=name, digest=digest, pushed_at=UPLOADED, is_image_time=True) for name in ("latest", "v1.0.0")
    ]
    assert [(request.path, request.query) for request in wire.requests()] == [(EXAMPLE["request"]["path"], "n=10000")]


@pytest.mark.parametrize("uploaded", ["0", "", "-1", None, 0, "1e9", "9" * 30, "1234"])
def test_a_time_that_is_none_is_unknown(wire: Interceptor, uploaded: Any) -> None:
    wire.answer("GET", PATH, 200, body({"manifest": {A: manifest(uploaded, "v1")}, "tags": ["v1"]}))
    assert tags(wire) == [ListedTag(name="v1", digest=Digest.parse(A), is_image_time=True)]


def test_a_time_is_that_of_the_content(wire: Interceptor) -> None:
    """``stable`` may just have been moved to this content, in a window that begins later."""
    manifests = {A: manifest("1795458920000", "new"), B: manifest("1795458919999", "stable")}
    wire.answer("GET", PATH, 200, body({"manifest": manifests, "tags": ["new", "stable"]}))
    earlier = UPLOADED.replace(second=19, microsecond=999000)
    assert [(entry.name, entry.pushed_at, entry.is_image_time) for entry in tags(wire, since=UPLOADED)] == [
        ("new", UPLOADED, True),
        ("stable", earlier, True),
    ]


def test_without_the_extension_tags_have_names(wire: Interceptor) -> None:
    wire.answer("GET", PATH, 200, body({"name": NAME, "tags": ["v1", "v2"]}))
    assert tags(wire) == [ListedTag(name="v1"), ListedTag(name="v2")]


def test_a_tag_that_no_manifest_names(wire: Interceptor) -> None:
    wire.answer("GET", PATH, 200, body({"manifest": {A: manifest("0", "v1")}, "tags": ["v1", "v2"]}))
    assert [(tag.name, tag.digest is None) for tag in tags(wire)] == [("v1", False), ("v2", True)]


def test_pages_are_followed_by_link(wire: Interceptor) -> None:
    link = {"Link": f'</v2/{NAME}/tags/list?n=10000&last=v1>; rel="next"'}
    wire.answer("GET", PATH, 200, body({"manifest": {A: manifest("0", "v1")}, "tags": ["v1"]}), link, times=1)
    wire.answer("GET", PATH, 200, body({"manifest": {A: manifest("0", "v1"), B: manifest("0", "v2")}, "tags": ["v2"]}))
    assert [(tag.name, str(tag.digest)) for tag in tags(wire)] == [("v1", A), ("v2", B)]


@pytest.mark.parametrize("document", [{"tags": None}, {"tags": [], "manifest": {}, "child": []}, {"manifest": None}])
def test_a_repository_without_tags_lists_none(wire: Interceptor, document: Any) -> None:
    wire.answer("GET", PATH, 200, body(document))
    assert tags(wire) == []


def test_a_path_that_only_leads_to_repositories(wire: Interceptor) -> None:
    wire.answer("GET", PATH, 200, body({"child": ["web", "api"], "manifest": {}, "name": NAME, "tags": []}))
    with pytest.raises(NotFound) as caught:
        tags(wire)
    assert (
        str(caught.value)
        == f"{wire.host}/{NAME} holds no images itself, only the repositories '{NAME}/web', '{NAME}/api'"
    )


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"name": NAME, "child": []},
        {"tags": "v1"},
        {"tags": [1]},
        {"tags": [], "manifest": [A]},
        {"tags": [], "manifest": {A: None}},
        {"tags": [], "manifest": {A: {"tag": "v1"}}},
        {"tags": [], "child": [None]},
    ],
)
def test_an_answer_that_is_no_list_is_no_empty_list(wire: Interceptor, document: Any) -> None:
    wire.answer("GET", PATH, 200, body(document))
    with pytest.raises(TemporaryError) as caught:
        tags(wire)
    assert str(caught.value) == f"{wire.url}/v2/{NAME}/tags/list answered 200 without a list of tags"


def test_repositories_below_a_namespace_are_found(wire: Interceptor) -> None:
    """One request per path. Paths without images are not repositories."""
    tree = {
        "my-project": {"child": ["app", "group"], "manifest": {}, "tags": []},
        "my-project/app": {"child": ["tools"], "manifest": {A: manifest("0")}, "tags": []},
        "my-project/app/tools": {"child": [], "manifest": {}, "tags": ["v1"]},
        "my-project/group": {"child": ["one"], "manifest": {}, "tags": []},
        "my-project/group/one": {"child": [], "manifest": {B: manifest("0", "v1")}, "tags": ["v1"]},
    }
    for name, document in tree.items():
        wire.answer("GET", f"^/v2/{name}/tags/list$", 200, body(document))
    with client(wire) as asked:
        found = list(asked.list_repositories("my-project"))
    assert found == [ListedRepository(name=f"my-project/{each}") for each in ("app", "app/tools", "group/one")]
    assert len(wire.requests()) == len(tree)


@pytest.mark.parametrize(("status", "answer"), [(200, b'{"tags": []}'), (404, b"no"), (403, b"no")])
def test_where_there_is_no_tree_the_catalog_is_read(wire: Interceptor, status: int, answer: bytes) -> None:
    wire.answer("GET", "^/v2/my-project/tags/list$", status, answer)
    wire.answer("GET", "^/v2/_catalog$", 200, body({"repositories": ["my-project/app", "other/app"]}))
    with client(wire) as asked:
        assert list(asked.list_repositories("my-project")) == [ListedRepository(name="my-project/app")]


def test_a_registry_without_tree_or_catalog_is_refused(wire: Interceptor) -> None:
    wire.answer("GET", "^/v2/my-project/tags/list$", 404, b"no")
    wire.answer("GET", "^/v2/_catalog$", 404, b"no")
    with client(wire) as asked, pytest.raises(ConfigurationError) as caught:
        list(asked.list_repositories("my-project"))
    assert str(caught.value).startswith(f"{wire.host} does not list its repositories, ")


def test_what_listing_costs(wire: Interceptor) -> None:
    manifests = {f"sha256:{each:064x}": manifest("1795458920000", f"v{each}") for each in range(1000)}
    wire.answer("GET", PATH, 200, body({"manifest": manifests, "tags": [f"v{each}" for each in range(1000)]}))
    assert len(tags(wire)) == 1000
    assert len(wire.requests()) == 1
