"""Find images in texts: lists with one image a line, and YAML or JSON with Kubernetes manifests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

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
    return _list_spans(text) if _is_list(text) else _manifest_spans(text, name)


def images_in_use(text: str, name: str) -> list[str]:
    """The images that a text names, each once, in its order. Those under ``status:`` are left out.

    The status of a pod names images as the runtime stores them, such as by the digest of their configuration.

    :raises ConfigurationError: when it is neither a list nor YAML or JSON with manifests, or only a part of a name is
        given, as in Helm values.
    """
    document = _read_json(text)
    if document is None:
        found = [(span.place, span.value) for span in find_images(text, name)]
    else:
        found = [(place, value) for place, value in _values(document, ()) if is_image(place)]
    parts = [value for place, value in found if place[-1:] == ("repository",)]
    if parts:
        raise ConfigurationError(
            f"{name}: {parts[0]!r} is only a part of an image's name, as in Helm values; render the chart first"
        )
    return list(dict.fromkeys(value for place, value in found if "status" not in place and value))


def _read_json(text: str) -> Any:
    """The value of a JSON object; ``None`` for other texts. The pods of a cluster are too long for a YAML parser."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _values(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    match value:
        case str():
            yield place, value
        case Mapping():
            for key, item in value.items():
                yield from _values(item, (*place, key))
        case list():
            for index, item in enumerate(value):
                yield from _values(item, (*place, index))


def _is_list(text: str) -> bool:
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


def _manifest_spans(text: str, name: str) -> Iterable[Span]:
    spans = read_spans(text, name)
    if any(span.value and not span.place for span in spans):
        raise ConfigurationError(f"{name}: expected a list with one image a line, or YAML with Kubernetes manifests")
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
