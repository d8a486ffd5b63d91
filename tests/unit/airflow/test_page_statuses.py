"""The words of the pages for statuses: those of the command line, JSON and messages."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from registry_sync.state.judging.freshness import SEVERITY

MACROS = files("registry_sync.airflow.pages").joinpath("templates", "macros.html").read_text()
WORDS = dict(re.findall(r'"(\w+)": \("[^"]+", "([^"]+)"\),', MACROS))


@pytest.mark.parametrize("status", SEVERITY)
def test_a_status_has_one_word_everywhere(status: str) -> None:
    assert WORDS[status] == status.replace("_", " ")
