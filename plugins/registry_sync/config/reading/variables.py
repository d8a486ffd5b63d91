"""Replace ``${NAME}`` in the values of a mirrors file by variables of the environment that ``env:`` lists.

Values only, after YAML is read: what a variable contains cannot add keys, and is not expanded again. ``$${`` stands for
``${``. Without ``env:`` nothing is replaced, and ``${NAME}`` is a problem instead of a part of a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry_sync.config.reading.yaml_source import Document, Place
from registry_sync.text import quoted


def expand_variables(document: Document, environment: Mapping[str, str]) -> None:
    """Replace the variables in the values of ``document``, and add a problem for each that has no value."""
    if isinstance(document.value, Mapping) and any("${" in text for text in document.texts.values()):
        document.value = _Expander(document, environment).expand(document.value, ())


_VARIABLE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class _Expander:
    document: Document
    environment: Mapping[str, str]

    def expand(self, value: Any, place: Place) -> Any:
        match value:
            case str():
                return _VARIABLE.sub(lambda found: self._replacement(found, place), value)
            case Mapping():
                return {key: self.expand(item, (*place, key)) for key, item in value.items()}
            case tuple():
                return tuple(self.expand(item, (*place, index)) for index, item in enumerate(value))
        return value

    def _replacement(self, found: re.Match[str], place: Place) -> str:
        name = found[1]
        if name is None:
            return "${"
        if problem := self._problem(name):
            self.document.problems.append((place, f"${{{name}}}: {problem}"))
        value = self.environment.get(name, found[0])
        if not value:
            self.document.empty_variables[place] = name
        return value

    def _problem(self, name: str) -> str:
        """The reason why a variable has no value; empty when it has one."""
        if not _NAME.fullmatch(name):
            return "only ${NAME} is expanded, with letters, digits and _; write $${ for the characters ${ themselves"
        listed = self.document.value.get("env")
        if not isinstance(listed, tuple):
            return f"variables are not expanded; write env: [{name}] at the top of the file, or the value itself"
        if name not in listed:
            return f"{quoted(name)} is not in env: (line {self.document.line(('env',))}); add it there"
        if name not in self.environment:
            return (
                f"the environment has no variable {quoted(name)}; set it for the DAG processor, for every worker, "
                "and where you run commands"
            )
        return ""
