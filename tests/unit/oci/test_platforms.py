"""Platform names, and indexes that are filtered by platform, down to their bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import ConfigurationError, RefusedError
from registry_sync.oci.manifest import OCI_INDEX, Manifest, Platform, parse_manifest
from registry_sync.oci.platforms import filter_index, matches_platform, parse_config_platform, parse_platform
from registry_sync.oci.reference import Digest
from testkit import images
from testkit.images import Image

NAMES = ("linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64", "linux/arm64/v8", "linux/s390x", "windows/amd64")


def parsed(image: Image) -> Manifest:
    return parse_manifest(image.content, image.media_type)


def platforms_in(manifest: Manifest) -> list[str]:
    return [str(child.platform) for child in manifest.children]


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm/v7", "windows/amd64"])
def test_valid_platforms_are_accepted(text: str) -> None:
    assert parse_platform(text) == text


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux/ amd64", "windows/amd64:10.0"]
)
def test_invalid_platforms_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_platform(text)
    assert str(caught.value) == f"expected a platform such as linux/amd64 or linux/arm/v7, got {text!r}"


@pytest.mark.parametrize(
    ("text", "usual"),
    [("linux/x86_64", "linux/amd64"), ("linux/aarch64", "linux/arm64"), ("linux/armhf", "linux/arm/v7")],
)
def test_aliases_of_architectures_are_refused_with_the_usual_name(text: str, usual: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_platform(text)
    assert str(caught.value) == f"{text!r} is not a platform name of images; write {usual!r}"


@pytest.mark.parametrize(
    ("there", "chosen", "expected"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "windows/amd64", False),
        ("linux/amd64/v3", "linux/amd64", True),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm/v7", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64/v9", "linux/arm64/v8", False),
    ],
)
def test_a_platform_matches_by_os_architecture_and_variant(there: str, chosen: str, *, expected: bool) -> None:
    os, architecture, *variant = there.split("/")
    platform = Platform(os=os, architecture=architecture, variant=variant[0] if variant else None)
    assert matches_platform(platform, chosen) is expected


def test_the_bytes_of_a_filtered_index_are_fixed() -> None:
    """Other bytes would give another digest, and copy every index of every mirror again."""
    a, b, c = ("sha256:" + 64 * each for each in "abc")
    unknown = '"platform": {"os": "unknown", "architecture": "unknown"}'
    document = f"""{{
      "schemaVersion": 2, "annotations": {{"z": "\\u00e9", "a": "1"}}, "mediaType": "{OCI_INDEX}",
      "artifactType": "application/vnd.example", "manifests": [
        {{"mediaType": "m", "size": 1, "digest": "{a}", "platform": {{"os": "linux", "architecture": "amd64"}},
          "annotations": {{"b": "2"}}, "data": "e30="}},
        {{"mediaType": "m", "size": 2, "digest": "{b}", "platform": {{"os": "linux", "architecture": "s390x"}}}},
        {{"mediaType": "m", "size": 3, "digest": "{c}", {unknown},
          "annotations": {{"vnd.docker.reference.digest": "{a}"}}}}
      ],
      "org.example.further": [1, 2.5, null, true]
    }}"""
    made = filter_index(parse_manifest(document.encode(), OCI_INDEX), ("linux/amd64",)).manifest
    assert made.media_type == OCI_INDEX
    assert made.content.decode("ascii") == (
        '{"schemaVersion":2,"annotations":{"z":"\\u00e9","a":"1"},'
        '"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":"application/vnd.example",'
        f'"manifests":[{{"mediaType":"m","size":1,"digest":"{a}",'
        '"platform":{"os":"linux","architecture":"amd64"},"annotations":{"b":"2"},"data":"e30="},'
        f'{{"mediaType":"m","size":3,"digest":"{c}",'
        '"platform":{"os":"unknown","architecture":"unknown"},'
        f'"annotations":{{"vnd.docker.reference.digest":"{a}"}}}}],'
        '"org.example.further":[1,2.5,null,true]}'
    )
    assert str(made.digest) == "sha256:23b1b4e0523ecb3fd3c73e225b27e14c5fcb20165794732289c68b339b3ab6a4"


@pytest.mark.parametrize("format", ["oci", "docker"])
def test_attestations_follow_their_image(format: images.Format) -> None:
    whole = images.multi_arch("app", ["linux/amd64", "linux/arm64", "linux/s390x"], format, attestations=True)
    choice = filter_index(parsed(whole), ("linux/arm64", "linux/amd64"))
    kept = {child.digest for child in choice.manifest.children}
    assert kept == {whole.children[index].digest for index in (0, 1, 3, 4)}
    assert choice.missing == ()
    assert choice.manifest.media_type == whole.media_type


def test_missing_platforms_are_listed() -> None:
    choice = filter_index(parsed(images.multi_arch("app")), ("linux/amd64", "linux/s390x", "windows/amd64"))
    assert choice.missing == ("linux/s390x", "windows/amd64")
    assert platforms_in(choice.manifest) == ["linux/amd64"]


def test_an_index_without_any_selected_platform_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        filter_index(parsed(images.multi_arch("app")), ("linux/s390x", "windows/amd64"))
    assert str(caught.value) == (
        "the image has none of the platforms linux/s390x, windows/amd64; it has linux/amd64, linux/arm64"
    )


def test_a_digest_with_two_platforms_is_kept_for_one_of_them() -> None:
    one = images.image([], "linux/amd64")
    index = images.index([one, replace(one, platform="linux/s390x")])
    assert platforms_in(filter_index(parsed(index), ("linux/s390x",)).manifest) == ["linux/s390x"]


@pytest.mark.parametrize(
    "content",
    [images.nested_index("app"), images.index([images.artifact("chart")]), images.index([])],
    ids=["nested", "artifacts", "empty"],
)
def test_an_index_without_platforms_is_returned_unchanged(content: Image) -> None:
    whole = parsed(content)
    assert filter_index(whole, ("linux/amd64",)).manifest is whole


@given(
    there=st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    chosen=st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    attestations=st.booleans(),
    annotations=st.none() | st.dictionaries(st.text(), st.text(), max_size=3),
    indent=st.none() | st.integers(0, 3),
)
def test_filtering_is_idempotent_and_independent_of_order(
    there: list[str],
    chosen: list[str],
    attestations: bool,
    annotations: dict[str, str] | None,
    indent: int | None,
) -> None:
    children = images.multi_arch("app", there, attestations=attestations).children
    document = json.loads(images.index(children, annotations=annotations).content)
    whole = parse_manifest(json.dumps(document, indent=indent).encode(), OCI_INDEX)
    try:
        choice = filter_index(whole, chosen)
    except RefusedError:
        assert not any(
            matches_platform(child.platform, each) for child in whole.children if child.platform for each in chosen
        )
        return
    made = choice.manifest
    assert set(made.children) <= set(whole.children)
    assert [child for child in whole.children if child in made.children] == list(made.children)
    assert made.digest == Digest.of(made.content)
    assert filter_index(parse_manifest(whole.content, OCI_INDEX), chosen[::-1]).manifest.content == made.content
    assert filter_index(made, chosen).manifest is made
    assert (made is whole) == (len(made.children) == len(whole.children))
    assert without(json.loads(made.content)) == without(json.loads(whole.content))


def without(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "manifests"}


def test_the_platform_is_parsed_from_a_config() -> None:
    config = {"os": "linux", "architecture": "arm", "variant": "v7", "config": {}}
    assert parse_config_platform(json.dumps(config).encode()) == Platform(os="linux", architecture="arm", variant="v7")


@pytest.mark.parametrize("content", [b"{}", b'{"os": "", "architecture": ""}', b'{"os": "linux"}'])
def test_a_config_may_have_no_platform(content: bytes) -> None:
    """As in cosign's signatures."""
    assert parse_config_platform(content) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"<html>"])
def test_a_broken_config_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedError, match=r"^its config is broken, so its platform is unknown: "):
        parse_config_platform(content)
