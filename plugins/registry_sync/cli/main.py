"""The commands of ``python -m registry_sync``: their arguments, and the function that runs each."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry_sync import __version__
from registry_sync.cli.arguments import FAILED, OK, UNANSWERED, UNUSABLE
from registry_sync.cli.command_help import COMMANDS, FIRST_STEPS, add_help_texts
from registry_sync.errors import ConfigurationError, RegistrySyncError

_SDKS = ("azure", "boto3", "botocore", "google.auth", "msal", "urllib3")
"""Loggers of the SDKs of clouds, which write requests, headers and places at level info."""

_LEVELS = {
    **dict.fromkeys(("registry_sync", *_SDKS), logging.WARNING),
    **dict.fromkeys(("azure.identity", "botocore.credentials"), logging.ERROR),
}
"""Levels of loggers in commands. The last two warn of errors that are raised too, one of them with a traceback."""

PROJECT = Path(__file__).resolve().parents[3]


def main(argv: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run a command, and return its exit code, of ``cli/arguments.py``.

    :param program: name of the program in its help; by default that by which it was started.
    """
    words = sys.argv[1:] if argv is None else argv
    parser = command_parser(program or _program(), words)
    arguments, others = parser.parse_known_args(words)
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}{_file_form(arguments)}")
    _warn_of_other_file(arguments, words)
    try:
        return int(arguments.command(arguments))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except RegistrySyncError as error:
        print(error, file=sys.stderr)
        return FAILED if error.is_permanent else UNANSWERED


def _file_form(arguments: argparse.Namespace) -> str:
    """The form in which the command takes the mirrors file; empty for one that takes none."""
    if "mirrors_file" in arguments:
        return "; name the mirrors file by --mirrors-file FILE"
    return "; name the mirrors file by FILE alone" if "file" in arguments else ""


def _warn_of_other_file(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    """Warn if the command chose a mirrors file by itself, and DAG files in Airflow's home read another one."""
    from registry_sync.config.reading.file_text import PATH_VARIABLE, unread_file_at_home

    file = getattr(arguments, "mirrors_file", None) or getattr(arguments, "file", None)
    is_read = isinstance(file, Path) and getattr(arguments, "live", True)
    if not is_read or any(word.endswith(str(file)) for word in words):
        return
    if other := unread_file_at_home(PROJECT):
        text = f"this command reads {file}, and DAG files in $AIRFLOW_HOME/dags read {other}"
        print(f"{text}; name the file, or set {PATH_VARIABLE} for both", file=sys.stderr)


def command_parser(program: str, argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command line. Only the command that it names gets options, and imports what it needs."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Mirror container images between registries, as a mirrors file says.",
        epilog=FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"registry-sync {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    named = next((word for word in argv if word in _COMMANDS), None)
    for name, (text, add_options) in _COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name == named:
            if name in COMMANDS:
                add_help_texts(command, name, text)
            add_options(command)
    return parser


def _program() -> str:
    """The name of the console script, or ``python -m registry_sync``."""
    name = Path(sys.argv[0]).name
    return name if name == "registry-sync" else "python -m registry_sync"


def _add_validate(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.set_defaults(command=_validate)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    from registry_sync.cli import plan

    _add_file(parser)
    parser.add_argument("--repository", **_repeated("GLOB", "plan only matching source repositories"))
    parser.add_argument("--destination", **_repeated("NAME", "plan only this destination"))
    parser.add_argument("--tag", type=_glob, **_repeated("GLOB", "plan only matching tags"))
    plan.add_options(parser)


def _add_explain(parser: argparse.ArgumentParser) -> None:
    from registry_sync.cli.explain import print_explanations

    _add_file(parser)
    parser.add_argument("--mirror", required=True, metavar="NAME", help="mirror of the repository")
    parser.add_argument("--repository", required=True, metavar="NAME", help="source repository to explain")
    parser.add_argument("--destination", **_repeated("NAME", "explain only this destination"))
    parser.add_argument("--tag", type=_glob, **_repeated("GLOB", "show only matching tags"))
    parser.set_defaults(command=print_explanations)


def _add_verify(parser: argparse.ArgumentParser) -> None:
    from registry_sync.cli import verify

    _add_file(parser)
    parser.add_argument("--mirror", **_repeated("NAME", "verify only this mirror"))
    parser.add_argument("--repository", **_repeated("GLOB", "verify only matching source repositories"))
    parser.add_argument("--destination", **_repeated("NAME", "verify only this destination"))
    parser.add_argument("--tag", type=_glob, **_repeated("GLOB", "verify only matching tags"))
    verify.add_options(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    from registry_sync.cli import check

    _add_file(parser)
    check.add_options(parser)


def _add_events(parser: argparse.ArgumentParser) -> None:
    from registry_sync.cli import events

    _add_file(parser)
    events.add_options(parser)


def _add_status(parser: argparse.ArgumentParser) -> None:
    from registry_sync.cli.status import print_status

    parser.add_argument("--mirror", **_repeated("NAME", "print only this mirror"))
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=print_status)


def _add_where(parser: argparse.ArgumentParser) -> None:
    from registry_sync.cli.where import print_where

    parser.add_argument("image", metavar="IMAGE[:TAG|@DIGEST]", help="name with or without its registry; or a digest")
    parser.add_argument("--live", action="store_true", help="also read the tag at the registries, and compare")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--mirrors-file",
        type=Path,
        default=_default_file(),
        metavar="FILE",
        help="mirrors file, for --live (%(default)s)",
    )
    parser.set_defaults(command=print_where)


def _add_import(parser: argparse.ArgumentParser) -> None:
    from registry_sync.cli.import_files import add_options

    add_options(parser)


def _add_nodes(parser: argparse.ArgumentParser) -> None:
    from registry_sync.cli.connections import open_client, open_node_client
    from registry_sync.cli.nodes.check import Clients
    from registry_sync.cli.nodes.command import add_commands

    add_commands(parser, _default_file(), Clients(source=open_client, node=open_node_client))


def _add_schema(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_schema)


_COMMANDS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "validate": ("check a mirrors file, and print every error in it", _add_validate),
    "plan": ("compare source and destination, and print what a run would do; copies nothing", _add_plan),
    "explain": (
        "print the settings of a repository and where each is set, and why each tag is selected or not",
        _add_explain,
    ),
    "verify": (
        "check that the destinations hold every layer of the tags in sync, and send again what they lack",
        _add_verify,
    ),
    "check": ("check everything that a run needs, and print what to type; copies nothing", _add_check),
    "events": ("print the address that each registry reports pushes to, and how to enter it", _add_events),
    "status": ("print if each destination is as fresh as promised, from what runs have recorded", _add_status),
    "where": ("print where an image is, when it arrived, and where it is lacking", _add_where),
    "import": (
        "write a mirrors file from the files of another mirroring tool, and list what it cannot say",
        _add_import,
    ),
    "nodes": ("write, compare and check the files and images by which machines pull", _add_nodes),
    "schema": ("print the JSON Schema of the mirrors file", _add_schema),
}
"""Each command with its line in the help, and the function that adds its options."""


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", type=Path, default=_default_file(), metavar="FILE", help="mirrors file (%(default)s)"
    )


def _default_file() -> Path:
    from registry_sync.config.reading.file_text import mirrors_path

    return mirrors_path(PROJECT)


def _repeated(metavar: str, text: str) -> dict[str, Any]:
    """Keyword arguments of an option that may be repeated."""
    return {"action": "append", "default": [], "metavar": metavar, "help": f"{text} (may be repeated)"}


def _glob(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _validate(arguments: argparse.Namespace) -> int:
    from registry_sync.cli.disabled import remarks_about_disabled, schedule_text
    from registry_sync.routes.load import load_mirrors
    from registry_sync.text_table import table

    file = load_mirrors(arguments.file)
    print(f"{arguments.file} is valid")
    now = datetime.now(UTC)
    rows = [
        (
            mirror.name,
            mirror.source,
            ", ".join(mirror.destinations),
            str(len(mirror.rules)),
            schedule_text(mirror, now),
        )
        for mirror in file.mirrors.values()
    ]
    if rows:
        print(table(("mirror", "source", "destinations", "rules", "schedule (UTC)"), rows, right=frozenset({3})))
    for remark in remarks_about_disabled(file, now):
        print(remark)
    return OK


def _schema(_: argparse.Namespace) -> int:
    from registry_sync.routes.load import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return OK


def run(argv: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run a command, by default that of this process's arguments, with warnings on standard error.

    Outside of tasks, Airflow 3 looks for Connections in the environment and in secrets backends. Only in processes that
    call themselves a server does it look in its database.
    """
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name, level in _LEVELS.items():  # Airflow sets the root logger to INFO
        logging.getLogger(name).setLevel(level)
    try:
        status = main(argv, program)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has ended, such as ``head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would fail again when it ends
        return 128 + signal.SIGPIPE
    return status
