"""Rewrite image lists and Kubernetes manifests to the names at a pool's registry. Everything else is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from registry_sync.config.yaml_source import Place, Span, read_spans
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.image_names import NameMap
from registry_sync.oci.reference import Reference, Repository

_LIST_LINE = re.compile(r"\s*(?:(?P<image>[^\s#\"'{}\[\]]*[^\s#\"'{}\[\]:])(?:\s+#.*)?|#.*)?\s*")
"""A line of an image list: a single word that does not end in a colon, a comment, or an empty line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A text with images renamed; ``problems`` lists the images that could not be renamed, with their lines."""

    text: str
    renamed: int
    problems: tuple[str, ...]


def rewrite(text: str, name: str, names: NameMap) -> Rewritten:
    """Rename the images of ``text``: a list with one image a line, or YAML with Kubernetes manifests.

    In manifests, images are the values of ``image:``, ``image.reference:`` (volumes) and lists under ``images:``.

    :param name: the text's name in messages.
    :raises ConfigurationError: when ``text`` is neither.
    """
    spans = _list_spans(text) if _is_list(text) else _manifest_spans(text, name)
    parts, problems, end, renamed = [], [], 0, 0
    for span in spans:
        new, problem = _rename(span, names)
        written = text[span.start : span.end]
        if not problem and new != span.value and written.count(span.value) != 1:
            problem = f"{span.value!r} is split over several lines; write it in one line"
        if problem:
            problems.append(f"{name}:{span.line}: {problem}")
        elif new != span.value:
            parts += [text[end : span.start], written.replace(span.value, new)]
            end, renamed = span.end, renamed + 1
    return Rewritten(text="".join([*parts, text[end:]]), renamed=renamed, problems=tuple(problems))


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
    by_start = {span.start: span for span in spans if _is_image(span.place)}  # an alias has the place of its anchor
    return [by_start[start] for start in sorted(by_start)]


def _is_image(place: Place) -> bool:
    """Return whether the value at ``place`` is an image.

    https://kubernetes.io/docs/concepts/containers/images/ and https://kubernetes.io/docs/concepts/storage/volumes/#image
    """
    match place:
        case (*_, "image") | (*_, "image", "reference" | "repository") | (*_, "images", int()) | (int(),):
            return True
    return False


def _rename(span: Span, names: NameMap) -> tuple[str, str]:
    """The image's name at the pool's registry, and the problem if it has none there."""
    image = span.value
    if span.place[-1:] == ("repository",):
        return image, f"{image!r} is only a part of an image's name, as in Helm values; render the chart first"
    name, suffix, tag = _split(image)
    try:
        repository = names.parse(name)
        Reference.parse(f"{name}:{tag}")
    except ConfigurationError as error:
        return image, f"{image!r} is not a valid image name: {error}"
    if repository.host == names.registry.host:
        return (image if repository == Repository.parse(name) else f"{repository}{suffix}"), ""
    renamed = names.find(repository)
    if renamed is None:
        registry = f"{names.registry.name!r} ({names.registry.host})"
        return image, f"{image}: no route copies {repository} to {registry}; mirror it there"
    problem = renamed.why_not_copied(tag) if "@" not in suffix else ""
    return f"{renamed.repository}{suffix}", problem and f"{image}: {problem}"


def _split(image: str) -> tuple[str, str, str]:
    """Split an image into its name, the rest as it is written, and its tag (``latest`` if it has none).

    >>> _split("quay.io/a/b:v1@sha256:00")
    ('quay.io/a/b', ':v1@sha256:00', 'v1')
    """
    before = image.partition("@")[0]
    name, colon, tag = before.rpartition(":")
    if not colon or "/" in tag:
        name, tag = before, ""
    return name, image[len(name) :], tag or "latest"
