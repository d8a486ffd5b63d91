"""Walking nested indexes: order, each digest once, and the limit on depth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import NotFound, RefusedError
from registry_sync.oci import index_walk
from registry_sync.oci.index_walk import MAX_INDEX_DEPTH, walk_manifests
from registry_sync.oci.manifest import INDEX_TYPES, OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest
from registry_sync.oci.reference import Digest


@dataclass
class Store:
    """Manifests by digest, and which of them were read."""

    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    reads: list[Digest] = field(default_factory=list)

    def image(self, name: str) -> Manifest:
        return self._add(Manifest(content=b"", media_type=OCI_MANIFEST, digest=Digest.of(name.encode())))

    def index(self, name: str, children: Iterable[Manifest]) -> Manifest:
        digest, listed = Digest.of(name.encode()), tuple(map(descriptor, children))
        return self._add(Manifest(content=b"", media_type=OCI_INDEX, digest=digest, children=listed))

    def chain(self, levels: int) -> Manifest:
        """An index with an image that many levels below it."""
        manifest = self.image("image")
        for level in range(levels):
            manifest = self.index(f"index {level}", [manifest])
        return manifest

    def _add(self, manifest: Manifest) -> Manifest:
        self.manifests[manifest.digest] = manifest
        return manifest

    def read(self, digest: Digest) -> Manifest:
        self.reads.append(digest)
        return self.manifests[digest]


def descriptor(manifest: Manifest) -> Descriptor:
    return Descriptor(media_type=manifest.media_type, digest=manifest.digest, size_bytes=1)


@pytest.fixture
def store() -> Store:
    return Store()


def test_an_image_is_yielded_alone_and_nothing_is_read(store: Store) -> None:
    image = store.image("a")
    assert list(walk_manifests(image, store.read)) == [image]
    assert store.reads == []


def test_children_come_before_the_index_that_lists_them_in_its_order(store: Store) -> None:
    a, b, c = map(store.image, "abc")
    inner = store.index("inner", [b, c])
    root = store.index("root", [a, inner])
    assert list(walk_manifests(root, store.read)) == [a, b, c, inner, root]


def test_a_manifest_is_yielded_before_the_next_one_is_read(store: Store) -> None:
    a, b = map(store.image, "ab")
    walk = walk_manifests(store.index("root", [a, b]), store.read)
    assert next(walk) == a
    assert store.reads == [a.digest]


def test_each_digest_of_a_diamond_is_read_once(store: Store) -> None:
    shared = store.index("shared", [store.image("image")])
    left, right = store.index("left", [shared]), store.index("right", [shared, shared])
    root = store.index("root", [left, right, shared])
    walked = [manifest.digest for manifest in walk_manifests(root, store.read)]
    assert walked == [Digest.of(name.encode()) for name in ("image", "shared", "left", "right", "root")]
    assert sorted(store.reads) == sorted(walked[:-1])


def test_a_walk_ends_where_a_digest_is_its_own_descendant(store: Store) -> None:
    """No content can hold its own digest, but a registry that does not check digests could serve such an index."""
    inner = store.index("inner", [store.index("root", [])])
    root = replace(store.index("root", [inner]), children=(descriptor(inner),))
    assert list(walk_manifests(root, store.read)) == [inner, root]


def test_the_deepest_allowed_index_is_walked(store: Store) -> None:
    assert len(list(walk_manifests(store.chain(MAX_INDEX_DEPTH), store.read))) == MAX_INDEX_DEPTH + 1


@pytest.mark.parametrize("levels", [MAX_INDEX_DEPTH + 1, 1200])
def test_a_deeper_index_is_refused_and_not_read_further(store: Store, levels: int) -> None:
    root = store.chain(levels)
    with pytest.raises(RefusedError) as caught:
        list(walk_manifests(root, store.read))
    assert str(caught.value) == (
        f"index {root.digest} nests more than 16 levels deep, which is not supported; "
        "publish its images under an index with fewer levels"
    )
    assert len(store.reads) == MAX_INDEX_DEPTH


def test_an_index_with_too_many_manifests_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_walk, "MAX_INDEX_MANIFESTS", 3)
    inner = store.index("inner", [store.image("a"), store.image("b")])
    fits, root = store.index("fits", [inner]), store.index("root", [inner, store.image("c")])
    assert len(list(walk_manifests(fits, store.read))) == 4
    with pytest.raises(RefusedError) as caught:
        list(walk_manifests(root, store.read))
    assert str(caught.value) == (
        f"index {root.digest} has more than 3 manifests below it, which is not supported; publish its images under "
        "several indexes"
    )


def test_children_are_not_read_where_their_descriptor_is_not_entered(store: Store) -> None:
    inner = store.index("inner", [store.image("b")])
    root = store.index("root", [store.image("a"), inner])
    walk = walk_manifests(root, store.read, enters=lambda child: child.media_type in INDEX_TYPES)
    assert list(walk) == [inner, root]
    assert store.reads == [inner.digest]


def test_a_child_that_reads_as_none_is_skipped_with_everything_below_it(store: Store) -> None:
    a = store.image("a")
    inner = store.index("inner", [store.image("b")])
    root = store.index("root", [inner, a])
    walk = walk_manifests(root, lambda digest: None if digest == inner.digest else store.read(digest))
    assert list(walk) == [a, root]
    assert store.reads == [a.digest]


def test_an_error_of_the_reader_passes_through(store: Store) -> None:
    def read(digest: Digest) -> Manifest:
        raise NotFound(f"{digest.short} is gone")

    with pytest.raises(NotFound):
        list(walk_manifests(store.index("root", [store.image("a")]), read))


@given(st.lists(st.lists(st.integers(min_value=0, max_value=9), max_size=4), min_size=1, max_size=10))
def test_any_acyclic_graph_is_walked_once_and_in_order(links: list[list[int]]) -> None:
    """Manifest ``n`` lists manifests with smaller numbers only, as content by digest does."""
    store = Store()
    manifests: list[Manifest] = []
    for number, targets in enumerate(links):
        manifests.append(store.index(str(number), [manifests[target] for target in targets if target < number]))
    walked = [manifest.digest for manifest in walk_manifests(manifests[-1], store.read)]
    assert len(walked) == len(set(walked))
    for position, digest in enumerate(walked):
        assert {child.digest for child in store.manifests[digest].children} <= set(walked[:position])
