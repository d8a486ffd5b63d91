"""Shell commands in the documentation: the lines with a ``$`` in blocks of the kind ``console``."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testkit.project import PROJECT

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^ *```console\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL)
_REMARK = re.compile(r"\s+# .*$", re.MULTILINE)
_IN_A_CONTAINER = re.compile(r"^(docker compose exec -T|kubectl exec deploy/\S+ -c) scheduler (-- )?(?=airflow )")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentedCommand:
    """A command as a reader copies it, without its ``$`` and without the remark behind it."""

    page: str
    text: str

    @property
    def local(self) -> str:
        """The command without the way into the scheduler's container."""
        return _IN_A_CONTAINER.sub("", self.text)

    @property
    def program(self) -> str:
        """``registry-sync`` for all three names of our command line; otherwise the first word."""
        words = self.local.replace("python -m registry_sync", "registry-sync", 1).split()
        return words[0]

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def documented_commands() -> list[DocumentedCommand]:
    """Commands of all pages, in the order of each page."""
    return [
        DocumentedCommand(page=page.relative_to(PROJECT).as_posix(), text=text)
        for page in PAGES
        for block in _BLOCK.finditer(page.read_text(encoding="utf-8"))
        for text in commands_in(block["text"])
    ]


def commands_in(block: str) -> Iterator[str]:
    r"""Commands of a block. Lines after a ``\`` or within quotes continue a command; others are output.

    >>> list(commands_in("$ make demo    # a minute\n$ echo 'a\nb' \\\n    c\nsome output\n"))
    ['make demo', "echo 'a\nb' \\\n    c"]
    """
    command = ""
    for line in _REMARK.sub("", block).splitlines():
        if command:
            command += f"\n{line}"
        elif line.lstrip().startswith("$ "):
            command = line.lstrip()[2:]
        if command and _is_complete(command):
            yield command
            command = ""
    assert not command, f"a command without an end: {command}"


def words_of(command: str, environment: Mapping[str, str]) -> list[str]:
    """Words of a command as bash passes them to its program."""
    print_words = ["bash", "-euc", rf"printf '%s\0' {command}"]
    done = subprocess.run(print_words, env=dict(environment), capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def _is_complete(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")
