"""The command ``import``: write a mirrors file with the meaning of another tool's files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from registry_sync.cli.arguments import FAILED, OK
from registry_sync.errors import ConfigurationError
from registry_sync.importing.files import TOOLS, Import, import_files
from registry_sync.importing.model import Wish
from registry_sync.importing.names import parse_place
from registry_sync.importing.reading import NoCounterpart
from registry_sync.importing.remarks import all_remarks, grouped_lines
from registry_sync.importing.write import connection_commands
from registry_sync.oci.reference import Repository


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``import``."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files of one tool, such as regsync.yml")
    parser.add_argument("--from", dest="tool", choices=TOOLS, help="tool of the files (default: by their content)")
    parser.add_argument(
        "--to",
        action="append",
        default=[],
        type=_place,
        metavar="HOST[/PATH]",
        help="destination, for files that name none (may be repeated)",
    )
    parser.add_argument("--scoped", action="store_true", help="names as skopeo sync --scoped makes them")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="file to write (default: standard output)")
    parser.add_argument("--force", action="store_true", help="overwrite the file to write")
    parser.set_defaults(command=_import)


def _place(text: str) -> Repository:
    try:
        return parse_place(text, 0)
    except NoCounterpart as error:
        raise argparse.ArgumentTypeError(error.text) from error


def _import(arguments: argparse.Namespace) -> int:
    wish = Wish(destinations=tuple(arguments.to), scoped=arguments.scoped)
    done = import_files(arguments.files, wish, arguments.tool)
    if arguments.output:
        _write(arguments.output, done.text, overwrites=arguments.force)
    else:
        print(done.text, end="")
    return _report(done, arguments.output)


def _write(path: Path, text: str, *, overwrites: bool) -> None:
    """:raises ConfigurationError: when the file exists, or cannot be written."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrites else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists; write to another file, or add --force to overwrite it") from error
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from error


def _report(done: Import, output: Path | None) -> int:
    """Print the losses, the differences and the next steps to standard error. Return the exit code."""
    remarks = all_remarks(done.imported)
    lost = [remark for remark in remarks if remark.is_lost]
    others = [remark for remark in remarks if not remark.is_lost]
    sections = [
        ("Not imported:", list(grouped_lines(lost))),
        ("Imported with a difference:", list(grouped_lines(others))),
        ("Create these Connections; the variables hold the passwords:", connection_commands(done.imported)),
    ]
    for title, lines in sections:
        if lines:
            print(title, *(f"  {line}" for line in lines), "", sep="\n", file=sys.stderr)
    if output:
        print(f"{output} is written; next: registry-sync validate {output}", file=sys.stderr)
    return FAILED if lost else OK
