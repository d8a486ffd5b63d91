"""``python -m registry_sync``: check a mirrors file and its registries, see what a run would do, print a schema."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry_sync.cli.check_registries import check_registries
from registry_sync.cli.explain import explain
from registry_sync.cli.nodes import add_nodes
from registry_sync.cli.nodes_check import Clients
from registry_sync.config.model import Mirror, MirrorsFile, Registry
from registry_sync.errors import ConfigurationError, RegistrySyncError
from registry_sync.registry.client import PullClient, RegistryClient
from registry_sync.routes.discovery import expand_routes, select_routes
from registry_sync.routes.load import json_schema, load_mirrors, mirrors_path
from registry_sync.routes.route import Route
from registry_sync.sync.plan import CopyTag, Decision, DeleteTag, Failed, Locked, Plan, Skipped, Unchanged
from registry_sync.sync.route import Sides, lister, observe_and_plan
from registry_sync.tags.rules import TagRules, only_tags
from registry_sync.text_table import table

PROJECT = Path(__file__).resolve().parents[3]

OK, FAILED, UNUSABLE = 0, 1, 2


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
    plan.set_defaults(command=_plan)

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

    add_nodes(commands, default, Clients(source=_client, node=_node_client))

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
    for each in check_registries(load_mirrors(arguments.file), _client):
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


def _plan(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.file)
    mirror = _mirror(file, arguments.mirror)
    only = only_tags(arguments.tag)
    documents: list[dict[str, Any]] = []
    failed = 0
    for name in _destinations(mirror, arguments.destination):
        for route, planned in _plans(file, mirror, name, arguments.repository, only):
            failed += isinstance(planned, RegistrySyncError) or any(isinstance(d, Failed) for d in planned.decisions)
            documents.append(_document(route, planned))
            if not arguments.json:
                print(f"\n{_text(route, planned)}")
    if arguments.json:
        print(json.dumps(documents, indent=2, ensure_ascii=False))
    elif failed:
        print(f"\n{failed} of {len(documents)} routes would fail", file=sys.stderr)
    return FAILED if failed else OK


def _explain(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.file)
    mirror = _mirror(file, arguments.mirror)
    destinations, now = _destinations(mirror, arguments.destination), datetime.now(UTC)
    patterns = only_tags(arguments.tag).include or ()
    for each in explain(file, mirror, arguments.repository, destinations, _client, now):
        print(f"\n{each.text(patterns)}")
    return OK


def _mirror(file: MirrorsFile, name: str) -> Mirror:
    if name not in file.mirrors:
        known = ", ".join(file.mirrors) or "none"
        raise ConfigurationError(f"there is no mirror {name!r} in {file.path}; there are {known}")
    return file.mirrors[name]


def _destinations(mirror: Mirror, chosen: Sequence[str]) -> Sequence[str]:
    if unknown := [each for each in chosen if each not in mirror.destinations]:
        raise ConfigurationError(f"{mirror.name!r} has no destination {unknown}; it has {list(mirror.destinations)}")
    return chosen or mirror.destinations


def _plans(
    file: MirrorsFile, mirror: Mirror, destination: str, globs: Sequence[str], only: TagRules
) -> Iterator[tuple[Route, Plan | RegistrySyncError]]:
    """Each route to one destination with its plan, or with the error that kept it from being read."""
    here, there = file.registries[mirror.source], file.registries[destination]
    with ExitStack() as stack:
        sides = Sides(
            source=stack.enter_context(closing(_client(here))), destination=stack.enter_context(closing(_client(there)))
        )
        for found in select_routes(expand_routes(mirror, here, there, lister(sides.source)), globs):
            try:
                yield found.route, observe_and_plan(found.route, sides, only)
            except RegistrySyncError as error:
                yield found.route, error


def _client(registry: Registry) -> RegistryClient:
    """Opened with the registry's Airflow Connection, so that the plan is what a run would make.

    Airflow sends its logs to what standard output is when it is imported; there they would spoil what programs read.
    """
    with redirect_stdout(sys.stderr):
        try:
            from registry_sync.airflow.hooks.registry import RegistryHook
        except ModuleNotFoundError as error:
            advice = "run this where Airflow is installed, since registries are opened with its Connections"
            raise ConfigurationError(f"{error}; {advice}") from error
        return RegistryHook(registry).get_conn()


def _node_client(registry: Registry, answer_seconds: float) -> PullClient:
    """Opened as a machine that pulls does, without the registry's Connection."""
    with redirect_stdout(sys.stderr):
        from registry_sync.airflow.hooks.registry import RegistryHook

        return RegistryHook(registry).get_node_conn(answer_seconds)


def _document(route: Route, planned: Plan | RegistrySyncError) -> dict[str, Any]:
    document: dict[str, Any] = {
        "source": str(route.source_repository),
        "destination": str(route.destination_repository),
    }
    if isinstance(planned, RegistrySyncError):
        return {**document, "error": str(planned), "error_class": planned.error_class}
    selection = [{"step": each.what, "tags": each.tags} for each in planned.attrition]
    tags = [_decision_document(each) for each in planned.decisions]
    return {**document, "selection": selection, "tags": tags, "notes": list(planned.notes)}


def _decision_document(decision: Decision) -> dict[str, Any]:
    word, digest, reason = _words(decision)
    return {"tag": decision.tag, "decision": word, "digest": digest, "reason": reason}


def _text(route: Route, planned: Plan | RegistrySyncError) -> str:
    heading = f"{route.source_repository} → {route.destination_repository}"
    if isinstance(planned, RegistrySyncError):
        return f"{heading}\n  FAILED: {planned}"
    rows = []
    for each in planned.decisions:
        word, digest, reason = _words(each)
        rows.append((each.tag, word.replace("_", " "), digest[:19] if digest else "-", reason))
    attrition = [planned.shown_attrition] if planned.attrition else []
    decisions = table(("tag", "decision", "digest", "reason"), rows) if rows else "  the source repository holds no tag"
    return "\n".join((heading, *attrition, decisions, *planned.notes))


def _words(decision: Decision) -> tuple[str, str | None, str]:
    """What is decided in one word, the source's digest where it is known, and why."""
    match decision:
        case CopyTag(digest=digest, reason=reason):
            return "copy", str(digest), reason
        case Unchanged(digest=digest):
            return "unchanged", str(digest), "same digest"
        case Skipped(reason=reason):
            return "skip", None, reason
        case DeleteTag(digest=digest, reason=reason):
            return "delete", str(digest), reason
        case Locked(digest=digest, reason=reason):
            return "locked", str(digest), reason
        case Failed(reason=reason):
            return "fail", None, reason


def run() -> int:
    """Run the command that the process was started with, with warnings on standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("registry_sync").setLevel(logging.WARNING)  # Airflow asks the root logger for more
    return main()
