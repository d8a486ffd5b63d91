"""``python -m registry_sync nodes check``: find out if nodes would start now, with each single registry down."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from registry_sync.cli.arguments import FAILED, OK, positive_seconds
from registry_sync.cli.stored_states import recall_stored_digests
from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool
from registry_sync.config.registry import Registry
from registry_sync.errors import ConfigurationError, RegistrySyncError
from registry_sync.nodes.readiness.check import Limits, check_endpoint
from registry_sync.nodes.readiness.known_digests import KnownDigests
from registry_sync.nodes.readiness.model import EndpointCheck, ImageReadiness
from registry_sync.nodes.readiness.plan import OpenClient, plan_checks
from registry_sync.nodes.readiness.report import ReadinessReport
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import PullClient
from registry_sync.routes.load import load_mirrors

CONCURRENT_CHECKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Two ways to open a registry: ``source`` with credentials, as a mirror does, and ``node`` without, as a node does.

    ``node`` also takes the time limit for a response, in seconds.
    """

    source: OpenClient
    node: Callable[[Registry, float], PullClient]


def add_check(parser: argparse.ArgumentParser, clients: Clients) -> None:
    """Add the arguments of ``nodes check`` to its parser, which already has ``--mirrors-file``."""
    default = Limits()
    parser.add_argument(
        "--pool", action="append", default=[], metavar="NAME", help="check only this pool (may be repeated)"
    )
    parser.add_argument(
        "--expect",
        type=Path,
        metavar="FILE",
        help="output of an earlier check with --json: digests to compare with while a source is down "
        "(default: those that the DAG mirror_readiness read, where Airflow's database can be read)",
    )
    parser.add_argument(
        "--seconds",
        type=positive_seconds,
        default=default.request_seconds,
        metavar="S",
        help="time limit for each response of a registry, in seconds (%(default)g)",
    )
    parser.add_argument(
        "--read-megabytes",
        type=int,
        default=default.read_bytes // 1_000_000,
        metavar="MB",
        help="how much of each image to download and hash at each registry; other parts each day (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(command=lambda arguments: check(arguments, clients))


def check(arguments: argparse.Namespace, clients: Clients) -> int:
    """Print if nodes would start, and each fault. Return 1 when some would not although their configuration says so."""
    file = load_mirrors(arguments.mirrors_file)
    pools = choose_pools(file, arguments.pool)
    expected = read_digests(arguments.expect) if arguments.expect else None
    plan = plan_checks(file, pools, clients.source, lambda: expected or _recall())
    limits = Limits(request_seconds=arguments.seconds, read_bytes=arguments.read_megabytes * 1_000_000)
    results = run_checks(plan.checks, clients, limits)
    report = ReadinessReport.of(pools, results, notes=plan.notes)
    if arguments.json:
        known = {
            "digests": {name: str(digest) for name, digest in plan.digests.items()},
            "read_at": {name: time.isoformat() for name, time in plan.read_at.items()},
        }
        print(json.dumps({**report.to_json(), **known}, indent=2, ensure_ascii=False))
    else:
        print(f"{report.text()}\n\n{report.summary}")
    return FAILED if report.is_failed else OK


def choose_pools(file: MirrorsFile, names: Sequence[str]) -> list[NodePool]:
    """The pools of these names; without names, all.

    :raises ConfigurationError: when the file has no such pool, or no pool at all.
    """
    if not file.node_pools:
        raise ConfigurationError(f"no pools to check: {_without_pools(file)}")
    return [find_pool(file, name) for name in dict.fromkeys(names)] or list(file.node_pools.values())


def find_pool(file: MirrorsFile, name: str) -> NodePool:
    """The pool of this name. :raises ConfigurationError: when the file has no such pool."""
    if name not in file.node_pools:
        names = ", ".join(file.node_pools)
        known = f"under nodes: in {file.path}; it has {names}" if names else f"because {_without_pools(file)}"
        raise ConfigurationError(f"no pool {name!r} {known}")
    return file.node_pools[name]


def _without_pools(file: MirrorsFile) -> str:
    return f"{file.path} has no nodes: section; docs/nodes.md describes it"


def _recall() -> KnownDigests:
    """The digests that the DAG read earlier; none, with a warning, where Airflow's database cannot be read."""
    try:
        return recall_stored_digests()
    except RegistrySyncError as error:
        print(f"digests of earlier checks are not known here: {error}", file=sys.stderr)
        return KnownDigests()


def read_digests(file: Path) -> KnownDigests:
    """The digests in the output of an earlier check, and when they were read.

    :raises ConfigurationError: when the file is not the output of ``nodes check --json``.
    """
    try:
        document = json.loads(file.read_bytes())
        return KnownDigests(
            digests={str(name): Digest.parse(digest) for name, digest in document["digests"].items()},
            read_at={name: _parse_time(time) for name, time in document.get("read_at", {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"{file} is not the output of nodes check --json ({error!r}); write one while every source answers"
        ) from error


def _parse_time(text: str) -> datetime:
    """:raises ValueError: when it has no zone."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return time


def run_checks(checks: Sequence[EndpointCheck], clients: Clients, limits: Limits) -> list[ImageReadiness]:
    """Run the checks concurrently, and return the results in order. Clients are opened one after the other."""
    today = datetime.now(UTC).date()
    opened = [clients.node(check.registry, limits.request_seconds) for check in checks]

    def run(check: EndpointCheck, client: PullClient) -> list[ImageReadiness]:
        with closing(client):
            return check_endpoint(check, client, limits, today)

    with ThreadPoolExecutor(CONCURRENT_CHECKS) as pool:
        return [result for results in pool.map(run, checks, opened) for result in results]
