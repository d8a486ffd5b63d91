"""``python -m registry_sync nodes collect``: write the images that nodes run into a list for the mirrors file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from registry_sync.cli.arguments import FAILED, OK
from registry_sync.config.images.image_lists import split_image
from registry_sync.config.images.images_in_use import ImagesInUse, images_in_use
from registry_sync.config.node_pools import check_image
from registry_sync.errors import ConfigurationError

HEAD = "# Images that nodes run, written by nodes collect. One a line."


def add_collect(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``nodes collect``."""
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="the list to write")
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="image lists, Kubernetes manifests, or pods as JSON; - is stdin, such as the output of helm template",
    )
    parser.set_defaults(command=_collect)


def _collect(arguments: argparse.Namespace) -> int:
    """Write the list. Return 1 when an image was left out."""
    found = [_read(name) for name in arguments.files]
    places = {image: at for images in found for image, at in images.places.items()}
    images = sorted({_with_tag(image) for image in places if not _has_digest_alone(image)})
    untagged = _untagged(places, images)
    names = {split_image(image)[0] for image in images}
    problems = [problem for images in found for name, problem in images.left_out.items() if name not in names]
    problems += [f"{places[image]}: left out: {_no_tag(image)}" for image in untagged]
    print(*(f"{problem}\n" for problem in problems), sep="", end="", file=sys.stderr)
    if not images:
        raise ConfigurationError("no image is left; nothing was written")
    existing = _existing(arguments.output)
    _write(arguments.output, "\n".join([HEAD, *images, *(f"# left out: {_no_tag(image)}" for image in untagged), ""]))
    for sign, names in (("+", set(images) - existing), ("-", existing - set(images))):
        print(*(f"{sign} {name}\n" for name in sorted(names)), sep="", end="")
    print(f"{arguments.output}: {len(images)} images")
    return FAILED if problems else OK


def _with_tag(image: str) -> str:
    """The image with the tag that machines pull where none is written, ``latest``."""
    return image if split_image(image)[1] else f"{image}:latest"


def _has_digest_alone(image: str) -> bool:
    return split_image(image)[1].startswith("@")


def _untagged(images: Iterable[str], listed: Iterable[str]) -> list[str]:
    """The images by digest alone that no input names with a tag as well."""
    known = {(split_image(image)[0], image.partition("@")[2]) for image in listed}
    alone = (image for image in images if _has_digest_alone(image))
    return sorted(image for image in alone if tuple(image.split("@", 1)) not in known)


def _no_tag(image: str) -> str:
    name, _, digest = image.partition("@")
    return f"{image} has a digest and no tag; name it as {name}:TAG@{digest} in another input, with any TAG of your own"


def _write(path: Path, text: str) -> None:
    """Write the list atomically: Airflow may read it at any time, and half a list would remove images from mirrors.

    :raises ConfigurationError: when that is not possible.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigurationError(f"{path}: cannot write it ({error})") from error


def _read(name: str) -> ImagesInUse:
    """The images of one input, checked. Without one, the command before the pipe has failed.

    :raises ConfigurationError: when it cannot be read, or names no image.
    """
    try:
        text = (sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name}: cannot read it ({error})") from error
    images = images_in_use(text, name)
    if not images.places and not images.left_out:
        raise ConfigurationError(f"{name}: it names no image; nothing was written")
    for image, at in images.places.items():
        _check(image, at)
    return images


def _check(image: str, at: str) -> None:
    try:
        check_image(image)
    except ConfigurationError as error:
        raise ConfigurationError(f"{at}: {image!r} is not a valid image name: {error}; nothing was written") from error


def _existing(path: Path) -> set[str]:
    """The images of the list that is replaced; none where it cannot be read."""
    try:
        return set(images_in_use(path.read_text(encoding="utf-8"), str(path)).places) if path.exists() else set()
    except (OSError, UnicodeDecodeError, ConfigurationError):
        return set()
