"""Read the command of crsync in a script or in ``args:`` of a Deployment: https://github.com/giantswarm/crsync."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from registry_sync.importing.logins import read_login
from registry_sync.importing.model import Entry, Imported, ImportedRegistry, Remark, Wish
from registry_sync.importing.names import parse_place
from registry_sync.importing.reading import NoCounterpart, shown
from registry_sync.importing.schedules import parse_go_duration, schedule_of_interval
from registry_sync.oci.reference import Repository
from registry_sync.text import quoted

NAMESPACE = "giantswarm"
"""The namespace, which is fixed in crsync's code."""

_VALUES = (
    *("dst-name", "dst-user", "dst-password", "src-name", "src-user", "src-password"),
    *("last-modified", "metrics-port", "quay-api-token", "sync-interval"),
)
_SWITCHES = ("loop", "include-private-repositories")

_FLAG = re.compile(r"""--([a-z][a-z-]*)(?:=("[^"]*"|'[^']*'|\S*)|\s+(?!-)("[^"]*"|'[^']*'|[^\s\\]+))?""")


@dataclass(frozen=True, slots=True)
class _Flag:
    """A flag of the command. ``value`` may be a password."""

    file: str
    line: int
    name: str
    value: str


def read_crsync(texts: Sequence[tuple[str, str]], _wish: Wish) -> Imported:
    """Read commands of crsync, one in each file. :raises NoCounterpart: when a file has no such command."""
    read = [_command(name, text) for name, text in texts]
    hosts = {registry.host: registry for command in read for registry in command.registries}
    return Imported(
        tool="crsync",
        files=tuple(name for name, _ in texts),
        registries=tuple(hosts.values()),
        entries=tuple(entry for command in read for entry in command.entries),
        remarks=tuple(remark for command in read for remark in command.remarks),
    )


def _command(name: str, text: str) -> Imported:
    flags = {flag.name: flag for flag in _flags(name, text)}
    source, target = (_registry(flags, side, name) for side in ("src", "dst"))
    schedule, about = _schedule(flags, flags["dst-name"])
    private = flags.get("include-private-repositories")
    entry = Entry(
        file=name,
        line=flags["src-name"].line,
        source=Repository(source.host, NAMESPACE),
        destination=Repository(target.host, ""),
        is_namespace=True,
        include_private=private is not None and private.value != "false",
        options=(("on_moved_tag", "keep"),),
        schedule=schedule,
    )
    remarks = (*about, *_about_flags(flags))
    return Imported(tool="crsync", files=(name,), registries=(source, target), entries=(entry,), remarks=remarks)


def _flags(name: str, text: str) -> Iterator[_Flag]:
    """The flags of a text. The value of a switch stands behind ``=`` only."""
    for number, line in enumerate(text.splitlines(), start=1):
        for match in _FLAG.finditer(line.partition(" #")[0]):
            value = match[2] if match[2] is not None else match[3] or ""
            yield _Flag(name, number, match[1], value.strip("\"'") if match[1] not in _SWITCHES or match[2] else "")


def _registry(flags: Mapping[str, _Flag], side: str, file: str) -> ImportedRegistry:
    name = flags.get(f"{side}-name")
    if name is None or not name.value:
        raise NoCounterpart(1, f"{file} has no --{side}-name=HOST")
    if re.search(r"[{$]", name.value):
        raise NoCounterpart(
            name.line, f"--{side}-name is a template or variable; write its value, and import the file again"
        )
    host = parse_place(name.value, name.line).host
    user = flags.get(f"{side}-user")
    login = read_login(host, user.value if user else "", "", f"{side.upper()}_REGISTRY_PASSWORD")
    return ImportedRegistry(host=host, login=login)


def _schedule(flags: Mapping[str, _Flag], at: _Flag) -> tuple[str | None, tuple[Remark, ...]]:
    loop = flags.get("loop")
    if loop is None or loop.value == "false":
        return None, (
            _remark(at, "without --loop there is no schedule, so the mirror runs only by hand; write schedule:"),
        )
    interval = flags.get("sync-interval")
    text = interval.value if interval else "30"
    seconds = int(text) if re.fullmatch(r"\d{1,9}", text) else None
    if seconds is None:
        return None, (
            _remark(interval or loop, f"--sync-interval is {shown(text)}, not a number of seconds", is_lost=True),
        )
    schedule, is_same = schedule_of_interval(timedelta(seconds=seconds))
    about = f"crsync waits {seconds} seconds between two runs; {quoted(schedule)} is the nearest schedule"
    return schedule, () if is_same else (_remark(interval or loop, about),)


def _about_flags(flags: Mapping[str, _Flag]) -> Iterator[Remark]:
    source = flags["src-name"]
    yield _remark(source, f"the namespace {NAMESPACE} is fixed in crsync's code, so it is written here")
    yield _remark(source, "crsync never looks at tags that exist; on_moved_tag: follow would copy changed tags as well")
    if window := flags.get("last-modified"):
        length = parse_go_duration(window.value)
        text = "is not needed: each run looks at its interval, or back to the last run that succeeded"
        yield _remark(window, f"--last-modified {text}", is_lost=length is None)
    if port := flags.get("metrics-port"):
        yield _remark(port, "--metrics-port has no counterpart: docs/metrics.md says where the metrics are")
    if token := flags.get("quay-api-token"):
        text = "--quay-api-token: the source's Connection can hold it: docs/registry-quay.md"
        yield _remark(token, text, is_lost=True)
    for flag in flags.values():
        if flag.name not in (*_VALUES, *_SWITCHES):
            yield _remark(flag, f"--{flag.name} is unknown to the import; look up its meaning", is_lost=True)


def _remark(flag: _Flag, text: str, *, is_lost: bool = False) -> Remark:
    return Remark(file=flag.file, line=flag.line, text=text, is_lost=is_lost)
