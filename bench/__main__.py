"""``python -m bench``: what this package costs, beside the peers on PATH; prints Markdown.

``--write`` puts the tables and drawings of the scenarios that were run into ``docs/performance.md``, and the machine.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from bench import big, cold, growth, heads, in_sync, machine, pushes, rig, selection, states, tools, vendors
from bench.scope import Scope, Sizes
from bench.tables import Findings
from testkit.page_block import PageBlock
from testkit.project import PROJECT

SCENARIOS: Mapping[str, Callable[[Scope], Findings]] = {
    "rig": rig.measure,
    "head": heads.measure,
    "in-sync": in_sync.measure,
    "cold": cold.measure,
    "big": big.measure,
    "growth": growth.measure,
    "listings": vendors.measure,
    "selection": selection.measure,
    "states": states.measure,
    "pushes": pushes.measure,
}

PICTURES = PROJECT / "docs" / "images"


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    logging.disable(logging.WARNING)
    sizes = replace(Sizes(), big_megabytes=arguments.big_megabytes)
    scope = Scope(ours=tools.ours(), idle=tools.IDLE, peers=tools.peers(), raws=tools.raws(), sizes=sizes)
    load_before = os.getloadavg()[0]
    for name in arguments.scenarios or SCENARIOS:
        began = time.monotonic()
        print(f"{name}:", file=sys.stderr)
        findings = SCENARIOS[name](scope)
        print(f"{name} took {time.monotonic() - began:.0f} s", file=sys.stderr)
        _show(name, findings, is_written=arguments.write)
    _show("machine", machine.describe(scope, load_before), is_written=arguments.write)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="\n".join(("scenarios:", *map(_description, SCENARIOS))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all by default")
    big_megabytes = Sizes().big_megabytes
    parser.add_argument("--big-megabytes", type=int, default=big_megabytes, help=f"big layers ({big_megabytes})")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.scenarios if name not in SCENARIOS]:
        parser.error(f"unknown scenarios: {', '.join(unknown)}; write some of {', '.join(SCENARIOS)}")
    return arguments


def _description(name: str) -> str:
    """A line about a scenario: the docstring of its module."""
    module = sys.modules[SCENARIOS[name].__module__]
    return f"  {name:<10} {(module.__doc__ or '').splitlines()[0]}"


def _show(name: str, findings: Findings, *, is_written: bool) -> None:
    print(f"{findings.markdown()}\n", flush=True)
    if is_written:
        block(name).write(findings.markdown())
        for file, drawing in findings.drawings.items():
            (PICTURES / file).write_text(drawing, encoding="utf-8")


def block(name: str) -> PageBlock:
    """The part of the page with a scenario's tables, or with the machine."""
    return PageBlock(page="performance.md", command=f"python -m bench --write {name}")


if __name__ == "__main__":
    main()
