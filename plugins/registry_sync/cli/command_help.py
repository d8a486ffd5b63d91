"""Description, examples, exit codes and page of each command, in its ``--help``."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from registry_sync.cli.arguments import FAILED, OK, UNANSWERED, UNUSABLE

_WIDTH = 78

_ALL_RIGHT = {OK: "no problem"}
_NOT_VALID = {UNUSABLE: "the mirrors file or an argument is not valid"}
_NO_RESPONSE = {UNANSWERED: "a registry, a secrets backend or Airflow's database does not respond"}
_NO_DATABASE = {UNANSWERED: "Airflow's database does not respond"}

FIRST_STEPS = """\
first steps:
  %(prog)s validate mirrors.yaml    is the file right?
  %(prog)s check mirrors.yaml       do logins, skopeo and pools work?
  %(prog)s plan --all mirrors.yaml  what would the runs copy?
documentation: docs/first-mirror.md"""
"""Text below the list of commands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandHelp:
    """Text below the options of a command."""

    examples: Sequence[str]
    """Arguments of calls."""
    page: str
    """The page of the documentation, and its section."""
    exit_codes: Mapping[int, str] = field(default_factory=dict)
    """Meanings beside those of 0, and of 2 for a wrong argument."""

    def epilog(self) -> str:
        """The text, with ``%(prog)s`` for the program and the command."""
        calls = [f"  %(prog)s {example.replace('%', '%%')}".rstrip() for example in self.examples]
        codes = sorted({**_ALL_RIGHT, **_NOT_VALID, **self.exit_codes}.items())
        lines = ["examples:", *calls, "exit codes:", *(f"  {code}  {meaning}" for code, meaning in codes)]
        return "\n".join([*lines, f"documentation: {self.page}"])


COMMANDS: Mapping[str, CommandHelp] = {
    "validate": CommandHelp(
        examples=["", "include/mirrors.yaml", "mirrors.d/"],
        page="docs/mistakes.md",
        exit_codes={UNUSABLE: "the mirrors file is not valid; each mistake is printed with its line"},
    ),
    "check": CommandHelp(
        examples=["", "--on-workers"],
        page="docs/check.md",
        exit_codes={FAILED: "something is missing", **_NO_RESPONSE},
    ),
    "plan": CommandHelp(
        examples=["--mirror quay_to_acr", "--mirror quay_to_acr --repository 'giantswarm/*' --tag 'v1.*'", "--all"],
        page="docs/runs.md#totals-of-a-plan",
        exit_codes={FAILED: "a route or a tag would fail", **_NO_RESPONSE},
    ),
    "explain": CommandHelp(
        examples=["--mirror quay_to_acr --repository giantswarm/hyperkube"],
        page="docs/mirrors-file.md#options",
        exit_codes={FAILED: "the source refuses to be read", **_NO_RESPONSE},
    ),
    "verify": CommandHelp(
        examples=["--mirror quay_to_acr --no-repair", "--mirror quay_to_acr --share 5% --read-bytes 2GB"],
        page="docs/verify.md",
        exit_codes={FAILED: "content is missing or damaged", **_NO_RESPONSE},
    ),
    "events": CommandHelp(
        examples=["", "--url https://airflow.example.com --show-secrets"],
        page="docs/events.md#set-up-a-webhook",
        exit_codes={FAILED: "a webhook has no secret: its Connection is missing"},
    ),
    "status": CommandHelp(
        examples=["", "--mirror quay_to_acr --json"],
        page="docs/status.md",
        exit_codes={FAILED: "a destination is behind its promise, something fails, or is unknown", **_NO_DATABASE},
    ),
    "where": CommandHelp(
        examples=["giantswarm/hyperkube:v1.0.0", "--live quay.io/giantswarm/hyperkube:v1.0.0"],
        page="docs/status.md#commands",
        exit_codes={
            FAILED: "a destination lacks the image, or is unknown; --live: a registry disagrees or does not respond",
            **_NO_DATABASE,
        },
    ),
    "import": CommandHelp(
        examples=["regsync.yml -o include/mirrors.yaml", "--to acr.example.com/mirror sync.yml"],
        page="docs/move.md",
        exit_codes={FAILED: "the file is written, and lacks something that the other tool's files say"},
    ),
    "schema": CommandHelp(examples=["> include/mirrors.schema.json"], page="docs/mirrors-file.md#the-file-itself"),
    "nodes": CommandHelp(
        examples=["render --pool outside_china --output out/", "audit", "check", "render --help"],
        page="docs/nodes.md",
        exit_codes={FAILED: "something that was looked at is not right"},
    ),
    "nodes render": CommandHelp(
        examples=["--pool outside_china --output out/", "--pool outside_china --as daemonset --output out/"],
        page="docs/nodes.md#render",
    ),
    "nodes images": CommandHelp(
        examples=["--pool china", "--pool china --output renamed/ deployment.yaml"],
        page="docs/node-names.md",
        exit_codes={FAILED: "an image is copied by no route, and stays unchanged"},
    ),
    "nodes collect": CommandHelp(
        examples=["--output include/lists/nodes.txt manifests.yaml"],
        page="docs/node-images.md",
        exit_codes={FAILED: "an image cannot be listed, and is left out", UNUSABLE: "an input has no image"},
    ),
    "nodes audit": CommandHelp(
        examples=["", "--pool outside_china --runtime docker --against daemon.json"],
        page="docs/node-audit.md",
        exit_codes={
            FAILED: "no route feeds a registry that machines use, or a file differs",
            UNUSABLE: "the mirrors file, an argument or a machine's file cannot be read",
        },
    ),
    "nodes prove": CommandHelp(
        examples=["--pool outside_china --node worker-1 --image giantswarm/hyperkube:v1"],
        page="docs/node-audit.md#prove-it-on-a-machine",
    ),
    "nodes check": CommandHelp(
        examples=["", "--pool outside_china --seconds 3"],
        page="docs/node-check.md",
        exit_codes={FAILED: "machines would not start, although that is promised, or it is unknown"},
    ),
}
"""Texts by the name of the command."""


def add_help_texts(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """Add description, examples, exit codes and page to the help of a command.

    :param text: its line in the list of commands, which becomes the description.
    """
    parser.description = textwrap.fill(f"{text[0].upper()}{text[1:]}.", _WIDTH)
    parser.epilog = COMMANDS[name].epilog()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
