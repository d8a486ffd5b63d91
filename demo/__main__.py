"""``python -m demo``: mirror real images between three registries on this machine, through Airflow."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from demo.folder import DemoError, DemoFolder
from demo.run import run
from demo.ui import ui
from testkit.airflow import AirflowStartError
from testkit.browser import BrowserError
from testkit.project import PROJECT
from testkit.registry import RegistryStartError


def _screenshot(folder: DemoFolder) -> int:
    """Airflow, which the pictures' states need, makes a folder in the home of whoever imports it."""
    from demo.screenshot import screenshot  # noqa: PLC0415

    return screenshot(folder)


COMMANDS: Mapping[str, Callable[[DemoFolder], int]] = {"run": run, "ui": ui, "screenshot": _screenshot}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--folder", type=Path, default=PROJECT / ".demo", help="where everything is kept (%(default)s)")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _leave)
    try:
        with DemoFolder.open(arguments.folder) as folder:
            return COMMANDS[arguments.command](folder)
    except (DemoError, AirflowStartError, BrowserError, RegistryStartError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 130


def _leave(*_: object) -> NoReturn:
    """Exit as after Ctrl-C, through every ``finally``."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
