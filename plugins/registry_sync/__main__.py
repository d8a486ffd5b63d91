"""Entry point of ``python -m registry_sync``. A missing package is reported in one line."""

import sys

try:
    from registry_sync.cli.main import run

    status = run()
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package in ("", "registry_sync"):
        raise
    sys.stderr.write(
        f"this Python ({sys.executable}) does not have the package {package!r}, which registry_sync needs; in a "
        "checkout, use .venv/bin/python (`make venv` makes it), else install registry-sync into this Python "
        "(docs/install.md)\n"
    )
    sys.exit(2)
sys.exit(status)
