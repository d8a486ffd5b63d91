"""The contrast of the pages' colours, computed from their style sheet by WCAG's formula."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = files("registry_sync.airflow.pages").joinpath("static", "page.css").read_text()
COLOURS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", CSS)
}
ON_PAGE = ("text", "muted", "link", "red", "green")
PAIRS = [
    *((name, background) for name in ON_PAGE for background in ("page", "panel")),
    *((name, f"{name}-back") for name in ("red", "orange", "violet", "blue", "green")),
    ("muted", "grey-back"),
    ("text", "grey-back"),
]


def luminance(colour: str) -> float:
    """Relative luminance: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    values = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "background"), PAIRS)
def test_text_can_be_read(text: str, background: str, scheme: str) -> None:
    lighter, darker = sorted((luminance(COLOURS[name][scheme]) for name in (text, background)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
