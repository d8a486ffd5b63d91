"""Import the files of another tool: read them, recognize the tool, and make the text of a mirrors file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from registry_sync.config.reading.other_tools import Tool, recognize, recognize_text
from registry_sync.config.reading.yaml_source import Document, read_yaml
from registry_sync.errors import ConfigurationError
from registry_sync.importing.model import Imported, Remark, Wish
from registry_sync.importing.reading import NoCounterpart
from registry_sync.importing.tools.crsync import read_crsync
from registry_sync.importing.tools.dregsy import read_dregsy
from registry_sync.importing.tools.image_syncer import read_image_syncer
from registry_sync.importing.tools.promoter import read_promoter
from registry_sync.importing.tools.regsync import read_regsync
from registry_sync.importing.tools.retagger import read_retagger
from registry_sync.importing.tools.skopeo_sync import read_skopeo_sync
from registry_sync.importing.validate import write_valid

MAX_BYTES = 50 * 1024 * 1024

Reader = Callable[[tuple[Document, ...], Wish], Imported]

READERS: Mapping[Tool, Reader] = {
    "regsync": read_regsync,
    "skopeo": read_skopeo_sync,
    "image-syncer": read_image_syncer,
    "dregsy": read_dregsy,
    "retagger": read_retagger,
    "promoter": read_promoter,
}
"""The readers of the tools whose files are YAML or JSON."""

TOOLS: tuple[Tool, ...] = (*READERS, "crsync")


@dataclass(frozen=True, slots=True)
class Import:
    """The text of a valid mirrors file, and what was read, with all remarks."""

    text: str
    imported: Imported


def import_files(paths: Sequence[Path], wish: Wish, tool: Tool | None = None) -> Import:
    """Read the files of one tool. By default the tool is recognized by their content.

    :raises ConfigurationError: when they cannot be read, or belong to no known tool or to several.
    """
    texts = [(path.name, read_text(path)) for path in paths]
    try:
        imported, text = write_valid(_read(texts, wish, tool))
    except NoCounterpart as error:
        raise ConfigurationError(f"{texts[0][0]}:{error.line}: {error.text}") from error
    return Import(text, imported)


def _read(texts: Sequence[tuple[str, str]], wish: Wish, tool: Tool | None) -> Imported:
    if tool == "crsync" or (tool is None and all(recognize_text(text) for _, text in texts)):
        return read_crsync(texts, wish)
    documents = tuple(_parse(text, name) for name, text in texts)
    tool = tool or _recognized(documents)
    imported = READERS[tool](documents, wish)
    remarks = (*(remark for document in documents for remark in _problems(document)), *imported.remarks)
    return replace(imported, remarks=remarks)


def read_text(path: Path) -> str:
    """:raises ConfigurationError: when a file cannot be read, is empty, too large or not UTF-8 text."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ConfigurationError(f"{path}: is larger than {MAX_BYTES // 1024 // 1024} MiB; split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    if not text.strip():
        raise ConfigurationError(f"{path}: is empty")
    return text


def _parse(text: str, name: str) -> Document:
    """Read YAML or JSON. JSON may be indented with tabs, which YAML refuses.

    :raises MirrorsFileError: with the line, and without its text, which may hold a password.
    """
    return read_yaml(text.replace("\t", " ") if text.lstrip()[:1] in ("{", "[") else text, name, advises=False)


def _recognized(documents: Sequence[Document]) -> Tool:
    tools = {document.name: recognize(document.value) for document in documents}
    known = {tool for tool in tools.values() if tool}
    if unknown := [name for name, tool in tools.items() if tool is None]:
        advice = f"if it is, name the tool with --from: {', '.join(TOOLS)}"
        raise ConfigurationError(f"{unknown[0]}: is not recognized as a file of another mirroring tool; {advice}")
    if len(known) > 1:
        named = ", ".join(f"{name} is a file of {tool}" for name, tool in tools.items())
        raise ConfigurationError(f"{named}; import the files of one tool at a time")
    return known.pop()


def _problems(document: Document) -> list[Remark]:
    """Remarks about duplicate keys and the like, which the other tool may read differently. Values may be secrets."""
    return [
        Remark(
            file=document.name,
            line=document.line(place),
            text=text if "duplicate key" in text else "a value has a form that YAML does not have; look it up",
        )
        for place, text in document.problems
    ]
