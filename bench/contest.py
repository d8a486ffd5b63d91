"""The same work by several tools, through counting proxies, and whether each did it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Cost, measure
from bench.proxy import NO_LATENCY, CountingProxy, Latency
from bench.storage import Storage, copy_of, count_right
from bench.tools import Task, Tool
from testkit.registry import RegistryProcess
from testkit.tls import Certificate, CertificateAuthority

LIMIT_SECONDS = 60.0
"""A tool that takes longer is stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Work for tools.

    :ivar is_in_sync: the destination has everything; otherwise it is empty.
    :ivar keeps: tags that the destination has need no comparison.
    :ivar is_counted: the registries are behind proxies.
    """

    source: Storage
    is_in_sync: bool = False
    keeps: bool = False
    latency: Latency = NO_LATENCY
    is_tls: bool = False
    is_counted: bool = True
    limit_seconds: float = LIMIT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Costs of one tool.

    :ivar requests: to both registries.
    :ivar connections: to both registries.
    :ivar has_looked: both registries had a request, as far as requests are counted.
    :ivar right: tags that the destination has afterwards, with the source's digest and all content; of ``tags``.
    """

    tool: Tool
    cost: Cost
    requests: int
    connections: int
    has_looked: bool
    proxy_cpu_seconds: float
    right: int
    tags: int

    @property
    def is_done(self) -> bool:
        """It ended by itself, with success, and everything is there. What was in sync stays so without any work."""
        is_success = not self.cost.is_stopped and self.cost.exit_code == 0
        return is_success and self.has_looked and self.right == self.tags


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """Certificate of both proxies and the file of its authority; ``None`` for plain HTTP."""

    certificate: Certificate | None = None
    ca_file: Path | None = None


def hold(contest: Contest, tools: Sequence[Tool]) -> list[Result]:
    """Let each tool do the work, one after another.

    Each has registries and proxies of its own: the first one would warm up the others'.
    """
    able = [tool for tool in tools if _can(contest, tool)]
    with _identity(contest) as identity:
        return [_run(contest, tool, identity) for tool in able]


def _can(contest: Contest, tool: Tool) -> bool:
    speaks = tool.speaks_tls if contest.is_tls else tool.speaks_plain_http
    return speaks and (tool.keeps or not contest.keeps)


@contextmanager
def _identity(contest: Contest) -> Iterator[_Identity]:
    if not contest.is_tls:
        yield _Identity()
        return
    with tempfile.TemporaryDirectory() as folder:
        authority = CertificateAuthority.create(Path(folder) / "authority")
        yield _Identity(certificate=authority.issue(), ca_file=authority.ca_file)


def _run(contest: Contest, tool: Tool, identity: _Identity) -> Result:
    print(f"  {tool.name} …", file=sys.stderr, flush=True)
    with copy_of(contest.source if contest.is_in_sync else None) as content:
        with ExitStack() as stack:
            source = stack.enter_context(RegistryProcess(storage=contest.source.folder, read_only=True))
            destination = stack.enter_context(RegistryProcess(storage=content))
            here, there = (stack.enter_context(_proxy(contest, server, identity)) for server in (source, destination))
            hosts = (here.host, there.host) if contest.is_counted else (source.host, destination.host)
            cost = _measure(contest, tool, hosts, identity)
            counts = (here.take(), there.take())
        right = count_right(content, contest.source.wanted)
    if cost.output:
        print(f"  {tool.name} ended with {cost.exit_code}: {cost.output}", file=sys.stderr)
    return Result(
        tool=tool,
        cost=cost,
        requests=sum(count.requests for count in counts),
        connections=sum(count.connections for count in counts),
        has_looked=not contest.is_counted or all(count.requests for count in counts),
        proxy_cpu_seconds=sum(count.cpu_seconds for count in counts),
        right=right,
        tags=contest.source.tags,
    )


def _proxy(contest: Contest, server: RegistryProcess, identity: _Identity) -> CountingProxy:
    return CountingProxy(server, latency=contest.latency, certificate=identity.certificate)


def _measure(contest: Contest, tool: Tool, hosts: tuple[str, str], identity: _Identity) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        task = Task(
            source=hosts[0],
            destination=hosts[1],
            wanted=contest.source.wanted,
            ca_file=identity.ca_file,
            keeps=contest.keeps,
            folder=Path(folder),
        )
        return measure(
            tool.commands(task),
            folder=task.folder,
            environment=tool.environment(task),
            at_once=tool.at_once,
            limit_seconds=contest.limit_seconds,
        )
