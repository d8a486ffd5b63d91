"""Container images made in memory, pushed to a registry, and pulled again to the last byte.

Everything is deterministic: the same arguments make the same digests. :func:`pull_whole` parses documents without
``registry_sync``, so it can prove what that code did.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urljoin

import requests

from registry_sync.oci.manifest import ACCEPT, DOCKER_LIST, DOCKER_MANIFEST, INDEX_TYPES, OCI_INDEX, OCI_MANIFEST
from registry_sync.oci.reference import Digest
from testkit.waiting import PATIENCE_SECONDS

Format = Literal["oci", "docker"]

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
COSIGN_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
IN_TOTO = "application/vnd.in-toto+json"

NO_PLATFORM = "unknown/unknown"
"""The platform that BuildKit gives to attestations: https://docs.docker.com/build/metadata/attestations/storage/"""

_RANDOM_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Blob:
    """Bytes that a manifest points to. A layer without ``media_type`` has the one of its image's format.

    ``diff_id`` is the digest of a layer before compression, which the image's config repeats.
    """

    content: bytes = field(repr=False)
    media_type: str = ""
    diff_id: Digest | None = None

    @cached_property
    def digest(self) -> Digest:
        return Digest.of(self.content)


@dataclass(frozen=True, kw_only=True)
class Image:
    """A manifest or an index with all its content.

    ``descriptor_fields`` are further fields of its descriptor in an index.
    """

    content: bytes = field(repr=False)
    media_type: str
    platform: str | None = None
    blobs: tuple[Blob, ...] = ()
    children: tuple[Image, ...] = ()
    descriptor_fields: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    @property
    def size_bytes(self) -> int:
        """Bytes of the manifests and of every distinct blob below."""
        return len(self.content) + sum(len(blob.content) for blob in set(self.all_blobs())) + self.child_bytes()

    def all_blobs(self) -> Iterator[Blob]:
        yield from self.blobs
        for child in self.children:
            yield from child.all_blobs()

    def child_bytes(self) -> int:
        return sum(len(child.content) + child.child_bytes() for child in self.children)


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def layer(files: Mapping[str, bytes], *, compress_level: int = 6) -> Blob:
    """A tar.gz of ``files`` with fixed owner, mode and time."""
    tar_bytes = _tar(files)
    content = gzip.compress(tar_bytes, compresslevel=compress_level, mtime=0)
    return Blob(content, diff_id=Digest.of(tar_bytes))


def big_layer(size_bytes: int, seed: int = 0) -> Blob:
    """A layer of a little more than ``size_bytes`` that does not compress. Another ``seed`` makes other bytes."""
    source = random.Random(seed)
    sizes = [_RANDOM_CHUNK_BYTES] * (size_bytes // _RANDOM_CHUNK_BYTES) + [size_bytes % _RANDOM_CHUNK_BYTES]
    return layer({"data": b"".join(source.randbytes(size) for size in sizes)}, compress_level=0)


BASE_LAYER = layer({"etc/os-release": b"NAME=base\n"})
"""Layer that images of :func:`multi_arch` share, as real images share a distribution."""


def image(
    layers: Sequence[Blob],
    platform: str = "linux/amd64",
    format: Format = "oci",
    *,
    labels: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """An image for one ``platform`` (``os/architecture[/variant]``); ``config`` is merged into the config's own."""
    is_oci = format == "oci"
    typed = tuple(
        replace(each, media_type=each.media_type or (OCI_LAYER if is_oci else DOCKER_LAYER)) for each in layers
    )
    settings = {"Labels": dict(labels or {}), **(config or {})}
    config_blob = Blob(_json(_config(typed, platform, settings)), OCI_CONFIG if is_oci else DOCKER_CONFIG)
    manifest = _manifest(OCI_MANIFEST if is_oci else DOCKER_MANIFEST, config_blob, typed, annotations=annotations)
    return replace(manifest, platform=platform)


def index(children: Iterable[Image], format: Format = "oci", *, annotations: Mapping[str, str] | None = None) -> Image:
    """An index (OCI) or manifest list (Docker) of ``children``, in their order."""
    children = tuple(children)
    media_type = OCI_INDEX if format == "oci" else DOCKER_LIST
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type}
    document["manifests"] = [_child_descriptor(child) for child in children]
    if annotations:
        document["annotations"] = dict(annotations)
    return Image(content=_json(document), media_type=media_type, children=children)


def referrers_list(artifacts: Iterable[Image]) -> Image:
    """The list that clients keep under a tag for registries without a referrers API: no entry has a platform."""
    artifacts = tuple(artifacts)
    entries = [
        {"mediaType": each.media_type, "digest": str(each.digest), "size": len(each.content)} for each in artifacts
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Image(content=_json(document), media_type=OCI_INDEX, children=artifacts)


def multi_arch(
    text: str,
    platforms: Sequence[str] = ("linux/amd64", "linux/arm64"),
    format: Format = "oci",
    *,
    base: Blob = BASE_LAYER,
    attestations: bool = False,
) -> Image:
    """An index with an image of two layers for each platform: ``base``, and a layer with ``text`` and the platform.

    With ``attestations``, each image has an attestation, as BuildKit pushes by default.
    """
    children = [_small_image(text, platform, format, base) for platform in platforms]
    return index([*children, *(attestation(child) for child in children)] if attestations else children, format)


def attestation(subject: Image) -> Image:
    """BuildKit's provenance of ``subject``: a manifest of platform unknown/unknown in the same index.

    https://docs.docker.com/build/metadata/attestations/storage/
    """
    statement = Blob(_json({"subject": [{"digest": {"sha256": subject.digest.encoded}}]}), IN_TOTO)
    config = Blob(_json(_config([replace(statement, diff_id=statement.digest)], NO_PLATFORM, {})), OCI_CONFIG)
    annotations = {
        "vnd.docker.reference.digest": str(subject.digest),
        "vnd.docker.reference.type": "attestation-manifest",
    }
    manifest = _manifest(OCI_MANIFEST, config, (statement,))
    return replace(manifest, platform=NO_PLATFORM, descriptor_fields={"annotations": annotations})


def nested_index(text: str) -> Image:
    """An index of two indexes, which skopeo refuses to copy whole in every version."""
    return index([multi_arch(f"{text} inner one"), multi_arch(f"{text} inner two", ["linux/s390x"])])


def deep_index(text: str, *, levels: int) -> Image:
    """An index with so many levels below it, the last of which are the images of two platforms."""
    content = multi_arch(text)
    for _ in range(levels - 1):
        content = index([content])
    return content


def deep_index_with_wrong_types(text: str, *, levels: int) -> Image:
    """A deep index in which each index declares its child as an image."""
    content = multi_arch(text)
    for _ in range(levels - 1):
        content = index([replace(content, descriptor_fields={"mediaType": OCI_MANIFEST})])
    return content


def index_with_descriptor_field(text: str, name: Literal["artifactType", "data"]) -> Image:
    """A multi-arch index with the OCI 1.1 field ``name`` in its descriptors, which skopeo before 1.15 cannot keep."""
    return index(_with_field(child, name) for child in multi_arch(text).children)


def artifact(
    text: str, *, config_type: str = HELM_CONFIG, layer_type: str = HELM_LAYER, subject: Image | None = None
) -> Image:
    """An OCI artifact, a Helm chart unless told otherwise; with ``subject``, a referrer of that image."""
    config = Blob(_json({"name": text, "version": "0.1.0", "apiVersion": "v2"}), config_type)
    content = replace(layer({f"{text}/Chart.yaml": f"name: {text}\n".encode()}), media_type=layer_type)
    return _manifest(OCI_MANIFEST, config, (content,), subject=subject)


def cosign_signature(subject: Image, key: str = "a key") -> Image:
    """Image as ``cosign sign`` pushes it under :func:`cosign_tag`: a layer that names ``subject``, not really signed.

    https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
    """
    payload = {"critical": {"image": {"docker-manifest-digest": str(subject.digest)}, "type": "cosign"}, "optional": {}}
    layers = (Blob(_json({**payload, "optional": {"key": key}}), COSIGN_PAYLOAD),)
    config = Blob(_json({"architecture": "", "config": {}, "os": "", "rootfs": {"type": "layers"}}), OCI_CONFIG)
    return _manifest(OCI_MANIFEST, config, layers)


def cosign_tag(subject: Image, kind: Literal["sig", "att", "sbom"] = "sig") -> str:
    """Tag of cosign's artifacts of ``subject``."""
    return f"{subject.digest.algorithm}-{subject.digest.encoded}.{kind}"


def bare_artifact(
    text: str, artifact_type: str = "application/vnd.example.sbom", subject: Image | None = None
) -> Image:
    """An OCI 1.1 artifact with an ``artifactType`` and an empty config."""
    content = Blob(text.encode(), "text/plain")
    return _manifest(OCI_MANIFEST, Blob(b"{}", EMPTY_CONFIG), (content,), subject=subject, artifact_type=artifact_type)


class PushRefusedError(Exception):
    """The registry refused a part of an image; ``status`` and ``body`` are its answer."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.body = response.text
        super().__init__(f"{response.request.method} {response.url} answered {self.status}: {self.body[:500]}")


def push(
    url: str,
    repository: str,
    tag: str | None,
    image: Image,
    *,
    session: requests.Session | None = None,
    ca_file: Path | None = None,
) -> Digest:
    """Push ``image``: first its content, by digest, then itself by ``tag``, or by digest for ``None``.

    :raises PushRefusedError: when the registry's answer is not the success of the distribution spec.
    """
    with _Repository(url, repository, session, ca_file) as target:
        _push(target, image, tag or str(image.digest))
    return image.digest


def resolve(
    url: str,
    repository: str,
    reference: str | Digest,
    *,
    session: requests.Session | None = None,
    ca_file: Path | None = None,
) -> Digest | None:
    """Digest of ``reference``, or ``None`` when the registry does not have it.

    :raises AssertionError: for any other answer than 200 and 404.
    """
    with _Repository(url, repository, session, ca_file) as source:
        response = source.send("HEAD", f"manifests/{reference}", headers={"Accept": ACCEPT})
        if response.status_code == requests.codes.not_found:
            return None
        _expect(response.ok, f"{source}: HEAD of {reference} answered {response.status_code}")
        return Digest.parse(response.headers["Docker-Content-Digest"])


def delete_manifest(
    url: str,
    repository: str,
    digest: Digest,
    *,
    session: requests.Session | None = None,
    ca_file: Path | None = None,
) -> None:
    """Delete a manifest and with it every tag that names it.

    :raises PushRefusedError: when the registry refuses, for example because deletion is not enabled.
    """
    with _Repository(url, repository, session, ca_file) as target:
        response = target.send("DELETE", f"manifests/{digest}")
        if response.status_code != requests.codes.accepted:
            raise PushRefusedError(response)


def pull_whole(
    url: str,
    repository: str,
    reference: str | Digest,
    *,
    session: requests.Session | None = None,
    ca_file: Path | None = None,
) -> frozenset[str]:
    """Pull all content of ``reference``, check each digest and size, and return its platforms.

    Attestations and artifacts are pulled and checked too, but have no platform.

    :raises AssertionError: at the first part that is missing or wrong, with its name.
    """
    with _Repository(url, repository, session, ca_file) as source:
        return frozenset(_pull_manifest(source, str(reference), None)) - {NO_PLATFORM}


class _Repository:
    """A repository that parts of an image are pushed to or pulled from.

    ``verify`` goes with each request, because REQUESTS_CA_BUNDLE of the environment overrides a session's.
    """

    def __init__(self, url: str, name: str, session: requests.Session | None, ca_file: Path | None) -> None:
        self.base = f"{url.rstrip('/')}/v2/{name}/"
        self._owned = None if session else _new_session()
        self._session = session or self._owned or _new_session()
        self._verify = str(ca_file) if ca_file else self._session.verify

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        address = urljoin(self.base, path)
        return self._session.request(method, address, verify=self._verify, timeout=PATIENCE_SECONDS, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._owned:
            self._owned.close()

    def __str__(self) -> str:
        return self.base


def _new_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def _push(target: _Repository, image: Image, reference: str) -> None:
    for blob in image.blobs:
        _push_blob(target, blob)
    for child in image.children:
        _push(target, child, str(child.digest))
    headers = {"Content-Type": image.media_type}
    response = target.send("PUT", f"manifests/{reference}", data=image.content, headers=headers)
    if response.status_code != requests.codes.created:
        raise PushRefusedError(response)


def _push_blob(target: _Repository, blob: Blob) -> None:
    if target.send("HEAD", f"blobs/{blob.digest}").status_code == requests.codes.ok:
        return
    started = target.send("POST", "blobs/uploads/")
    if started.status_code != requests.codes.accepted:
        raise PushRefusedError(started)
    location = urljoin(started.url, started.headers["Location"])
    headers = {"Content-Type": "application/octet-stream"}
    response = target.send("PUT", location, params={"digest": str(blob.digest)}, data=blob.content, headers=headers)
    if response.status_code != requests.codes.created:
        raise PushRefusedError(response)


def _pull_manifest(source: _Repository, reference: str, descriptor: Mapping[str, Any] | None) -> Iterator[str]:
    """Platforms of the manifest at ``reference``. ``descriptor`` is its entry in an index, if it has one."""
    response = source.send("GET", f"manifests/{reference}", headers={"Accept": ACCEPT})
    place = f"{source}manifests/{reference}"
    _expect(response.ok, f"{place} answered {response.status_code}: {response.text[:500]}")
    content, media_type = response.content, response.headers["Content-Type"]
    digest = str(Digest.of(content))
    named = response.headers.get("Docker-Content-Digest", digest)
    _expect(named == digest, f"{place}: the registry says {named}, its bytes have {digest}")
    if descriptor is not None or reference.startswith("sha256:"):
        _expect(reference == digest, f"{place}: the bytes have {digest}")
    if descriptor is not None:
        _check_descriptor(place, descriptor, media_type, len(content))
    document = json.loads(content)
    if media_type in INDEX_TYPES:
        for child in document["manifests"]:
            yield from _pull_manifest(source, child["digest"], child)
    else:
        yield from _pull_blobs(source, document, descriptor)


def _pull_blobs(
    source: _Repository, manifest: Mapping[str, Any], descriptor: Mapping[str, Any] | None
) -> Iterator[str]:
    for each in manifest["layers"]:
        _pull_blob(source, each, keep=False)
    config = _pull_blob(source, manifest["config"], keep=True)
    if descriptor is not None and "platform" in descriptor:
        yield _platform_text(descriptor["platform"])
    elif manifest["config"]["mediaType"] in (OCI_CONFIG, DOCKER_CONFIG):
        yield _platform_text(json.loads(config))


def _pull_blob(source: _Repository, descriptor: Mapping[str, Any], *, keep: bool) -> bytes:
    """Read a blob to its end. Its bytes are returned only with ``keep``, because layers may be larger than memory."""
    place = f"{source}blobs/{descriptor['digest']}"
    options: dict[str, Any] = {"headers": {"Accept-Encoding": "identity"}, "stream": True}
    with source.send("GET", f"blobs/{descriptor['digest']}", **options) as response:
        _expect(response.ok, f"{place} answered {response.status_code}")
        hasher, size_bytes, kept = hashlib.sha256(), 0, bytearray()
        for chunk in response.iter_content(1 << 20):
            hasher.update(chunk)
            size_bytes += len(chunk)
            if keep:
                kept += chunk
    found = f"sha256:{hasher.hexdigest()}"
    _expect(size_bytes == descriptor["size"], f"{place} has {size_bytes} bytes, not {descriptor['size']}")
    _expect(found == descriptor["digest"], f"{place}: the bytes have {found}")
    return bytes(kept)


def _check_descriptor(place: str, descriptor: Mapping[str, Any], media_type: str, size_bytes: int) -> None:
    _expect(size_bytes == descriptor["size"], f"{place} has {size_bytes} bytes, not {descriptor['size']}")
    expected = descriptor["mediaType"]
    _expect(media_type == expected, f"{place} is of type {media_type}, not {expected}")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _small_image(text: str, platform: str, format: Format, base: Blob) -> Image:
    return image(
        [base, layer({"message": f"{text} on {platform}\n".encode()})], platform, format, labels={"text": text}
    )


def _with_field(child: Image, name: str) -> Image:
    value = "application/vnd.example+json" if name == "artifactType" else base64.b64encode(child.content).decode()
    return replace(child, descriptor_fields={name: value})


def _manifest(
    media_type: str,
    config: Blob,
    layers: Sequence[Blob],
    *,
    annotations: Mapping[str, str] | None = None,
    subject: Image | None = None,
    artifact_type: str | None = None,
) -> Image:
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type, "config": _blob_descriptor(config)}
    document["layers"] = [_blob_descriptor(each) for each in layers]
    if artifact_type is not None:
        document["artifactType"] = artifact_type
    if subject is not None:
        document["subject"] = _descriptor(subject.media_type, subject.digest, len(subject.content))
    if annotations:
        document["annotations"] = dict(annotations)
    return Image(content=_json(document), media_type=media_type, blobs=(config, *layers))


def _config(layers: Iterable[Blob], platform: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    diff_ids = [str(each.diff_id or each.digest) for each in layers]
    created = "2020-01-01T00:00:00Z"
    return {
        "created": created,
        **_platform_fields(platform),
        "config": dict(settings),
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": created, "created_by": "tests"} for _ in diff_ids],
    }


def _child_descriptor(child: Image) -> dict[str, Any]:
    descriptor = _descriptor(child.media_type, child.digest, len(child.content))
    if child.platform:
        descriptor["platform"] = _platform_fields(child.platform)
    return {**descriptor, **child.descriptor_fields}


def _blob_descriptor(blob: Blob) -> dict[str, Any]:
    return _descriptor(blob.media_type, blob.digest, len(blob.content))


def _descriptor(media_type: str, digest: Digest, size_bytes: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": size_bytes}


def _platform_fields(platform: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))


def _platform_text(fields: Mapping[str, Any]) -> str:
    return "/".join(fields[name] for name in ("os", "architecture", "variant") if fields.get(name))


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
