"""``python -m registry_sync nodes check``: whether nodes would start now, with each single registry down."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from registry_sync.config.model import MirrorsFile, Registry
from registry_sync.config.node_pools import NodePool
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.readiness.check import EndpointCheck, ImageReadiness, Limits, check_endpoint
from registry_sync.nodes.readiness.plan import Digests, OpenClient, plan_checks
from registry_sync.nodes.readiness.report import ReadinessReport
from registry_sync.registry.client import PullClient
from registry_sync.routes.load import load_mirrors

OK, FAILED = 0, 1

AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """How registries are opened: as mirrors open a source, with credentials; and as a node does, without.

    A node's is given how many seconds it may wait for an answer.
    """

    source: OpenClient
    node: Callable[[Registry, float], PullClient]


def add_check(parser: argparse.ArgumentParser, clients: Clients) -> None:
    """Give the arguments of ``nodes check`` to its parser, which has ``--mirrors-file`` already."""
    default = Limits()
    parser.add_argument("--pool", action="append", default=[], metavar="NAME", help="only these (may be repeated)")
    parser.add_argument(
        "--expect",
        type=Path,
        metavar="FILE",
        help="what an earlier check printed with --json: the digests to compare with while a source is down",
    )
    parser.add_argument(
        "--seconds",
        type=_positive,
        default=default.request_seconds,
        metavar="S",
        help="how long a registry may take to answer (%(default)g)",
    )
    parser.add_argument(
        "--read-megabytes",
        type=int,
        default=default.read_bytes // 1_000_000,
        metavar="MB",
        help="how much of each image to read whole at each registry; others tomorrow (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(command=lambda arguments: check(arguments, clients))


def check(arguments: argparse.Namespace, clients: Clients) -> int:
    """Print whether nodes would start, and what is wrong. 1: somewhere they would not, although they should."""
    file = load_mirrors(arguments.mirrors_file)
    pools = choose_pools(file, arguments.pool)
    plan = plan_checks(file, pools, clients.source, read_digests(arguments.expect) if arguments.expect else {})
    limits = Limits(request_seconds=arguments.seconds, read_bytes=arguments.read_megabytes * 1_000_000)
    found = run_checks(plan.checks, clients, limits)
    report = ReadinessReport.of(pools, found, notes=plan.notes)
    if arguments.json:
        print(json.dumps({**report.to_json(), "digests": plan.digests}, indent=2, ensure_ascii=False))
    else:
        print(f"{report.text()}\n\n{report.summary}")
    return FAILED if report.is_failed else OK


def choose_pools(file: MirrorsFile, names: Sequence[str]) -> list[NodePool]:
    """The pools by their names; without names all.

    :raises ConfigurationError: when there is no such pool, or none at all.
    """
    known = ", ".join(file.node_pools) or "none"
    if unknown := [each for each in names if each not in file.node_pools]:
        raise ConfigurationError(f"there is no pool {unknown[0]!r} under nodes: in {file.path}; there are {known}")
    if not file.node_pools:
        raise ConfigurationError(f"{file.path} has no nodes:, so that there is nothing to check; docs/nodes.md")
    return [file.node_pools[each] for each in dict.fromkeys(names)] or list(file.node_pools.values())


def read_digests(file: Path) -> Digests:
    """The digests in what an earlier check printed.

    :raises ConfigurationError: when the file is no such thing.
    """
    try:
        digests = json.loads(file.read_bytes())["digests"]
        return {str(name): str(digest) for name, digest in digests.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"{file} is not what nodes check --json printed ({error!r}); make one while every source answers"
        ) from error


def run_checks(checks: Sequence[EndpointCheck], clients: Clients, limits: Limits) -> list[ImageReadiness]:
    """All checks, some of them at once, in their order. Clients are opened one after the other."""
    today = datetime.now(UTC).date()
    opened = [clients.node(each.registry, limits.request_seconds) for each in checks]

    def run(check: EndpointCheck, client: PullClient) -> list[ImageReadiness]:
        with closing(client):
            return check_endpoint(check, client, limits, today)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [image for found in pool.map(run, checks, opened) for image in found]


def _positive(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got {text!r}")
    return seconds
