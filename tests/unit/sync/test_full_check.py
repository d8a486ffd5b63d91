"""Which runs look at what no push time tells, such as a signature that came later than its image."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from registry_sync.sync.window import RunInterval, Window, WindowRequest, window_of_run

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
BEFORE = RunInterval(
    run_type="scheduled", start=datetime(2026, 3, 1, 22, tzinfo=UTC), end=datetime(2026, 3, 1, 23, tzinfo=UTC)
)
OVER = RunInterval(run_type="scheduled", start=MIDNIGHT, end=datetime(2026, 3, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("run", "asked", "expected"),
    [
        (OVER, WindowRequest(), True),
        (BEFORE, WindowRequest(), False),
        (RunInterval(run_type="manual"), WindowRequest(), False),
        (RunInterval(run_type="manual"), WindowRequest(window="all"), True),
        (OVER, WindowRequest(window="from_to", start=MIDNIGHT), False),
        (RunInterval(run_type="backfill", start=OVER.start, end=OVER.end), WindowRequest(), False),
    ],
)
def test_a_full_check_is_one_that_is_asked_for(run: RunInterval, asked: WindowRequest, *, expected: bool) -> None:
    """A run by hand compares all tags too, and asks a registry no question more than that takes."""
    assert window_of_run(run, asked, "@daily").is_full_check is expected


@pytest.mark.parametrize("window", [Window(why="a", is_full_check=True), Window(why="b", start=MIDNIGHT)])
def test_it_crosses_xcom(window: Window) -> None:
    assert Window.from_json(json.loads(json.dumps(window.to_json()))) == window


def test_what_an_earlier_version_wrote() -> None:
    assert Window.from_json({"why": "a", "start": None, "end": None}) == Window(why="a")
