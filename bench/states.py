"""Time of queries and pages over the states of 5,000 routes with 100 tags each, in a new SQLite database."""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from sqlalchemy.orm import Session

from bench.scope import Scope
from bench.tables import Findings, Row, Table
from registry_sync.airflow.states.stored_states import StoredStates
from registry_sync.state.lookup.history import changes_since
from registry_sync.state.lookup.queries import find, get_overview, get_repository, list_failing, list_routes
from testkit.airflow import LocalAirflow
from testkit.pages import PAGES_PATH, api_server, database_session
from testkit.states import MIRRORS, SyntheticDestination, repository_of, synthetic_states

ROUNDS = 3
"""Each is measured this often. The least counts, because other work on the machine only adds."""

ROUTES, TAGS = 5000, 100

REPOSITORY = "quay.io/giantswarm/etcd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Costs of one query or page.

    :ivar peak_megabytes: most memory that Python held for it; ``None`` for pages, which another process makes.
    :ivar kilobytes: size of the page; ``None`` for queries.
    """

    what: str
    milliseconds: float
    peak_megabytes: float | None = None
    kilobytes: float | None = None


def measure(_: Scope) -> Findings:
    """The table."""
    title = f"Queries and pages over the states of {ROUTES:,} routes with {TAGS} tags each (SQLite):"
    headings = ("query or page", "ms", "peak MB", "kB")
    return Findings(tables=[Table(title=title, headings=headings, rows=[*map(_row, measure_states())])])


def _row(answered: Answered) -> Row:
    numbers = (answered.peak_megabytes, answered.kilobytes)
    sizes = ("-" if number is None else f"{number:.1f}" for number in numbers)
    return (answered.what, f"{answered.milliseconds:.0f}", *sizes)


def measure_states() -> list[Answered]:
    """Seed a database, and measure every query in this process, then every page over HTTP."""
    now = datetime.now(UTC)
    readable = sum(len(destinations) for _, _, destinations in MIRRORS) - 1  # the index of one cannot be read
    states = synthetic_states(now=now, routes=-(-ROUTES // readable), tags=TAGS)
    with tempfile.TemporaryDirectory(prefix="bench-states-") as home, _served(Path(home), states) as airflow:
        with database_session(airflow) as session:
            queries = [_measure_query(what, query, session) for what, query in _queries(now).items()]
        return [*queries, *_measure_pages(airflow)]


@contextmanager
def _served(home: Path, states: Sequence[SyntheticDestination]) -> Iterator[LocalAirflow]:
    airflow = LocalAirflow(home / "airflow")
    with api_server(airflow, states):
        yield airflow


Query = Callable[[StoredStates], Any]


def _queries(now: datetime) -> Mapping[str, Query]:
    week = now - timedelta(days=7)
    last = f"{repository_of('quay.io', 400).rpartition('/')[2]}:v1.9"
    return {
        "overview": lambda states: get_overview(states, now),
        "routes": lambda states: list_routes(states, now),
        "repository": lambda states: get_repository(states, now, REPOSITORY),
        "find a name": lambda states: find(states, now, "etcd"),
        "find a name and tag": lambda states: find(states, now, last),
        "find a tag": lambda states: find(states, now, ":v1.3"),
        "find a digest": lambda states: find(states, now, "sha256:0123456789ab"),
        "failing": lambda states: list_failing(states, now),
        "changes in a week": lambda states: changes_since(states, week, offset=0, limit=100),
    }


def _measure_query(what: str, query: Query, session: Session) -> Answered:
    seconds = min(_seconds(lambda: query(StoredStates(session, None))) for _ in range(ROUNDS))
    tracemalloc.start()
    query(StoredStates(session, None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Answered(what=what, milliseconds=1000 * seconds, peak_megabytes=peak / 1e6)


def _seconds(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


PAGES = (
    *("/", "/routes", f"/repository?name={REPOSITORY}", "/find?q=etcd", "/find?q=:v1.3", "/find?q=sha256:0123456789ab"),
    *("/failing", "/changes?hours=168", "/api/overview", "/api/routes?limit=500"),
)


def _measure_pages(airflow: LocalAirflow) -> Iterator[Answered]:
    with requests.Session() as http:
        http.trust_env = False
        http.headers["Authorization"] = f"Bearer {airflow.api.token}"
        for page in PAGES:
            address = f"{airflow.url}{PAGES_PATH}{page}"
            http.get(address).raise_for_status()  # the first one imports and compiles
            seconds = min(_seconds(lambda: http.get(address)) for _ in range(ROUNDS))  # noqa: B023 - called at once
            size = len(http.get(address).content)
            yield Answered(what=f"GET {page}", milliseconds=1000 * seconds, kilobytes=size / 1000)
