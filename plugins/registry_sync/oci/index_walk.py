"""Reading an index with everything below it: bounded in depth, each digest once, without recursion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from registry_sync.errors import RefusedError
from registry_sync.oci.manifest import Descriptor, Manifest
from registry_sync.oci.reference import Digest

MAX_INDEX_DEPTH = 16
"""Levels that may lie below an index.

The image spec allows indexes within indexes and names no limit. Published images use one level, rarely two. Each level
costs its reader a request before anything is known about the next one, so a registry could keep a task busy for ever.
"""

MAX_INDEX_MANIFESTS = 10_000
"""Manifests that may lie below an index, for the same reason. Published indexes have a few dozen."""


def walk_manifests(
    root: Manifest,
    read: Callable[[Digest], Manifest | None],
    *,
    enters: Callable[[Descriptor], bool] = lambda _: True,
) -> Iterator[Manifest]:
    """Yield every manifest below ``root``, children before the index that lists them, and ``root`` last.

    Each digest is read and yielded once, when the iteration reaches it; what ``read`` raises passes through.

    :param read: returns the manifest of a digest; ``None`` skips it with everything below it.
    :param enters: decides by its descriptor whether a child is read. By default every child is.
    :raises RefusedError: when ``root`` has children to read more than ``MAX_INDEX_DEPTH`` levels down, or more than
        ``MAX_INDEX_MANIFESTS`` in all.
    """
    seen = {root.digest}
    path = [_Level(manifest=root, rest=iter(root.children))]
    while path:
        level = path[-1]
        child = next((child for child in level.rest if child.digest not in seen and enters(child)), None)
        if child is None:
            path.pop()
            yield level.manifest
            continue
        if len(path) > MAX_INDEX_DEPTH:
            raise RefusedError(
                f"index {root.digest} nests more than {MAX_INDEX_DEPTH} levels deep, which is not supported; "
                "publish its images under an index with fewer levels"
            )
        seen.add(child.digest)
        if len(seen) > MAX_INDEX_MANIFESTS + 1:
            raise RefusedError(
                f"index {root.digest} has more than {MAX_INDEX_MANIFESTS} manifests below it, which is not supported; "
                "publish its images under several indexes"
            )
        manifest = read(child.digest)
        if manifest is not None:
            path.append(_Level(manifest=manifest, rest=iter(manifest.children)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """A manifest on the path from the root, and its children that are still to be read."""

    manifest: Manifest
    rest: Iterator[Descriptor]
