"""The tables in the repository are those that a whole run writes, and name tests that exist."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from testkit.project import PROJECT
from tests.servers import document
from tests.servers.modelled import MODELS, Model
from tests.servers.specification import SPECIFICATION


def test_the_page_has_what_the_cases_give() -> None:
    assert document.BLOCK.read() == document.render(document.specified()), "run make registries"


def test_every_case_has_its_own_row() -> None:
    assert max(Counter(map(str, SPECIFICATION)).values()) == 1


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.registries}: {model.behaviour}")
def test_a_model_names_a_test(model: Model) -> None:
    tree = ast.parse((PROJECT / "tests" / model.file).read_text())
    assert model.test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
