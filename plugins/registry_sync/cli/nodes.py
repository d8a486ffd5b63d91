"""``python -m registry_sync nodes``: what the machines that pull need, from the mirrors file."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from registry_sync.cli.nodes_check import Clients, add_check
from registry_sync.config.model import MirrorsFile
from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.audit import PoolAudit, Supply, audit_pool
from registry_sync.nodes.compare_file import compare_file
from registry_sync.nodes.image_names import NameMap
from registry_sync.nodes.render import render_pool, write_files
from registry_sync.nodes.rewrite_manifests import rewrite
from registry_sync.routes.load import load_mirrors
from registry_sync.text_table import table

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse has no other name for it

OK, FAILED, UNUSABLE = 0, 1, 2


def add_nodes(commands: Commands, default_file: Path, clients: Clients) -> None:
    """Add ``nodes`` and its commands to a parser's; each sets ``command`` to what it runs."""
    nodes = commands.add_parser("nodes", help="render, audit and check what machines pull by")
    kinds = nodes.add_subparsers(required=True, metavar="COMMAND")
    file = argparse.ArgumentParser(add_help=False)
    file.add_argument(
        "--mirrors-file", type=Path, default=default_file, metavar="FILE", help="mirrors file (%(default)s)"
    )
    _add_render(kinds, file)
    _add_images(kinds, file)
    _add_audit(kinds, file)
    check = kinds.add_parser("check", parents=[file], help="ask whether machines would start, with each registry down")
    add_check(check, clients)


def _add_render(kinds: Commands, file: argparse.ArgumentParser) -> None:
    render = kinds.add_parser("render", parents=[file], help="write the files that a runtime needs to pull by a pool")
    render.add_argument("--pool", required=True, metavar="NAME", help="the pool of machines")
    _add_runtime(render)
    render.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to write to")
    render.add_argument("--force", action="store_true", help="replace files that are there and differ")
    render.set_defaults(command=_render)


def _add_images(kinds: Commands, file: argparse.ArgumentParser) -> None:
    images = kinds.add_parser(
        "images",
        parents=[file],
        help="the names that images have at the registry of a pool, and lists and manifests with these names",
    )
    images.add_argument("--pool", required=True, metavar="NAME", help="the pool of machines")
    images.add_argument("--json", action="store_true", help="the map of names, for programs")
    images.add_argument("--output", type=Path, metavar="DIR", help="write the files here and not to standard output")
    images.add_argument("files", nargs="*", metavar="FILE", help="lists of images or manifests; - is standard input")
    images.set_defaults(command=_images)


def _add_audit(kinds: Commands, file: argparse.ArgumentParser) -> None:
    audit = kinds.add_parser(
        "audit", parents=[file], help="where the images of pools come from, or whether a machine's file is as rendered"
    )
    audit.add_argument("--pool", metavar="NAME", help="only this pool")
    audit.add_argument("--against", type=Path, metavar="FILE", help="a file from a machine, to compare key by key")
    _add_runtime(audit)
    audit.set_defaults(command=_audit)


def _add_runtime(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runtime", choices=get_args(Runtime), help="what pulls (the pool's runtime:)")
    parser.add_argument("--version", metavar="V", help="its version, or a range such as '>=1.7' (the pool's version:)")


def _render(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.mirrors_file)
    pool = find_pool(file, arguments.pool)
    runtime = _runtime(pool, arguments.runtime)
    files = render_pool(file, pool, runtime, _versions(pool, runtime, arguments.version))
    for path, what in write_files(files, arguments.output, force=arguments.force).items():
        print(f"{path}: {what}")
    return OK


def find_pool(file: MirrorsFile, name: str) -> NodePool:
    """:raises ConfigurationError: when there is no such pool."""
    if name not in file.node_pools:
        known = ", ".join(file.node_pools) or "none"
        raise ConfigurationError(f"there is no pool {name!r} under nodes: in {file.path}; there are {known}")
    return file.node_pools[name]


def _runtime(pool: NodePool, chosen: Runtime | None) -> Runtime:
    if runtime := chosen or pool.runtime:
        return runtime
    raise ConfigurationError(
        f"the runtime of pool {pool.name!r} is not known; write --runtime, or runtime: at the pool"
    )


def _versions(pool: NodePool, runtime: Runtime, chosen: str | None) -> Versions:
    """The versions that were asked for, or those of the pool, when it is about its runtime."""
    own = pool.versions if runtime == pool.runtime else Versions()
    if chosen is None:
        return own
    versions = Versions.parse(chosen)
    if not versions.meet(own):
        raise ConfigurationError(f"pool {pool.name!r} has {runtime} {pool.version}, and {chosen!r} is no part of that")
    return versions


def _images(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.mirrors_file)
    names = NameMap(file, find_pool(file, arguments.pool))
    if arguments.files:
        return _rewrite(arguments.files, names, arguments.output)
    rows = names.rows()
    if arguments.json:
        print(json.dumps([asdict(each) for each in rows], indent=2, ensure_ascii=False))
    else:
        cells = [(r.image, f"→ {r.becomes}", ", ".join(r.mirrors) or "-", ", ".join(r.excluded) or "-") for r in rows]
        print(table(("image", "becomes", "by", "but not"), cells))
    return OK


def _rewrite(files: Sequence[str], names: NameMap, output: Path | None) -> int:
    if len(files) > 1 and output is None:
        raise ConfigurationError("several files need --output DIR, since they would run into each other")
    counts = Counter(Path(each).name for each in files)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ConfigurationError(f"several files are called {twice[0]!r}, and would overwrite each other in --output")
    texts = {each: _text(each) for each in files}
    results = {each: rewrite(text, each, names) for each, text in texts.items()}
    for each, result in results.items():
        if output is None:
            sys.stdout.write(result.text)
        else:
            _write(output / Path(each).name, result.text)
    problems = [problem for each in results.values() for problem in each.problems]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return FAILED if problems else OK


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be written ({error})") from error


def _text(name: str) -> str:
    try:
        return (sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name}: it cannot be read ({error})") from error


def _audit(arguments: argparse.Namespace) -> int:
    file = load_mirrors(arguments.mirrors_file)
    if arguments.against:
        if not arguments.pool:
            raise ConfigurationError("--against needs --pool, the pool of the machine that the file is from")
        return _compare(file, find_pool(file, arguments.pool), arguments)
    pools = [find_pool(file, arguments.pool)] if arguments.pool else list(file.node_pools.values())
    audits = [audit_pool(file, each) for each in pools]
    print("\n\n".join(map(_shown, audits)) or f"{file.path} has no nodes: section")
    return FAILED if any(each.problems for each in audits) else OK


def _compare(file: MirrorsFile, pool: NodePool, arguments: argparse.Namespace) -> int:
    runtime = _runtime(pool, arguments.runtime)
    path = arguments.against
    differences = compare_file(file, pool, runtime, _versions(pool, runtime, arguments.version), path)
    if not differences:
        print(f"{path} is what pool {pool.name!r} asks of {runtime}")
        return OK
    rows = [(d.key, d.verdict, d.found or "-", d.expected or "-", d.advice or "-") for d in differences]
    print(table(("key", "verdict", "found", "expected", "advice"), rows))
    return FAILED


def _shown(audit: PoolAudit) -> str:
    pool = audit.pool
    way = " → ".join([*(f"{each.registry} ({each.trust})" for each in pool.pool_mirrors), pool.registry])
    rows = [_supply_row(each) for each in audit.supplies]
    parts = [f"{pool.name}: {way}"]
    if rows:
        parts.append(table(("image", "pulled from", "brought by"), rows))
    parts += [f"PROBLEM: {each}" for each in audit.problems]
    parts += [f"note: {each}" for each in audit.notes]
    return "\n".join(parts)


def _supply_row(supply: Supply) -> tuple[str, str, str]:
    brought = ", ".join(dict.fromkeys(f"{each.mirror} from {each.source_repository}" for each in supply.routes))
    return supply.image.name, str(supply.repository), brought or ("at home there" if supply.is_home else "NOTHING")
