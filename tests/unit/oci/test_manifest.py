"""Parsing of manifests and indexes, also broken ones and those of types that are not mirrored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import RefusedError
from registry_sync.oci.manifest import (
    ACCEPT,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    Platform,
    parse_manifest,
)
from registry_sync.oci.reference import Digest

CONFIG, LAYER = Digest.of(b"config"), Digest.of(b"layer")
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "manifests",
                    "layers",
                    "config",
                    "mediaType",
                    "digest",
                    "size",
                    "platform",
                    "os",
                    "variant",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def descriptor(digest: Digest, **fields: Any) -> dict[str, Any]:
    return {"mediaType": "application/x", "digest": str(digest), "size": 7, **fields}


def parse(document: Any, media_type: str) -> Manifest:
    return parse_manifest(json.dumps(document).encode(), media_type)


def read_as(digest: Digest, platform: Platform | None = None) -> Descriptor:
    return Descriptor(media_type="application/x", digest=digest, size_bytes=7, platform=platform)


@pytest.mark.parametrize(("media_type", "format"), [(OCI_MANIFEST, "oci"), (DOCKER_MANIFEST, "v2s2")])
def test_a_manifest_points_to_its_config_and_then_its_layers(media_type: str, format: str) -> None:
    content = json.dumps({"config": descriptor(CONFIG), "layers": [descriptor(LAYER)]}, indent=3).encode()
    manifest = parse_manifest(content, media_type)
    assert manifest == Manifest(
        content=content,
        media_type=media_type,
        digest=Digest.of(content),
        blobs=(read_as(CONFIG), read_as(LAYER)),
    )
    assert (manifest.is_index, manifest.format) == (False, format)


@pytest.mark.parametrize(("media_type", "format"), [(OCI_INDEX, "oci"), (DOCKER_LIST, "v2s2")])
def test_an_index_points_to_its_children(media_type: str, format: str) -> None:
    platform = {"os": "linux", "architecture": "arm", "variant": "v7"}
    index = parse({"manifests": [descriptor(CONFIG, platform=platform), descriptor(LAYER)]}, media_type)
    assert index.children == (
        read_as(CONFIG, Platform(os="linux", architecture="arm", variant="v7")),
        read_as(LAYER),
    )
    assert (index.blobs, index.is_index, index.format) == ((), True, format)


@pytest.mark.parametrize("document", [{}, {"manifests": None}, {"manifests": []}])
def test_an_index_may_be_empty(document: Any) -> None:
    assert parse(document, OCI_INDEX).children == ()


@pytest.mark.parametrize("layers", [{}, {"layers": None}, {"layers": []}])
def test_an_image_may_have_no_layer(layers: Any) -> None:
    assert parse({"config": descriptor(CONFIG), **layers}, OCI_MANIFEST).blobs == (read_as(CONFIG),)


@pytest.mark.parametrize(
    ("platform", "shown"),
    [
        ({"os": "linux", "architecture": "amd64"}, "linux/amd64"),
        ({"os": "linux", "architecture": "arm64", "variant": None}, "linux/arm64"),
        ({"os": "unknown", "architecture": "unknown"}, "unknown/unknown"),
        ({"os": "linux"}, "linux"),
        ({"os": "linux", "architecture": "arm", "variant": 7}, "linux/arm/7"),
        ({}, "None"),
    ],
)
def test_an_unusual_platform_is_accepted(platform: Any, shown: str) -> None:
    index = parse({"manifests": [descriptor(CONFIG, platform=platform)]}, OCI_INDEX)
    assert str(index.children[0].platform) == shown


def test_parameters_of_the_content_type_are_ignored() -> None:
    assert parse({}, "Application/Vnd.OCI.Image.Index.v1+JSON; charset=utf-8").media_type == OCI_INDEX


def test_the_accept_header_lists_every_type_that_is_mirrored() -> None:
    assert set(ACCEPT.split(", ")) == INDEX_TYPES | MANIFEST_TYPES


@pytest.mark.parametrize("media_type", [SCHEMA_1, "application/json", "text/html", ""])
def test_other_types_are_refused(media_type: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_manifest(b"{}", media_type)
    assert str(caught.value) == (
        f"manifest sha256:44136fa355b3 is of type {media_type!r}, which cannot be mirrored unchanged"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "JSONDecodeError('Expecting value: line 1 column 1 (char 0)')"),
        (b"[]", "AttributeError(\"'list' object has no attribute 'get'\")"),
        (b'{"manifests": 1}', "TypeError(\"'int' object is not iterable\")"),
        (b'{"manifests": [{}]}', "KeyError('mediaType')"),
        (
            b'{"manifests": [{"mediaType": "x", "digest": "sha256:0", "size": 1}]}',
            "ValueError(\"'sha256:0' is not a sha256 or sha512 digest\")",
        ),
    ],
)
def test_broken_documents_are_refused(content: bytes, problem: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_manifest(content, OCI_INDEX)
    assert str(caught.value) == f"manifest {Digest.of(content).short} ({OCI_INDEX}) is broken: {problem}"


@pytest.mark.parametrize(
    ("media_type", "problem"),
    [
        (OCI_INDEX, "ValueError(\"it is an index with 'config' and 'layers'\")"),
        (DOCKER_LIST, "ValueError(\"it is an index with 'config' and 'layers'\")"),
        (OCI_MANIFEST, "ValueError(\"it is an image with 'manifests'\")"),
    ],
)
def test_a_document_of_two_kinds_is_refused(media_type: str, problem: str) -> None:
    """A policy may be applied to the one, and a machine may run the other."""
    content = json.dumps({"manifests": [], "config": descriptor(CONFIG), "layers": [descriptor(LAYER)]}).encode()
    with pytest.raises(RefusedError) as caught:
        parse_manifest(content, media_type)
    assert str(caught.value) == f"manifest {Digest.of(content).short} ({media_type}) is broken: {problem}"


@pytest.mark.parametrize(
    ("media_type", "content", "problem"),
    [
        (OCI_INDEX, '{"manifests": [], "Manifests": []}', "Manifests manifests"),
        (OCI_INDEX, '{"MANIFESTS": []}', "MANIFESTS manifests"),
        (DOCKER_LIST, '{"manife\\u017fts": []}', "manife\u017fts manifests"),
        (OCI_MANIFEST, '{"config": %s, "Layers": []}', "Layers layers"),
        (OCI_MANIFEST, '{"config": %s, "Config": %s, "layers": []}', "Config config"),
        (OCI_MANIFEST, '{"config": %s, "Subject": {}}', "Subject subject"),
        (OCI_INDEX, '{"manifests": [{"Digest": "x"}]}', "Digest digest"),
        (OCI_INDEX, '{"manifests": [{"mediaType": "x", "URLs": []}]}', "URLs urls"),
        (
            OCI_INDEX,
            '{"manifests": [{"mediaType": "x", "digest": "%s", "size": 1, "platform": {"OS": "linux"}}]}',
            "OS os",
        ),
    ],
)
def test_a_field_that_only_some_clients_read_is_refused(media_type: str, content: str, problem: str) -> None:
    """Go reads names in any case, so that machines would pull other images than those that were checked."""
    filled = content.replace("%s", str(CONFIG) if "platform" in content else json.dumps(descriptor(CONFIG))).encode()
    written, field = problem.split()
    with pytest.raises(RefusedError) as caught:
        parse_manifest(filled, media_type)
    reason = f"it has a field {written!r}, which some clients read as {field!r} and others ignore"
    assert str(caught.value) == (f"manifest {Digest.of(filled).short} ({media_type}) is broken: {ValueError(reason)!r}")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'{"manifests": [], "manifests": []}', "manifests"),
        (b'{"manifests": [{"digest": "a", "size": 1, "digest": "b"}]}', "digest"),
        (b'{"manifests": [], "annotations": {"a": "1", "a": "2"}}', "a"),
    ],
)
def test_a_field_that_is_there_twice_is_refused(content: bytes, name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_manifest(content, OCI_INDEX)
    reason = f"it has the field {name!r} twice"
    assert str(caught.value) == (f"manifest {Digest.of(content).short} ({OCI_INDEX}) is broken: {ValueError(reason)!r}")


def test_names_of_annotations_may_differ_in_case() -> None:
    annotations = {"Manifests": "a", "manifests": "b", "OS": "c"}
    assert parse({"manifests": [descriptor(CONFIG, annotations=annotations)], "annotations": annotations}, OCI_INDEX)


def test_an_image_served_as_an_index_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"it is an index with 'config'"):
        parse({"config": descriptor(CONFIG)}, OCI_INDEX)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"[" * 100_000,
        b'{"manifests": [{"mediaType": "x", "digest": 1, "size": 1}]}',
        b'{"manifests": [{"mediaType": "x", "digest": "sha256:%s", "size": 1e999}]}' % (64 * b"a"),
        b'{"manifests": [{"mediaType": "x", "digest": "sha256:%s", "size": NaN}]}' % (64 * b"a"),
        b'{"manifests": [{"mediaType": "x", "digest": "sha256:%s", "size": %s}]}' % (64 * b"a", 5000 * b"1"),
        b'{"manifests": [{"mediaType": "x", "digest": "sha256:%s", "size": 1, "platform": "x"}]}' % (64 * b"a"),
    ],
    ids=["not UTF-8", "deep", "number for digest", "endless size", "NaN", "huge size", "text for platform"],
)
def test_hostile_documents_are_refused(content: bytes) -> None:
    with pytest.raises(RefusedError, match=r"^manifest sha256:.{12} \(.*\) is broken: "):
        parse_manifest(content, OCI_INDEX)


@given(JSON_VALUES, st.sampled_from(sorted(INDEX_TYPES | MANIFEST_TYPES)))
def test_any_json_is_parsed_or_refused(document: Any, media_type: str) -> None:
    content = json.dumps(document).encode()
    try:
        manifest = parse_manifest(content, media_type)
    except RefusedError:
        return
    assert (manifest.content, manifest.digest) == (content, Digest.of(content))
