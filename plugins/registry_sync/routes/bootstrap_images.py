"""Place bootstrap images that are named as manifests name them: their repositories at the registry of their pool."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import BootstrapImage, NodePool
from registry_sync.routes.image_names import NameMap
from registry_sync.tags.rules import TagRules, only_tags


def place_images(file: MirrorsFile) -> MirrorsFile:
    """The file with each image by its name at the pool's registry. Those that nothing brings there are ``unplaced``."""
    pools = file.node_pools.values()
    if not any(pool.named_images for pool in pools):
        return file
    return replace(file, node_pools={pool.name: _place(file, pool) for pool in pools})


def _place(file: MirrorsFile, pool: NodePool) -> NodePool:
    if not pool.named_images or pool.registry not in file.registries:
        return pool
    names, host = NameMap(file, pool), file.registries[pool.registry].host
    tags: dict[str, dict[str, None]] = defaultdict(dict)
    unplaced: list[str] = []
    for image in pool.named_images:
        repository = names.parse(image.name)
        found = repository if repository.host == host else getattr(names.find(repository), "repository", None)
        if found is None:
            unplaced.append(f"{repository}:{image.tag}")
        else:
            tags[found.name][image.tag] = None
    placed = [
        BootstrapImage(repository=name, tags=TagRules((only_tags(tuple(of_name)),)), is_named=True)
        for name, of_name in tags.items()
    ]
    return replace(pool, images=(*pool.images, *placed), unplaced=tuple(unplaced))
