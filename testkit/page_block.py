"""A part of a page of the documentation that a program writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testkit.project import PROJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class PageBlock:
    """The text between two comments of ``docs/PAGE``, written by a command."""

    page: str
    command: str

    def read(self) -> str:
        """The present text, without the newlines around it."""
        return self._parts()[1].strip()

    def write(self, text: str) -> None:
        """Replace the text."""
        head, _, rest = self._parts()
        self._path.write_text(f"{head}{self._begin}\n{text}\n{self._end}{rest}", encoding="utf-8")

    def _parts(self) -> tuple[str, str, str]:
        head, begin, rest = self._path.read_text(encoding="utf-8").partition(self._begin)
        text, end, tail = rest.partition(self._end)
        if not (begin and end):
            raise ValueError(f"{self._path} has no block {self._begin} … {self._end}")
        return head, text, tail

    @property
    def _path(self) -> Path:
        return PROJECT / "docs" / self.page

    @property
    def _begin(self) -> str:
        return f"<!-- begin: written by {self.command} -->"

    @property
    def _end(self) -> str:
        return f"<!-- end: written by {self.command} -->"
