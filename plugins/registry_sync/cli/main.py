"""``python -m registry_sync``: check a mirrors file and its registries, see what a run would do, print a schema."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from registry_sync.cli.arguments import FAILED, OK, UNUSABLE, chosen_destinations, named_mirror
from registry_sync.cli.check_registries import check_registries
from registry_sync.cli.connections import open_client, open_node_client
from registry_sync.cli.explain import explain
from registry_sync.cli.nodes import add_nodes
from registry_sync.cli.nodes_check import Clients
from registry_sync.cli.plan import print_plans
from registry_sync.errors import ConfigurationError, RegistrySyncError
from registry_sync.routes.load import json_schema, load_mirrors, mirrors_path
from registry_sync.tags.rules import only_tags
from registry_sync.text_table import table

PROJECT = Path(__file__).resolve().parents[3]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. 0: done; 1: something failed or would fail; 2: the mirrors file or an argument cannot be used."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except RegistrySyncError as error:
        print(error, file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m registry_sync", description="Mirror container images.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    file = argparse.ArgumentParser(add_help=False)
    default = mirrors_path(PROJECT)
    file.add_argument("file", nargs="?", type=Path, default=default, metavar="FILE", help="mirrors file (%(default)s)")

    validate = commands.add_parser("validate", parents=[file], help="check a mirrors file and name every problem")
    validate.set_defaults(command=_validate)

    plan = commands.add_parser(
        "plan", parents=[file], help="read both sides, and print what a run would do and why; copies nothing"
    )
    plan.add_argument("--mirror", required=True, metavar="NAME", help="the mirror to plan")
    plan.add_argument("--repository", action="append", default=[], metavar="GLOB", help="only these (may be repeated)")
    plan.add_argument("--destination", action="append", default=[], metavar="NAME", help="only these (may be repeated)")
    plan.add_argument(
        "--tag", action="append", type=_glob, default=[], metavar="GLOB", help="only these (may be repeated)"
    )
    plan.add_argument("--json", action="store_true", help="for programs")
    plan.set_defaults(command=print_plans)

    explain = commands.add_parser(
        "explain",
        parents=[file],
        help="print each setting of a repository and where it is written, and why each tag is chosen or not",
    )
    explain.add_argument("--mirror", required=True, metavar="NAME", help="the mirror to explain")
    explain.add_argument("--repository", required=True, metavar="NAME", help="a source repository of it")
    explain.add_argument("--destination", action="append", default=[], metavar="NAME", help="only these")
    explain.add_argument("--tag", action="append", type=_glob, default=[], metavar="GLOB", help="only these")
    explain.set_defaults(command=_explain)

    check = commands.add_parser(
        "check", parents=[file], help="log in at each registry and list a page, to see what is missing; writes nothing"
    )
    check.set_defaults(command=_check)

    add_nodes(commands, default, Clients(source=open_client, node=open_node_client))

    schema = commands.add_parser("schema", help="print the JSON Schema of mirrors files")
    schema.set_defaults(command=_schema)
    return parser


def _glob(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it is empty, and would choose nothing")
    return text


def _validate(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.file)
    print(f"{arguments.file} is valid")
    rows = [
        (each.name, each.source, ", ".join(each.destinations), str(len(each.rules)), each.schedule or "by hand")
        for each in file.mirrors.values()
    ]
    if rows:
        print(table(("mirror", "source", "destinations", "rules", "schedule (UTC)"), rows, right=frozenset({3})))
    return OK


def _check(arguments: argparse.Namespace) -> int:
    rows, problems = [], []
    for each in check_registries(load_mirrors(arguments.file), open_client):
        name = each.registry.name
        rows.append((name, each.registry.host, each.what, "FAILED" if each.problem else "ok"))
        if each.problem:
            problems.append(f"{name}: {each.what}: {each.problem}")
    print(table(("registry", "host", "tried", "result"), rows))
    for problem in problems:
        print(f"\n{problem}", file=sys.stderr)
    return FAILED if problems else OK


def _schema(_: argparse.Namespace) -> int:
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return OK


def _explain(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.file)
    mirror = named_mirror(file, arguments.mirror)
    destinations, now = chosen_destinations(mirror, arguments.destination), datetime.now(UTC)
    patterns = only_tags(arguments.tag).include or ()
    for each in explain(file, mirror, arguments.repository, destinations, open_client, now):
        print(f"\n{each.text(patterns)}")
    return OK


def run() -> int:
    """Run the command that the process was started with, with warnings on standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("registry_sync").setLevel(logging.WARNING)  # Airflow asks the root logger for more
    return main()
