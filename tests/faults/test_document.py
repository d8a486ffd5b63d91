"""The table in the repository is the one that a whole run writes, and the specification is complete."""

from __future__ import annotations

from collections import Counter

from tests.faults import document
from tests.faults.faults import FAULTS
from tests.faults.specification import SPECIFICATION, cases, every_case
from tests.faults.stages import STAGES


def test_the_page_has_what_the_matrix_gives() -> None:
    assert document.BLOCK.read() == document.render(document.specified()), "run make reliability"


def test_every_fault_and_every_stage_is_specified() -> None:
    specified = list(every_case())
    assert {each.fault for each in specified} == set(FAULTS)
    assert {each.stage for each in specified} == set(STAGES)
    assert max(Counter((each.fault, each.stage, each.mover) for each in specified).values()) == 1


def test_a_usual_run_has_each_row_and_each_stage() -> None:
    chosen = cases()
    assert len(chosen) >= len(SPECIFICATION)
    assert {each.stage for each in chosen} == set(STAGES)
