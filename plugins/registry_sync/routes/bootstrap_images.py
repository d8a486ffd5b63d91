"""Place bootstrap images that are named as manifests name them: their repositories at the registry of their pool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import BootstrapImage, NamedImage, NodePool
from registry_sync.oci.reference import Digest
from registry_sync.routes.image_names import NameMap
from registry_sync.tags.rules import TagRule, TagRules


def place_images(file: MirrorsFile) -> MirrorsFile:
    """The file with each image by its name at the pool's registry.

    Images that nothing brings there, and those without a tag, are ``unplaced``.
    """
    pools = file.node_pools.values()
    if not any(pool.named_images for pool in pools):
        return file
    return replace(file, node_pools={pool.name: _place(file, pool) for pool in pools})


def _place(file: MirrorsFile, pool: NodePool) -> NodePool:
    if not pool.named_images or pool.registry not in file.registries:
        return pool
    names = NameMap(file, pool)
    tags: dict[str, dict[tuple[str, Digest | None], None]] = defaultdict(dict)
    unplaced: list[NamedImage] = []
    for image in pool.named_images:
        repository = names.parse(image.name)
        found = getattr(names.find(repository), "repository", None)
        if found is None or not image.tag:
            unplaced.append(replace(image, name=str(repository)))
        else:
            tags[found.name][image.tag, image.digest] = None
    placed = [
        BootstrapImage(repository=name, tags=rules, is_named=True)
        for name, of_name in tags.items()
        for rules in _rules(of_name)
    ]
    return replace(pool, images=(*pool.images, *placed), unplaced=tuple(unplaced))


def _rules(tags: Iterable[tuple[str, Digest | None]]) -> Iterator[TagRules]:
    """The tags of a repository as names. Machines may run one tag at several digests: those need rules of their own."""
    left = list(tags)
    while left:
        named: dict[str, Digest | None] = {}
        for tag, digest in left:
            named.setdefault(tag, digest)
        yield TagRules((TagRule(named=named),))
        left = [entry for entry in left if entry not in named.items()]
