"""Folders of docker-registry that are filled for a contest, and what is in them afterwards."""

from __future__ import annotations

import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry_sync.oci.manifest import INDEX_TYPES
from registry_sync.oci.reference import Digest
from testkit import images
from testkit.registry import RegistryProcess

Wanted = Mapping[str, Mapping[str, Digest]]
"""Digest of each tag of each repository."""

_ROOT = Path("docker/registry/v2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A registry's folder and the tags in it."""

    folder: Path
    wanted: Wanted

    @property
    def tags(self) -> int:
        return sum(map(len, self.wanted.values()))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in memory, where the machine has that: disks differ more than tools do."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@contextmanager
def distinct_images(repositories: int, tags: int, *, layer_bytes: int) -> Iterator[Storage]:
    """Images of two platforms with three layers each; all images of a repository share one of the layers.

    All repositories share it too, as images share a distribution.
    """
    with temporary_folder() as folder, RegistryProcess(storage=folder) as registry:
        base = images.big_layer(layer_bytes, seed=1)
        wanted = {
            name: {
                tag: images.push(registry.url, name, tag, _two_platforms(f"{name} {tag}", base, layer_bytes))
                for tag in map("v{}".format, range(tags))
            }
            for name in map("bench/app{}".format, range(repositories))
        }
        registry.stop()
        yield Storage(folder=folder, wanted=wanted)


def _two_platforms(text: str, base: images.Blob, layer_bytes: int) -> images.Image:
    own = [images.big_layer(layer_bytes, seed=zlib.crc32(f"{text} {part}".encode())) for part in range(4)]
    return images.index([images.image([base, *own[:2]]), images.image([base, *own[2:]], "linux/arm64")])


@contextmanager
def big_images(count: int, *, layer_bytes: int) -> Iterator[Storage]:
    """One repository with ``count`` images of one big layer each."""
    with temporary_folder() as folder, RegistryProcess(storage=folder) as registry:
        wanted = {
            tag: images.push(registry.url, "bench/big", tag, images.image([images.big_layer(layer_bytes, seed=number)]))
            for number, tag in enumerate(map("v{}".format, range(count)))
        }
        registry.stop()
        yield Storage(folder=folder, wanted={"bench/big": wanted})


@contextmanager
def many_tags(repositories: int, tags: int) -> Iterator[Storage]:
    """Repositories that have the same ten images of two platforms under many tags.

    One repository is pushed; the others are copies of its folder, which takes a hundredth of the time.
    """
    with temporary_folder() as folder, RegistryProcess(storage=folder) as registry:
        contents = [images.multi_arch(f"image {number}") for number in range(min(tags, 10))]
        pushed = {f"v{number}": contents[number] for number in range(len(contents))}
        for tag, content in pushed.items():
            images.push(registry.url, "bench/app0", tag, content)
        registry.stop()
        first = folder / _ROOT / "repositories/bench/app0"
        for number in range(len(contents), tags):
            tag_folders = first / "_manifests/tags"
            shutil.copytree(tag_folders / f"v{number % len(contents)}", tag_folders / f"v{number}")
        for number in range(1, repositories):
            shutil.copytree(first, first.with_name(f"app{number}"))
        digests = {f"v{number}": contents[number % len(contents)].digest for number in range(tags)}
        yield Storage(folder=folder, wanted={f"bench/app{number}": digests for number in range(repositories)})


@contextmanager
def copy_of(storage: Storage | None) -> Iterator[Path]:
    """A folder with the same content; an empty one for ``None``."""
    with temporary_folder() as folder:
        if storage:
            shutil.copytree(storage.folder, folder, dirs_exist_ok=True)
        yield folder


def count_right(folder: Path, wanted: Wanted) -> int:
    """The tags with the wanted digest and all of its content, read from the registry's files."""
    root = folder / _ROOT
    seen = dict[tuple[str, Digest], bool]()
    right = 0
    for name, digests in wanted.items():
        for tag, digest in digests.items():
            link = root / "repositories" / name / "_manifests/tags" / tag / "current/link"
            if link.is_file() and link.read_text() == str(digest):
                if (name, digest) not in seen:
                    seen[name, digest] = _is_whole(root, name, digest)
                right += seen[name, digest]
    return right


def _is_whole(root: Path, name: str, digest: Digest) -> bool:
    """Return whether a manifest and everything below it is there, each blob with its size and linked to ``name``."""
    file = _blob(root, str(digest))
    if not file.is_file() or not (root / "repositories" / name / "_manifests/revisions" / _path(digest)).is_file():
        return False
    document = json.loads(file.read_bytes())
    if document.get("mediaType") in INDEX_TYPES:
        return all(_is_whole(root, name, Digest.parse(child["digest"])) for child in document["manifests"])
    return all(
        (root / "repositories" / name / "_layers" / _path(Digest.parse(blob["digest"]))).is_file()
        and _has_size(_blob(root, blob["digest"]), blob["size"])
        for blob in (document["config"], *document["layers"])
    )


def _has_size(file: Path, size_bytes: int) -> bool:
    return file.is_file() and file.stat().st_size == size_bytes


def _path(digest: Digest) -> str:
    return f"{digest.algorithm}/{digest.encoded}/link"


def _blob(root: Path, digest: str) -> Path:
    algorithm, _, encoded = digest.partition(":")
    return root / "blobs" / algorithm / encoded[:2] / encoded / "data"
