"""Entry point of ``python -m registry_sync``."""

import sys

from registry_sync.cli.main import run

sys.exit(run())
