"""Seconds from a push to its tag at the destination, through a registry's own notification and a real Airflow."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.scope import Scope
from bench.tables import Findings, Row, Table
from registry_sync.events.addresses import Address
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.registry import Notified, RegistryProcess
from testkit.waiting import wait_until

SECRET = "secret-of-the-webhook"
SETTLE_SECONDS = 10
PUSHES = 5
GAP_SECONDS = 5.0
"""Pause between two pushes, so that the runs for the one before are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A source that notifies Airflow, its destination, and the destination of a mirror that reads from that."""

    source: RegistryProcess
    first: RegistryProcess
    second: RegistryProcess


def measure(scope: Scope) -> Findings:  # noqa: ARG001 - no peer takes events
    """Push small images one after another, each when the runs for the one before are over."""
    with _chain() as chain:
        _push(chain, "warm-up")
        waits = [_push(chain, f"v{number}") for number in range(PUSHES)]
    rows = [
        _row("to the destination", [first for first, _ in waits]),
        _row("to the destination of the next mirror in a chain", [second for _, second in waits]),
    ]
    headings = ("from a push", "median s", "longest s", f"median without settle ({SETTLE_SECONDS} s)")
    return Findings(tables=[Table(title=f"{PUSHES} pushes, one after another:", headings=headings, rows=rows)])


def _row(name: str, seconds: list[float]) -> Row:
    middle = median(seconds)
    return (name, f"{middle:.1f}", f"{max(seconds):.1f}", f"{middle - SETTLE_SECONDS:.1f}")


def _push(chain: Chain, tag: str) -> tuple[float, float]:
    """The seconds after a push until its tag is at each destination."""
    images.push(chain.source.url, "bench/app", tag, images.image([], labels={"tag": tag}))
    began = time.monotonic()
    first, second = (_wait(registry, tag) - began for registry in (chain.first, chain.second))
    time.sleep(GAP_SECONDS)
    return first, second


def _wait(registry: RegistryProcess, tag: str) -> float:
    """The time at which a registry has a tag."""
    wait_until(lambda: images.resolve(registry.url, "bench/app", tag), f"{registry.host} has {tag}")
    return time.monotonic()


@contextmanager
def _chain() -> Iterator[Chain]:
    """Three registries and an Airflow with two mirrors, which are ready."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        file = folder / "mirrors.yaml"
        airflow = LocalAirflow(
            folder / "home", mirrors_file=file, connections={"webhook": {"conn_type": "generic", "password": SECRET}}
        )
        address = airflow.url + Address(scope="registry", name="source").path(SECRET)
        notified = Notified(url=address, headers={"Authorization": SECRET})
        source = opened.enter_context(RegistryProcess(notifies=notified))
        first, second = (opened.enter_context(RegistryProcess()) for _ in range(2))
        chain = Chain(source=source, first=first, second=second)
        file.write_text(json.dumps(_mirrors(chain)), encoding="utf-8")
        opened.enter_context(airflow)
        for name in ("first", "second"):
            airflow.api.wait_for_dag(f"mirror_{name}_pushes")
        yield chain


def _mirrors(chain: Chain) -> dict[str, object]:
    events = {"webhook": {"secret": "webhook"}, "settle": f"{SETTLE_SECONDS}s"}
    return {
        "registries": {
            "source": {"host": chain.source.host, "tls": False, "events": events},
            "first": {"host": chain.first.host, "tls": False, "events": {"chain": True}},
            "second": {"host": chain.second.host, "tls": False},
        },
        "mirrors": {
            "first": {"source": "source", "destinations": ["first"], "repositories": ["bench/app"]},
            "second": {"source": "first", "destinations": ["second"], "repositories": ["bench/app"]},
        },
    }
