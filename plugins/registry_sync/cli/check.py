"""The command ``check``: find what a run would lack, and print the remedies. Nothing is written to registries."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

from registry_sync.checks.finding import Finding, worst
from registry_sync.checks.report_text import advice, conclusion, findings_table
from registry_sync.cli.arguments import FAILED, OK, UNANSWERED, positive_seconds
from registry_sync.cli.connections import CommandConnections, without_airflow
from registry_sync.cli.installed_copies import copies_problem, find_copies
from registry_sync.config.document import MirrorsFile
from registry_sync.routes.load import load_mirrors

_EXIT_CODES = {"missing": FAILED, "unknown": UNANSWERED}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that only ``check`` has."""
    parser.add_argument(
        "--on-workers",
        action="store_true",
        help="run the checks on a worker of each queue and pool that the file names, by the DAG mirrors_check",
    )
    parser.add_argument(
        "--wait",
        type=positive_seconds,
        default=300.0,
        metavar="SECONDS",
        help="how long to wait for workers (%(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=print_check)


def print_check(arguments: argparse.Namespace) -> int:
    """Check everything that a run needs, and print a table with the remedies.

    Return 1 when something is missing, 3 when nothing is but something could not be checked.
    """
    file = load_mirrors(arguments.file)
    findings = _check_on_workers(file, arguments.wait) if arguments.on_workers else _check_all(file)
    if arguments.json:
        print(json.dumps([finding.to_json() for finding in findings], indent=2, ensure_ascii=False))
    else:
        texts = (findings_table(findings), advice(findings), conclusion(findings))
        print("\n\n".join(text for text in texts if text))
    return _EXIT_CODES.get(worst(findings), OK)


def _check_all(file: MirrorsFile) -> list[Finding]:
    with redirect_stdout(sys.stderr):
        try:
            from registry_sync.airflow.checks.all_checks import check_everything
            from registry_sync.airflow.checks.settings import plugins_folder
        except ModuleNotFoundError as error:
            raise without_airflow(error) from error
        with CommandConnections() as connections:
            return [*_check_copies(plugins_folder()), *check_everything(file, connections, _tell)]


def _check_on_workers(file: MirrorsFile, wait_seconds: float) -> list[Finding]:
    """Check by Airflow's database and settings here, and everything else on the workers."""
    with redirect_stdout(sys.stderr):
        try:
            from registry_sync.airflow.checks.all_checks import check_airflow
            from registry_sync.airflow.checks.on_workers import check_on_workers
        except ModuleNotFoundError as error:
            raise without_airflow(error) from error
        here = list(check_airflow(file))
        return [*here, *check_on_workers(file, wait_seconds=wait_seconds, tell=_tell)]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _check_copies(plugins_folder: Path) -> list[Finding]:
    problem = copies_problem(find_copies(plugins_folder))
    if not problem:
        return []
    return [Finding(subject="registry_sync", check="installed once", verdict="warning", text=problem)]
