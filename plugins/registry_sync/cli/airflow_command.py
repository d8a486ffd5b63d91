"""``airflow registry-sync``: the command line as a command of Airflow, which finds it in the provider's description.

Airflow builds the arguments of all its commands whenever one of them runs, so nothing is imported before this one runs.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

NAME = "registry-sync"


class _AllArguments:
    """An argument of an Airflow command that takes everything behind the command's name, options too.

    The names are those of ``airflow.cli.cli_config.Arg``. Without a prefix, argparse has no options to look for.
    """

    flags = ("arguments",)

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        parser.prefix_chars = ""
        parser.add_argument("arguments", nargs=argparse.REMAINDER)


def get_commands() -> list[Any]:
    """The commands that the package adds to ``airflow``."""
    from airflow.cli.cli_config import ActionCommand

    everything: Any = _AllArguments()
    return [
        ActionCommand(
            name=NAME,
            help="Validate, plan, explain and check mirrors of container images",
            func=_run,
            args=(everything,),
        )
    ]


def _run(arguments: argparse.Namespace) -> None:
    from registry_sync.cli.main import run

    sys.exit(run(arguments.arguments, program=f"airflow {NAME}"))
