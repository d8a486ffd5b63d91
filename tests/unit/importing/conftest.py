"""A fixture that imports a text, and reads what comes out of it with the product's own loader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry_sync.cli.arguments import OK
from registry_sync.cli.main import main


@dataclass(frozen=True, slots=True)
class Outcome:
    """The output of an import. ``document`` is the parsed mirrors file, which is valid."""

    code: int
    text: str
    errors: str
    document: dict[str, Any]

    @property
    def rules(self) -> list[Any]:
        """The entries of all mirrors."""
        return [rule for mirror in self.document["mirrors"].values() for rule in mirror["repositories"]]

    @property
    def lost(self) -> list[str]:
        """The losses, without the names of files."""
        return self._listed("Not imported:")

    @property
    def noted(self) -> list[str]:
        return self._listed("Imported with a difference:")

    def _listed(self, title: str) -> list[str]:
        found = self.errors.partition(f"{title}\n")[2].partition("\n\n")[0]
        return [line.strip().partition(":")[2] for line in found.splitlines()]


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Import texts as files ``a``, ``b`` …; the result is loaded by ``validate``, and its remarks stand in the file."""

    def run(*texts: str, options: tuple[str, ...] = ()) -> Outcome:
        paths = [tmp_path / name for name, _ in zip("abc", texts, strict=False)]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        code = main(["import", *map(str, paths), *options])
        printed = capsys.readouterr()
        made = tmp_path / "mirrors.yaml"
        made.write_text(printed.out)
        assert main(["validate", str(made)]) == OK, capsys.readouterr().err
        capsys.readouterr()
        outcome = Outcome(code, printed.out, printed.err, yaml.safe_load(printed.out))
        for remark in outcome.lost:
            assert remark.partition(": ")[2] in printed.out
        assert code == (1 if outcome.lost else 0)
        return outcome

    return run
