"""The tools of a contest: ours by each mover, and the peers that are found on PATH."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.ours import Job
from bench.ours import command as sync_routes
from bench.raw import command as copy_raw
from bench.storage import Wanted
from registry_sync.config.settings import MoverName
from testkit.project import PROJECT
from testkit.servers import FOLDER

PARALLEL = 8
"""Images at once, for every tool that has such an option: as many as this package opens connections by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The work of a tool: copy all tags of the repositories from one host to the other.

    :ivar ca_file: authority of both registries; ``None`` is plain HTTP.
    :ivar keeps: tags that the destination has need no comparison.
    :ivar folder: for files of the tool.
    """

    source: str
    destination: str
    wanted: Wanted
    ca_file: Path | None
    keeps: bool
    folder: Path


Commands = Callable[[Task], Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool and how it is run.

    :ivar name: with its version.
    :ivar at_once: commands that run at the same time.
    :ivar is_peer: other tools are compared with it.
    :ivar compares_first: it copies nothing that is in sync.
    :ivar keeps: it can compare names only.
    :ivar path: folders in front of PATH.
    """

    name: str
    commands: Commands
    at_once: int = 1
    is_peer: bool = True
    is_ours: bool = False
    compares_first: bool = True
    keeps: bool = False
    speaks_plain_http: bool = True
    speaks_tls: bool = True
    path: Sequence[str] = field(default=())

    def environment(self, task: Task) -> dict[str, str]:
        """An environment in which it finds no files of its user."""
        own = str(task.folder)
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment = {**kept, "HOME": own, "TMPDIR": own, "XDG_RUNTIME_DIR": own, "XDG_DATA_HOME": own}
        environment["PATH"] = os.pathsep.join((*self.path, kept["PATH"]))
        if self.is_ours or not self.is_peer:
            environment["PYTHONPATH"] = os.pathsep.join((str(PROJECT / "plugins"), str(PROJECT)))
        if task.ca_file:
            environment["SSL_CERT_FILE"] = str(task.ca_file)
        return environment


def _ours(mover: MoverName) -> Commands:
    def commands(task: Task) -> list[list[str]]:
        ca_file = str(task.ca_file) if task.ca_file else None
        job = Job(
            source=task.source,
            destination=task.destination,
            ca_file=ca_file,
            names=list(task.wanted),
            mover=mover,
            keeps=task.keeps,
        )
        return [sync_routes(job)]

    return commands


def ours() -> list[Tool]:
    """Direct, and skopeo with every skopeo on PATH."""
    with_skopeo = [
        Tool(
            name=f"registry_sync, transfer: skopeo ({version})",
            commands=_ours("skopeo"),
            is_peer=False,
            is_ours=True,
            keeps=True,
            path=(str(Path(program).parent),),
        )
        for program, version in _skopeos()
    ]
    direct = Tool(
        name="registry_sync, transfer: direct", commands=_ours("direct"), is_peer=False, is_ours=True, keeps=True
    )
    return [direct, *with_skopeo]


IDLE = Tool(name="registry_sync", commands=_ours("skopeo"), is_peer=False, is_ours=True, keeps=True)
"""This package where nothing is to be copied, so that no mover matters."""


def raws() -> list[Tool]:
    """GET and PUT without any check: by one program, and by ``curl | curl`` where curl is on PATH."""
    curl = shutil.which("curl")
    by_curl = [_raw("raw: curl | curl, nothing checked", curl)] if curl else []
    return [_raw("raw: GET and PUT, nothing checked", None), *by_curl]


def _raw(name: str, curl: str | None) -> Tool:
    def commands(task: Task) -> list[list[str]]:
        images = {name: list(tags) for name, tags in task.wanted.items()}
        return [copy_raw(task.source, task.destination, images, curl=curl)]

    return Tool(name=name, commands=commands, is_peer=False)


def peers() -> list[Tool]:
    """The peers on PATH; crane also where ``make servers`` has built it."""
    found = []
    for name, make in _PEERS.items():
        program = shutil.which(name) or shutil.which(name, path=str(FOLDER))
        if program:
            found.append(make(program))
    return found + [_skopeo_sync(program, version) for program, version in _skopeos()]


def _regsync(program: str) -> Tool:
    def commands(task: Task) -> list[list[str]]:
        tls = "enabled" if task.ca_file else "disabled"
        document = {
            "version": 1,
            "creds": [{"registry": host, "tls": tls} for host in (task.source, task.destination)],
            "defaults": {"parallel": PARALLEL},
            "sync": [
                {"source": f"{task.source}/{name}", "target": f"{task.destination}/{name}", "type": "repository"}
                for name in task.wanted
            ],
        }
        file = _write(task, "regsync.yml", document)
        return [[program, "once", *(["--missing"] if task.keeps else []), "-c", file]]

    return Tool(name=f"regsync {_version(program, 'version')}", commands=commands, keeps=True)


def _crane(program: str) -> Tool:
    def commands(task: Task) -> list[list[str]]:
        copy = [program, "copy", "--all-tags", "--jobs", str(PARALLEL), *(["--no-clobber"] if task.keeps else [])]
        insecure = [] if task.ca_file else ["--insecure"]
        return [[*copy, *insecure, f"{task.source}/{name}", f"{task.destination}/{name}"] for name in task.wanted]

    return Tool(name=f"crane {_version(program, 'version')}".strip(), commands=commands, keeps=True)


def _image_syncer(program: str) -> Tool:
    def commands(task: Task) -> list[list[str]]:
        insecure = task.ca_file is None
        auth = _write(task, "auth.json", {host: {"insecure": insecure} for host in (task.source, task.destination)})
        pairs = {f"{task.source}/{name}": f"{task.destination}/{name}" for name in task.wanted}
        return [[program, f"--proc={PARALLEL}", f"--auth={auth}", f"--images={_write(task, 'images.json', pairs)}"]]

    return Tool(name="image-syncer", commands=commands, compares_first=False)


def _oras(program: str) -> Tool:
    """One process for each tag, because it copies only one."""

    def commands(task: Task) -> list[list[str]]:
        plain = [] if task.ca_file else ["--from-plain-http", "--to-plain-http"]
        copy = [program, "cp", "--recursive", "--no-tty", *plain]
        return [
            [*copy, f"{task.source}/{name}:{tag}", f"{task.destination}/{name}:{tag}"]
            for name, tags in task.wanted.items()
            for tag in tags
        ]

    name = f"oras {_version(program, 'version')}"
    return Tool(name=name, commands=commands, at_once=PARALLEL, compares_first=False)


def _ocync(program: str) -> Tool:
    """It asks for tokens by HTTPS only."""

    def commands(task: Task) -> list[list[str]]:
        hosts = {"here": task.source, "there": task.destination}
        registries = {name: {"url": host, "auth_type": "anonymous"} for name, host in hosts.items()}
        document = {
            "global": {"max_concurrent_transfers": PARALLEL, "cache_dir": str(task.folder / "cache")},
            "registries": registries,
            "defaults": {"source": "here", "targets": "there", "tags": {"glob": "*"}},
            "mappings": [{"from": name, "to": name} for name in task.wanted],
        }
        return [[program, "sync", "-c", _write(task, "ocync.yaml", document)]]

    name = f"ocync {_version(program, '--version')}"
    return Tool(name=name, commands=commands, speaks_plain_http=False)


def _skopeo_sync(program: str, version: str) -> Tool:
    """One process for each repository; it copies one tag after another. Several give it as many images at once."""

    def commands(task: Task) -> list[list[str]]:
        options = ["--all", "--preserve-digests"]
        if task.ca_file is None:
            options += ["--src-tls-verify=false", "--dest-tls-verify=false"]
        sync = [program, "--insecure-policy", "sync", *options, "--src", "docker", "--dest", "docker"]
        return [
            [*sync, f"{task.source}/{name}", f"{task.destination}/{name.rpartition('/')[0]}"] for name in task.wanted
        ]

    return Tool(name=f"skopeo sync {version}", commands=commands, at_once=PARALLEL, compares_first=False)


_PEERS: Mapping[str, Callable[[str], Tool]] = {
    "regsync": _regsync,
    "crane": _crane,
    "ocync": _ocync,
    "image-syncer": _image_syncer,
    "oras": _oras,
}


def _skopeos() -> list[tuple[str, str]]:
    """Path and version of each ``skopeo`` in the folders of PATH."""
    folders = dict.fromkeys(os.environ["PATH"].split(os.pathsep))
    found = {
        os.path.realpath(path): path for folder in reversed(folders) if (path := shutil.which("skopeo", path=folder))
    }
    return sorted(((path, _version(path, "--version")) for path in found.values()), key=lambda each: each[1])


def _version(program: str, argument: str) -> str:
    """The first version number that a tool prints; empty if it prints none."""
    output = subprocess.run([program, argument], capture_output=True, text=True, timeout=20, check=False).stdout
    found = re.search(r"\d+\.\d+(\.\d+)?\S*", output)
    return found[0] if found else ""


def _write(task: Task, name: str, document: object) -> str:
    file = task.folder / name
    file.write_text(json.dumps(document))
    return str(file)
