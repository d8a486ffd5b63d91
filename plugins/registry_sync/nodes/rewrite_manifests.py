"""Image lists and Kubernetes manifests with the names that a pool's registry has for images; the rest stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from registry_sync.config.yaml_source import Place, Span, read_spans
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.image_names import NameMap
from registry_sync.oci.reference import Reference, Repository

_LIST_LINE = re.compile(r"\s*(?:(?P<image>[^\s#\"'{}\[\]]*[^\s#\"'{}\[\]:])(?:\s+#.*)?|#.*)?\s*")
"""A line of an image list: one word, which is not ``key:``, or a comment, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A text with images renamed; ``problems`` names the images that had to stay as they were, with their lines."""

    text: str
    renamed: int
    problems: tuple[str, ...]


def rewrite(text: str, name: str, names: NameMap) -> Rewritten:
    """Rename the images of ``text``: of a list, one a line, or of YAML with Kubernetes manifests.

    In manifests, images stand under ``image:``, under ``image.reference:`` (volumes), and in lists under ``images:``.

    :param name: stands for the text in messages.
    :raises ConfigurationError: when it is neither.
    """
    spans = _list_spans(text) if _is_list(text) else _manifest_spans(text, name)
    parts, problems, end, renamed = [], [], 0, 0
    for span in spans:
        new, problem = _rename(span, names)
        written = text[span.start : span.end]
        if not problem and new != span.value and written.count(span.value) != 1:
            problem = f"{span.value!r} is written over several lines; write it in one"
        if problem:
            problems.append(f"{name}:{span.line}: {problem}")
        elif new != span.value:
            parts += [text[end : span.start], written.replace(span.value, new)]
            end, renamed = span.end, renamed + 1
    return Rewritten(text="".join([*parts, text[end:]]), renamed=renamed, problems=tuple(problems))


def _is_list(text: str) -> bool:
    lines = text.splitlines()
    return all(_LIST_LINE.fullmatch(each) and each.strip() != "---" for each in lines)


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
    if any(each.value and not each.place for each in spans):
        raise ConfigurationError(f"{name}: this is neither a list of images, one a line, nor YAML with manifests")
    by_start = {each.start: each for each in spans if _is_image(each.place)}  # an alias has its anchor's
    return [by_start[start] for start in sorted(by_start)]


def _is_image(place: Place) -> bool:
    """Whether an image stands at ``place``.

    https://kubernetes.io/docs/concepts/containers/images/ and https://kubernetes.io/docs/concepts/storage/volumes/#image
    """
    match place:
        case (*_, "image") | (*_, "image", "reference" | "repository") | (*_, "images", int()) | (int(),):
            return True
    return False


def _rename(span: Span, names: NameMap) -> tuple[str, str]:
    """The image's name at the pool's registry, and what keeps it from having one."""
    image = span.value
    if span.place[-1:] == ("repository",):
        return image, f"{image!r} is only a part of an image's name, as in Helm's values; render the chart first"
    name, suffix, tag = _parts(image)
    try:
        repository = Repository.parse(name)
        Reference.parse(f"{name}:{tag}")
    except ConfigurationError as error:
        return image, f"{image!r} is no name of an image: {error}"
    if repository.host == names.registry.host:
        return image, ""
    found = names.find(repository)
    if found is None:
        goal = f"{names.registry.name!r} ({names.registry.host})"
        return image, f"{image}: no route brings {repository} to {goal}; mirror it there"
    problem = found.why_not(tag) if "@" not in suffix else ""
    return f"{found.repository}{suffix}", problem and f"{image}: {problem}"


def _parts(image: str) -> tuple[str, str, str]:
    """Split an image into its name, everything after that as it is written, and its tag (``latest`` without one).

    >>> _parts("quay.io/a/b:v1@sha256:00")
    ('quay.io/a/b', ':v1@sha256:00', 'v1')
    """
    before = image.partition("@")[0]
    name, colon, tag = before.rpartition(":")
    if not colon or "/" in tag:
        name, tag = before, ""
    return name, image[len(name) :], tag or "latest"
