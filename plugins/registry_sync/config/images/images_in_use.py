"""Read the images that machines run from lists, Kubernetes manifests, and pods as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry_sync.config.images.image_lists import (
    find_images,
    image_spans,
    is_image,
    is_list,
    read_manifest_spans,
    split_image,
)
from registry_sync.config.reading.yaml_source import Place, Span
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Reference

_Values = Mapping[tuple[int, Place], str]
"""The scalars of a text, by the number of their document and their place in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesInUse:
    """The images of a text in its order, each once, with ``FILE:LINE``; of JSON, which has no lines, with the file.

    ``left_out`` says by their names which images could not be read, and why.
    """

    places: Mapping[str, str]
    left_out: Mapping[str, str]


def images_in_use(text: str, name: str) -> ImagesInUse:
    """The images that a text names. Those under ``status:`` are not among them.

    The status of a pod names images as the runtime stores them, such as by the digest of their configuration. Custom
    resources may have ``image: {repository: …, tag: …}``.

    :param name: the text's name in messages.
    :raises ConfigurationError: when it is neither a list nor YAML or JSON with manifests, or only a part of a name is
        given, as in Helm values.
    """
    spans, images = _read(text, name)
    values = {(span.document, span.place): span.value for span in spans}
    places: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for span in images:
        if "status" in span.place:
            continue
        at = f"{name}:{span.line}" if span.line else name
        is_part = span.place[-1:] == ("repository",)
        if is_part and not _is_kubernetes(span, values):
            raise ConfigurationError(
                f"{name}: {span.value!r} is only a part of an image's name, as in Helm values; render the chart first"
            )
        name_alone = _name(span, values) if is_part else ""
        image = _joined(name_alone, span, values) if is_part else span.value
        if image:
            places.setdefault(image, at)
        elif is_part:
            left_out[name_alone] = (
                f"{at}: {span.value!r} is not a whole image with the tag beside it; list the image by name"
            )
    return ImagesInUse(places=places, left_out=left_out)


def _read(text: str, name: str) -> tuple[list[Span], list[Span]]:
    """All scalars of a text, and those that are images."""
    document = _read_json(text)
    if document is not None:
        spans = list(_json_spans(document, ()))
        return spans, [span for span in spans if is_image(span.place)]
    if is_list(text):
        return [], list(find_images(text, name))
    spans = read_manifest_spans(text, name)
    return spans, image_spans(spans)


def _read_json(text: str) -> Any:
    """The value of a JSON object; ``None`` for other texts. The pods of a cluster are too long for a YAML parser."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json_spans(value: Any, place: Place) -> Iterator[Span]:
    match value:
        case str():
            yield Span(place=place, value=value, start=0, end=0, line=0)
        case Mapping():
            for key, item in value.items():
                yield from _json_spans(item, (*place, key))
        case list():
            for index, item in enumerate(value):
                yield from _json_spans(item, (*place, index))


def _is_kubernetes(span: Span, values: _Values) -> bool:
    """True within a Kubernetes object. ``Chart.yaml`` has an ``apiVersion`` without a ``kind``."""
    around = (span.place[:length] for length in range(len(span.place)))
    return any(all((span.document, (*place, key)) in values for key in ("apiVersion", "kind")) for place in around)


def _name(span: Span, values: _Values) -> str:
    """The ``repository`` of a mapping, after the ``registry`` beside it."""
    registry = _beside(span, "registry", values)
    return f"{registry}/{span.value}" if registry and not span.value.startswith(f"{registry}/") else span.value


def _joined(name: str, span: Span, values: _Values) -> str:
    """The image of a mapping with ``repository``, and ``tag`` and ``digest`` beside it.

    Empty when that is not the name of an image, such as without a tag, which the operator adds.
    """
    tag, digest = _beside(span, "tag", values), _beside(span, "digest", values)
    image = f"{name}{tag and f':{tag}'}{digest and f'@{digest}'}"
    before, suffix, tag = split_image(image)
    try:
        Reference.parse(f"{before}:{tag}")
    except ConfigurationError:
        return ""
    return image if suffix else ""


def _beside(span: Span, key: str, values: _Values) -> str:
    value = values.get((span.document, (*span.place[:-1], key)), "")
    return "" if value in ("null", "~") else value
