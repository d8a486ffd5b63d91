"""Tags of attached artifacts, and indexes that list referrers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.oci.artifact_tags import referrers_tag, reject_artifact_tags, subject_of
from registry_sync.oci.manifest import OCI_INDEX, Manifest, make_index, merge_indexes, parse_manifest, select_children
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.oci.reserved_tags import platform_cache_tag
from testkit import images

PLATFORM_CACHE_TAG = platform_cache_tag("team")

SUBJECT = Digest.of(b"image")
HEX = SUBJECT.encoded


@pytest.mark.parametrize("suffix", ["", ".sig", ".att", ".sbom"])
def test_the_subject_is_parsed_from_the_tag(suffix: str) -> None:
    assert subject_of(f"sha256-{HEX}{suffix}") == SUBJECT


@pytest.mark.parametrize(
    "tag",
    ["v1", "latest", f"sha256-{HEX[:-1]}", f"sha256-{HEX}.sig2", f"sha256-{HEX}.SIG", f"sha512-{HEX}", f"x-{HEX}.sig"],
)
def test_ordinary_tags_have_no_subject(tag: str) -> None:
    assert subject_of(tag) is None


@given(st.binary())
def test_the_referrers_tag_gives_its_subject(content: bytes) -> None:
    tag = referrers_tag(Digest.of(content))
    assert is_tag(tag)
    assert subject_of(tag) == Digest.of(content)


def test_the_referrers_tag_of_a_sha512_digest_is_shortened() -> None:
    digest = Digest.of(b"image", "sha512")
    assert referrers_tag(digest) == f"sha512-{digest.encoded[:64]}"


def test_artifact_and_reserved_tags_are_rejected_with_a_reason() -> None:
    tags = ["v1", f"sha256-{HEX}.sig", PLATFORM_CACHE_TAG]
    ours = {PLATFORM_CACHE_TAG: "a platform cache of registry_sync, not an image"}
    assert reject_artifact_tags(tags, signatures=True) == ours
    assert reject_artifact_tags(tags, signatures=False) == {
        f"sha256-{HEX}.sig": "attached to an image, and signatures is false",
        **ours,
    }


def index_of(*texts: str) -> Manifest:
    entries = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": str(images.artifact(text).digest),
            "size": len(images.artifact(text).content),
            "artifactType": f"application/vnd.{text}",
        }
        for text in texts
    ]
    return make_index(entries)


def types_in(index: Manifest) -> list[str]:
    return [manifest["artifactType"] for manifest in json.loads(index.content)["manifests"]]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), max_size=4))
def test_merged_indexes_contain_each_digest_once(groups: list[list[str]]) -> None:
    merged = merge_indexes(index_of(*group) for group in groups)
    expected = dict.fromkeys(each for group in groups for each in group)
    assert types_in(merged) == [f"application/vnd.{each}" for each in expected]
    assert merge_indexes([merged, *(index_of(*group) for group in groups)]).content == merged.content


def test_selected_children_keep_their_entries() -> None:
    whole = index_of("a", "b", "c")
    some = select_children(whole, {whole.children[2].digest, whole.children[0].digest, Digest.of(b"other")})
    assert types_in(some) == ["application/vnd.a", "application/vnd.c"]
    assert some == parse_manifest(some.content, OCI_INDEX)


def test_an_index_always_has_the_same_bytes() -> None:
    assert make_index([], {"b": "2", "a": "é"}).content == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],'
        b'"annotations":{"a":"\\u00e9","b":"2"}}'
    )
