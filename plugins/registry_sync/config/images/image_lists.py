"""Find images in texts: lists with one image a line, and YAML or JSON with Kubernetes manifests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from registry_sync.config.reading.yaml_source import Place, Span, read_spans
from registry_sync.errors import ConfigurationError

_LIST_LINE = re.compile(r"\s*(?:(?P<image>[^\s#\"'{}\[\]]*[^\s#\"'{}\[\]:])(?:\s+#.*)?|#.*)?\s*")
"""A line of an image list: a single word that does not end in a colon, a comment, or an empty line."""


def find_images(text: str, name: str) -> Iterable[Span]:
    """The images of a text, with their positions.

    In manifests, images are the values of ``image:``, ``image.reference:`` (volumes) and lists under ``images:``.

    :param name: the text's name in messages.
    :raises ConfigurationError: when it is neither a list nor YAML with manifests.
    """
    return _list_spans(text) if is_list(text) else image_spans(read_manifest_spans(text, name))


def is_list(text: str) -> bool:
    """Return whether each line of a text is an image, a comment, or empty."""
    lines = text.splitlines()
    return all(_LIST_LINE.fullmatch(line) and line.strip() != "---" for line in lines)


def _list_spans(text: str) -> Iterator[Span]:
    offset = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        match = _LIST_LINE.fullmatch(line)
        if match and match["image"]:
            start, end = match.span("image")
            yield Span(place=(), value=match["image"], start=offset + start, end=offset + end, line=number)
        offset += len(line)


def read_manifest_spans(text: str, name: str) -> list[Span]:
    """Every scalar of YAML with Kubernetes manifests. :raises ConfigurationError: when it is something else."""
    spans = read_spans(text, name)
    if any(span.value and not span.place for span in spans):
        raise ConfigurationError(f"{name}: expected a list with one image a line, or YAML with Kubernetes manifests")
    return spans


def image_spans(spans: Iterable[Span]) -> list[Span]:
    """The images among the scalars of YAML with Kubernetes manifests."""
    by_start = {span.start: span for span in spans if is_image(span.place)}  # an alias has the place of its anchor
    return [by_start[start] for start in sorted(by_start)]


def is_image(place: Place) -> bool:
    """Return whether the value at ``place`` is an image.

    https://kubernetes.io/docs/concepts/containers/images/ and https://kubernetes.io/docs/concepts/storage/volumes/#image
    """
    match place:
        case (*_, "image") | (*_, "image", "reference" | "repository") | (*_, "images", int()) | (int(),):
            return True
    return False


def split_image(image: str) -> tuple[str, str, str]:
    """Split an image into its name, the rest as it is written, and its tag (``latest`` if it has none).

    >>> split_image("quay.io/a/b:v1@sha256:00")
    ('quay.io/a/b', ':v1@sha256:00', 'v1')
    """
    before = image.partition("@")[0]
    name, colon, tag = before.rpartition(":")
    if not colon or "/" in tag:
        name, tag = before, ""
    return name, image[len(name) :], tag or "latest"
