"""Rewrite image lists and Kubernetes manifests to the names at a pool's registry. Everything else is kept."""

from __future__ import annotations

from dataclasses import dataclass

from registry_sync.config.images.image_lists import find_images, split_image
from registry_sync.config.reading.yaml_source import Span
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Reference, Repository
from registry_sync.routes.image_names import NameMap


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
    spans = find_images(text, name)
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


def _rename(span: Span, names: NameMap) -> tuple[str, str]:
    """The image's name at the pool's registry, and the problem if it has none there."""
    image = span.value
    if span.place[-1:] == ("repository",):
        return image, f"{image!r} is only a part of an image's name, as in Helm values; render the chart first"
    name, suffix, tag = split_image(image)
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
