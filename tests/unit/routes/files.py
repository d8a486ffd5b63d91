"""Writing mirrors files, reading their problems, and naming the cases of a table after what is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import load_mirrors

Write = Callable[[str | bytes], Path]

MAX_LABEL = 60


def problems(path: Path) -> list[str]:
    """All problems of a file that cannot be loaded."""
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(path)
    return str(caught.value).split("\n")


def flow(value: Any) -> str:
    """A value as YAML in one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n").strip()


def label(value: Any) -> str | None:
    """The id of a case: values as YAML, messages shortened."""
    if isinstance(value, datetime):
        return value.isoformat()
    text = value if isinstance(value, str) else flow(value)
    return text if len(text) <= MAX_LABEL else f"{text[:MAX_LABEL]}..."
