"""``python -m registry_sync nodes collect``: write the images that nodes run into a list for the mirrors file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from registry_sync.cli.arguments import OK
from registry_sync.config.image_lists import images_in_use, split_image
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Reference

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
    images = sorted({image for name in arguments.files for image in _read(name)})
    existing = _existing(arguments.output)
    _write(arguments.output, "\n".join([HEAD, *images, ""]))
    for sign, names in (("+", set(images) - existing), ("-", existing - set(images))):
        print(*(f"{sign} {name}\n" for name in sorted(names)), sep="", end="")
    print(f"{arguments.output}: {len(images)} images")
    return OK


def _write(path: Path, text: str) -> None:
    """Write the list at once: Airflow may read it at any time, and half a list would end the other images' mirrors.

    :raises ConfigurationError: when that is not possible.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigurationError(f"{path}: cannot write it ({error})") from error


def _read(name: str) -> Sequence[str]:
    """The images of one input, checked. Without one, the command before the pipe has failed.

    :raises ConfigurationError: when it cannot be read, or names no image.
    """
    try:
        text = (sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name}: cannot read it ({error})") from error
    images = images_in_use(text, name)
    if not images:
        raise ConfigurationError(f"{name}: it names no image; nothing was written")
    for image in images:
        _check(image, name)
    return images


def _check(image: str, name: str) -> None:
    before, _, tag = split_image(image)
    try:
        Reference.parse(f"{before}:{tag}")
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{name}: {image!r} is not a valid image name: {error}; nothing was written"
        ) from error


def _existing(path: Path) -> set[str]:
    """The images of the list that is replaced; none where it cannot be read."""
    try:
        return set(images_in_use(path.read_text(encoding="utf-8"), str(path))) if path.exists() else set()
    except (OSError, UnicodeDecodeError, ConfigurationError):
        return set()
