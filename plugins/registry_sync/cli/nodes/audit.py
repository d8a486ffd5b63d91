"""``python -m registry_sync nodes audit``: print the origin of images, and the differences of machines' files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.nodes.check import find_pool
from registry_sync.cli.nodes.runtime import add_runtime, choose_runtime, choose_versions
from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.audit import PoolAudit, Supply, audit_pool
from registry_sync.nodes.audit_node import Baseline, NodeAudit, audit_node
from registry_sync.routes.load import load_mirrors
from registry_sync.text_table import table

MAX_NAMED = 3
"""Differences that a row of the summary names."""


def add_audit(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``nodes audit`` to its parser, which already has ``--mirrors-file``."""
    parser.add_argument("--pool", metavar="NAME", help="only this pool")
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        action="extend",
        metavar="PATH",
        help="files from machines, or a folder for each machine with its files as on it, to compare key by key",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="KEY",
        help="accept this key though it is not rendered, such as 'host.http://*:30020' (a glob; may be repeated)",
    )
    add_runtime(parser)
    parser.set_defaults(command=_audit)


def _audit(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.mirrors_file)
    if arguments.against:
        if not arguments.pool:
            raise ConfigurationError("--against needs --pool: the pool of the machine that the file is from")
        return _compare(file, find_pool(file, arguments.pool), arguments)
    pools = [find_pool(file, arguments.pool)] if arguments.pool else list(file.node_pools.values())
    audits = [audit_pool(file, pool) for pool in pools]
    print("\n\n".join(map(_audit_text, audits)) or f"{file.path} has no nodes: section; docs/nodes.md describes it")
    return FAILED if any(audit.problems for audit in audits) else OK


def _compare(file: MirrorsFile, pool: NodePool, arguments: argparse.Namespace) -> int:
    runtime = choose_runtime(pool, arguments.runtime)
    baseline = Baseline(
        file=file,
        pool=pool,
        runtime=runtime,
        versions=choose_versions(pool, runtime, arguments.version),
        allowed=tuple(arguments.allow),
    )
    audits = [audit_node(baseline, path) for path in arguments.against]
    if len(audits) > 1:
        print(_nodes_text(audits))
    elif audits[0].problem:
        raise ConfigurationError(audits[0].problem)
    elif audits[0].differences:
        print(_differences_table(audits[0]))
    else:
        print(f"{audits[0].path} is as rendered for pool {pool.name!r} and {runtime}")
    return exit_code(audits)


def exit_code(audits: Sequence[NodeAudit]) -> int:
    """2 when a node could not be read, else 1 when one differs, else 0."""
    if any(audit.problem for audit in audits):
        return UNUSABLE
    return FAILED if any(audit.differences for audit in audits) else OK


def _nodes_text(audits: Sequence[NodeAudit]) -> str:
    """The summary of several nodes, then each set of differences once, with the nodes that have it."""
    parts = [table(("node", "result", "keys"), [_node_row(audit) for audit in audits])]
    for differences in dict.fromkeys(audit.differences for audit in audits if audit.differences):
        alike = [audit for audit in audits if audit.differences == differences]
        parts.append(f"{', '.join(str(audit.path) for audit in alike)}:\n{_differences_table(alike[0])}")
    parts += [audit.problem for audit in audits if audit.problem]
    bad = [audit for audit in audits if audit.problem or audit.differences]
    parts.append(f"{len(audits) - len(bad)} of {len(audits)} nodes are as rendered")
    return "\n\n".join(parts)


def _node_row(audit: NodeAudit) -> tuple[str, str, str]:
    if audit.problem:
        return str(audit.path), "CANNOT BE READ", "-"
    if not audit.differences:
        return str(audit.path), "as rendered", "-"
    keys = [difference.key for difference in audit.differences]
    more = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return str(audit.path), "DIFFERS", f"{', '.join(keys[:MAX_NAMED])}{more}"


def _differences_table(audit: NodeAudit) -> str:
    rows = [(d.key, d.verdict, d.found or "-", d.expected or "-", d.advice or "-") for d in audit.differences]
    return table(("key", "verdict", "found", "expected", "advice"), rows)


def _audit_text(audit: PoolAudit) -> str:
    pool = audit.pool
    order = " → ".join([*(f"{mirror.registry} ({mirror.trust})" for mirror in pool.pool_mirrors), pool.registry])
    rows = [_supply_row(supply) for supply in audit.supplies]
    parts = [f"{pool.name}: {order}"]
    if rows:
        parts.append(table(("image", "pulled from", "copied by"), rows))
    parts += [f"PROBLEM: {problem}" for problem in audit.problems]
    parts += [f"note: {note}" for note in audit.notes]
    return "\n".join(parts)


def _supply_row(supply: Supply) -> tuple[str, str, str]:
    mirrors = ", ".join(dict.fromkeys(f"{route.mirror} from {route.source_repository}" for route in supply.routes))
    return supply.image.name, str(supply.repository), mirrors or ("pushed there" if supply.is_source else "NOTHING")
