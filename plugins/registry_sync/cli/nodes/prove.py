"""``python -m registry_sync nodes prove``: the commands that show on a machine that the mirror served an image."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from registry_sync.cli.arguments import OK
from registry_sync.cli.nodes.check import find_pool
from registry_sync.cli.nodes.runtime import add_runtime, choose_runtime
from registry_sync.nodes.prove import proof
from registry_sync.routes.load import load_mirrors


def add_prove(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``nodes prove`` to its parser, which already has ``--mirrors-file``."""
    parser.add_argument("--pool", required=True, metavar="NAME", help="the pool of the machine")
    parser.add_argument("--node", required=True, metavar="NAME", help="the machine")
    parser.add_argument(
        "--image",
        metavar="REPOSITORY:TAG",
        help="an image that is not on the machine (default: the first bootstrap image with a tag by name)",
    )
    add_runtime(parser)
    parser.set_defaults(command=_prove)


def _prove(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.mirrors_file)
    pool = find_pool(file, arguments.pool)
    runtime = choose_runtime(pool, arguments.runtime)
    mark = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    print(proof(file, pool, runtime, image=arguments.image, node=arguments.node, mark=mark), end="")
    return OK
