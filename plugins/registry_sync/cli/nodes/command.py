"""``python -m registry_sync nodes``: the files and image names that machines need to pull by their pool's mirrors."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from registry_sync.cli.arguments import FAILED, OK
from registry_sync.cli.command_help import add_help_texts
from registry_sync.cli.nodes.audit import add_audit
from registry_sync.cli.nodes.check import Clients, add_check, find_pool
from registry_sync.cli.nodes.collect import add_collect
from registry_sync.cli.nodes.prove import add_prove
from registry_sync.cli.nodes.runtime import add_runtime, choose_runtime, choose_versions
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.render import RenderedFile, render_pool, write_files
from registry_sync.nodes.rewrite_manifests import rewrite
from registry_sync.nodes.roll_out.forms import FORMS, render_as
from registry_sync.routes.image_names import NameMap
from registry_sync.routes.load import load_mirrors
from registry_sync.text_table import table

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse has no other name for it


def add_commands(nodes: argparse.ArgumentParser, default_file: Path, clients: Clients) -> None:
    """Add the commands of ``nodes`` to its parser. Each sets ``command`` to the function that runs it."""
    subcommands = nodes.add_subparsers(required=True, metavar="COMMAND")
    file = argparse.ArgumentParser(add_help=False)
    file.add_argument(
        "--mirrors-file", type=Path, default=default_file, metavar="FILE", help="mirrors file (%(default)s)"
    )
    _add_render(subcommands, file)
    _add_images(subcommands, file)
    collect = _add(
        subcommands, "collect", "write the images of manifests, charts or running pods into a list for the mirrors file"
    )
    add_collect(collect)
    audit = _add(
        subcommands,
        "audit",
        "show which mirrors copy the images of pools, or compare the files of machines with the rendered ones",
        [file],
    )
    add_audit(audit)
    prove = _add(
        subcommands, "prove", "print the commands that show on a machine that the mirror served an image", [file]
    )
    add_prove(prove)
    check = _add(subcommands, "check", "check if machines would start now, and with each registry down", [file])
    add_check(check, clients)


def _add(
    subcommands: Commands, name: str, text: str, parents: Sequence[argparse.ArgumentParser] = ()
) -> argparse.ArgumentParser:
    parser = subcommands.add_parser(name, parents=parents, help=text)
    add_help_texts(parser, f"nodes {name}", text)
    return parser


def _add_render(subcommands: Commands, file: argparse.ArgumentParser) -> None:
    render = _add(subcommands, "render", "write the runtime's configuration files for the machines of a pool", [file])
    render.add_argument("--pool", required=True, metavar="NAME", help="the pool of machines")
    add_runtime(render)
    render.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to write to")
    render.add_argument(
        "--as",
        dest="form",
        choices=FORMS,
        help="write one file that brings the configuration onto machines, in this form",
    )
    render.add_argument("--force", action="store_true", help="replace existing files that differ")
    render.set_defaults(command=_render)


def _add_images(subcommands: Commands, file: argparse.ArgumentParser) -> None:
    images = _add(
        subcommands,
        "images",
        "print the names that images have at a pool's registry, or rewrite image lists and manifests with them",
        [file],
    )
    images.add_argument("--pool", required=True, metavar="NAME", help="the pool of machines")
    images.add_argument("--json", action="store_true", help="print the names as JSON")
    images.add_argument("--output", type=Path, metavar="DIR", help="write the files to this folder, not to stdout")
    images.add_argument("files", nargs="*", metavar="FILE", help="image lists or manifests to rewrite; - is stdin")
    images.set_defaults(command=_images)


def _render(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.mirrors_file)
    pool = find_pool(file, arguments.pool)
    if arguments.form:
        runtime = arguments.runtime or pool.runtime
        versions = choose_versions(pool, runtime, arguments.version) if runtime else Versions()
        return _print_written([render_as(arguments.form, file, pool, runtime, versions)], arguments)
    runtime = choose_runtime(pool, arguments.runtime)
    files = render_pool(file, pool, runtime, choose_versions(pool, runtime, arguments.version))
    return _print_written(files, arguments)


def _print_written(files: Sequence[RenderedFile], arguments: argparse.Namespace) -> int:
    for path, outcome in write_files(files, arguments.output, force=arguments.force).items():
        print(f"{path}: {outcome}")
    return OK


def _images(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.mirrors_file)
    names = NameMap(file, find_pool(file, arguments.pool))
    if arguments.files:
        return _rewrite(arguments.files, names, arguments.output)
    rows = names.rows()
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        cells = [
            (row.image, f"→ {row.becomes}", ", ".join(row.mirrors) or "-", ", ".join(row.excluded) or "-")
            for row in rows
        ]
        print(table(("image", "becomes", "by", "but not"), cells))
    return OK


def _rewrite(files: Sequence[str], names: NameMap, output: Path | None) -> int:
    if len(files) > 1 and output is None:
        raise ConfigurationError("several files need --output DIR: on stdout they would run into each other")
    counts = Counter(Path(file).name for file in files)
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise ConfigurationError(f"several files are called {repeated[0]!r} and would overwrite each other in --output")
    texts = {file: _read(file) for file in files}
    results = {file: rewrite(text, file, names) for file, text in texts.items()}
    for file, result in results.items():
        if output is None:
            sys.stdout.write(result.text)
        else:
            _write(output / Path(file).name, result.text)
    problems = [problem for result in results.values() for problem in result.problems]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return FAILED if problems else OK


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot write it ({error})") from error


def _read(name: str) -> str:
    try:
        return (sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name}: cannot read it ({error})") from error
