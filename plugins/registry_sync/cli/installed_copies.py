"""Find out if the package is installed twice: by pip, and as a copy in Airflow's plugins folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def find_copies(plugins_folder: Path) -> Sequence[Path]:
    """The folders of the package, the one in use first.

    :param plugins_folder: Airflow's, which it adds to the end of ``sys.path``.
    """
    folders = [Path(folder) / PACKAGE.name for folder in (*sys.path, str(plugins_folder))]
    found = [folder.resolve() for folder in folders if (folder / "plugin.py").is_file()]
    return list(dict.fromkeys([PACKAGE, *found]))


def copies_problem(copies: Sequence[Path]) -> str:
    """The warning about several copies; empty for a single one."""
    if len(copies) < 2:
        return ""
    used, *others = copies
    return (
        f"registry_sync is installed {len(copies)} times: this command is of the package in {used}; "
        f"keep one, and remove the others: {', '.join(map(str, others))}"
    )
