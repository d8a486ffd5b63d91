"""Values of another tool's file, as far as a mirrors file can express them."""

from __future__ import annotations

from dataclasses import dataclass, field

from registry_sync.config.reading.other_tools import Tool
from registry_sync.oci.reference import Digest, Repository

Value = str | int | float | bool | tuple[str, ...]
"""A value of an option as a mirrors file has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A sentence about a line of the other tool's file.

    :ivar is_lost: the line means something that the mirrors file does not express.
    """

    file: str
    line: int
    text: str
    is_lost: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule of ``tags:``. Without a value it selects every tag. ``names`` are tags, with the digest of a pin."""

    names: tuple[tuple[str, Digest | None], ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    semver: str = ""
    prereleases: bool = False
    version: str = ""
    newest: int | None = None
    newest_by: str = ""

    @property
    def is_names_only(self) -> bool:
        return self == Rule(names=self.names) and bool(self.names)


ALL_TAGS = Rule()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A repository or namespace to mirror to one destination.

    :ivar source: of a namespace, its host and name.
    :ivar destination: its host and whole name; of a namespace, the host and the prefix, which may be empty.
    :ivar rules: of which a tag needs one.
    :ivar is_alone: write it for this destination alone, because another may be the reason that it is refused.
    :ivar is_left_out: write it as a comment only; a remark has the reason.
    """

    file: str
    line: int
    source: Repository
    destination: Repository
    is_namespace: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_private: bool = False
    rules: tuple[Rule, ...] = (ALL_TAGS,)
    options: tuple[tuple[str, Value], ...] = ()
    schedule: str | None = None
    remarks: tuple[Remark, ...] = ()
    is_alone: bool = False
    is_left_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login that the file has. ``user`` and ``password`` are shell words: never the password itself.

    :ivar password: a variable of the environment or a command, such as ``"$REGISTRY_QUAY_IO_PASSWORD"``.
    """

    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRegistry:
    """A registry of the file, with the options that it has there."""

    host: str
    login: Login | None = None
    options: tuple[tuple[str, Value], ...] = ()
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """All that was read. ``remarks`` are those that belong to no registry and no entry."""

    tool: Tool
    files: tuple[str, ...]
    registries: tuple[ImportedRegistry, ...] = ()
    entries: tuple[Entry, ...] = ()
    defaults: tuple[tuple[str, Value], ...] = ()
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Options of the command line: the destinations, for tools whose files do not name them."""

    destinations: tuple[Repository, ...] = ()
    paths: tuple[str, ...] = field(default=())
    scoped: bool = False
