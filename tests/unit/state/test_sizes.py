"""The size of the states of 5,000 routes with 100 tags each, in Airflow's database."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from registry_sync.oci.reference import Digest
from registry_sync.state.destination import RouteFigures, figures_of
from registry_sync.state.document import as_document, size_of
from registry_sync.state.names import tags_key
from registry_sync.state.recording.index import update_index
from registry_sync.state.recording.look import Look
from registry_sync.state.recording.record import record_failure, record_view
from registry_sync.sync.view import Failure, RouteView, SeenTag

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAMPLE, ROUTES, TAGS, LIMIT = 50, 5000, 100, 50_000_000


def route_documents(number: int, chance: random.Random) -> tuple[RouteFigures, int]:
    """The row and the bytes of a route that has been mirrored for years, whose last run failed."""
    name = f"giantswarm/some-longer-name-operator-{number}"
    record = None
    for first in (0, TAGS // 2):
        tags = []
        for tag in range(first, first + TAGS // 2):
            pushed_at = NOW - timedelta(days=1000 - tag * 9, seconds=chance.randrange(86400))
            tags.append(
                SeenTag(
                    tag=f"v{tag // 30}.{tag % 30}.{chance.randrange(20)}",
                    status="in_sync",
                    digest=Digest.of(f"{number} {tag}".encode()),
                    pushed_at=pushed_at,
                    entered_at=pushed_at,
                    published_at=pushed_at + timedelta(seconds=chance.randrange(60, 7200)),
                    is_published=True,
                )
            )
        view = RouteView(read_at=NOW, window="", is_complete=not first, listed=TAGS, tags=tuple(tags))
        look = Look(
            route=name,
            source=f"quay.io/{name}",
            destination=f"gsoci.azurecr.io/{name}",
            run_id="scheduled__2026-03-01T12:00:00+00:00",
            task_id="to_acr",
            map_index=number,
            looked_at=NOW,
            fresh_within=7200.0,
        )
        record = record_view(look, view, record)
    assert record is not None
    record = record_failure(look, Failure(tag=None, error_class="temporary", reason="x" * 200), record)
    assert (record.state.selected, len(record.tags.tags)) == (TAGS, TAGS)
    stored = [(name, record.state), (tags_key(name), record.tags)]
    return figures_of(record.state), sum(len(key) + size_of(as_document(value)) for key, value in stored)


def test_five_thousand_routes_take_less_than_fifty_megabytes() -> None:
    chance = random.Random(1)
    routes = [route_documents(number, chance) for number in range(SAMPLE)]
    index = update_index([], {f"giantswarm/name-{number}": row for number, (row, _) in enumerate(routes)}, ())
    total = sum(size for _, size in routes) + sum(size_of(as_document(part)) for part in index)
    assert total / SAMPLE * ROUTES < LIMIT
