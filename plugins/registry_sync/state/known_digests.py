"""The digests that readiness checks last read at sources, as values of the asset state store.

They are spread over the keys ``digests 0``, ``digests 1``, … with at most 60 kB each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, takewhile

from registry_sync.nodes.readiness.known_digests import KnownDigests, repository_of
from registry_sync.oci.reference import Digest
from registry_sync.state.document import StateError, as_document, read_document, size_of
from registry_sync.state.names import MAX_VALUE_BYTES, digests_key
from registry_sync.state.store import StateStore
from registry_sync.state.times import UtcTime


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDigestsPart:
    """Some images. Those of a large repository are in several parts.

    :ivar tags: digests by repository and tag.
    :ivar read_at: when each of these repositories was read.
    """

    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    read_at: dict[str, UtcTime] = field(default_factory=dict)


def store_digests(store: StateStore, known: KnownDigests) -> None:
    """Store the digests of repositories with a known time, and remove parts that are no longer needed."""
    number = -1
    for number, part in enumerate(_split(known)):
        store.set(digests_key(number), as_document(part))
    for left in count(number + 1):
        if store.get(digests_key(left)) is None:
            break
        store.delete(digests_key(left))


def recall_digests(store: StateStore) -> KnownDigests:
    """Read what :func:`store_digests` stored."""
    return join_digests(takewhile(_is_stored, (store.get(digests_key(number)) for number in count())))


def _is_stored(document: object) -> bool:
    return document is not None


def join_digests(documents: Iterable[object]) -> KnownDigests:
    """Join the parts. An unreadable part is left out: its images count as unknown."""
    known = KnownDigests()
    for document in documents:
        try:
            part = _read_part(document)
        except StateError:
            continue
        known = KnownDigests(digests={**known.digests, **part.digests}, read_at={**known.read_at, **part.read_at})
    return known


def _read_part(document: object) -> KnownDigests:
    """:raises StateError: for anything that was not stored here."""
    part = read_document(KnownDigestsPart, document)
    try:
        digests = {
            f"{repository}:{tag}": Digest.parse(digest)
            for repository, tags in part.tags.items()
            for tag, digest in tags.items()
        }
    except ValueError as error:
        raise StateError(f"the stored digests cannot be read: {error}") from None
    return KnownDigests(digests=digests, read_at=part.read_at)


def _split(known: KnownDigests) -> Iterator[KnownDigestsPart]:
    part, size = KnownDigestsPart(), 0
    for image, digest in sorted(known.digests.items()):
        repository = repository_of(image)
        if repository not in known.read_at:
            continue
        added = size_of({repository: {image: str(digest)}, "": f"{repository}{known.read_at[repository]}"})
        if part.tags and size + added > MAX_VALUE_BYTES:
            yield part
            part, size = KnownDigestsPart(), 0
        part.tags.setdefault(repository, {})[image.removeprefix(f"{repository}:")] = str(digest)
        part.read_at[repository] = known.read_at[repository]
        size += added
    if part.tags:
        yield part
