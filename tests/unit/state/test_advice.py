"""Advice for each class of errors."""

from __future__ import annotations

from registry_sync import errors
from registry_sync.state.lookup.advice import ADVICE, OTHER, advice


def test_each_class_of_errors_has_advice() -> None:
    classes = {
        var.error_class for var in vars(errors).values() if isinstance(var, type) and hasattr(var, "error_class")
    }
    assert classes - {errors.RegistrySyncError.error_class} - ADVICE.keys() == set()
    assert ADVICE.keys() - classes == {"unreported"}


def test_unknown_classes_have_advice_too() -> None:
    assert advice("of_another_version") == OTHER
