"""Synthetic states of routes, as tasks would leave them, for tests, pages, screenshots and benchmarks.

The same arguments give the same states. Every kind of trouble occurs: tags that fail, are missing or locked, broken
promises, routes that were last looked at days ago, documents that cannot be read, a mirror that never ran.
:func:`testkit.states_database.write_states` writes them into Airflow's database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from registry_sync.state.changes import Change, ChangeEvent
from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex, figures_of
from registry_sync.state.document import as_document
from registry_sync.state.names import DESTINATION_KEY, asset_name, asset_uri, index_key, route_name, tags_key
from registry_sync.state.route import LACKING, Arrival, KnownTag, Problem, RouteState, TagTable
from registry_sync.sync.view import TagStatus

ROUTES_IN_A_PART = 150
"""Rows in one part of an index: below 48 kB each."""

PROMISE = timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticDestination:
    """Stored state of one mirror and destination: JSON by key, and its asset events.

    :ivar last_run: state, start and end of the last run of the mirror; ``None`` when it never ran.
    """

    mirror: str
    destination: str
    host: str
    documents: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[ChangeEvent, ...] = ()
    last_run: tuple[str, datetime, datetime] | None = None
    is_paused: bool = False
    next_run_at: datetime | None = None

    @property
    def asset(self) -> tuple[str, str]:
        """Name and URI of its asset."""
        return asset_name(self.mirror, self.destination), asset_uri(self.mirror, self.destination, self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticRoute:
    """One route with its tags, from which its figures follow."""

    state: RouteState
    tags: TagTable


MIRRORS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "giantswarm",
        "quay.io",
        (
            ("acr", "gsoci.azurecr.io"),
            ("aliyun", "giantswarm-registry.cn-shanghai.cr.aliyuncs.com"),
            ("ghcr", "ghcr.io"),
        ),
    ),
    ("hub", "docker.io", (("acr", "gsoci.azurecr.io"), ("harbor", "harbor.example:8443"))),
    ("kubernetes", "registry.k8s.io", (("acr", "gsoci.azurecr.io"),)),
)
"""Mirrors by name, with the host of their source and their destinations."""

_NAMES = (
    *("hyperkube", "etcd", "coredns", "pause", "kube-proxy", "kube-apiserver", "calico-node", "cilium", "cert-manager"),
    *("external-dns", "nginx-ingress-controller", "prometheus", "alertmanager", "grafana", "loki", "fluent-bit"),
    *("aws-ebs-csi-driver", "azure-cloud-node-manager", "cluster-autoscaler", "metrics-server", "node-exporter"),
)
_NAMESPACES = {"quay.io": "giantswarm", "docker.io": "library", "registry.k8s.io": "core"}


def synthetic_states(
    *, now: datetime, routes: int = 40, tags: int = 30, events: int = 20, trouble: bool = True
) -> list[SyntheticDestination]:
    """The states of all destinations of :data:`MIRRORS`, and of a mirror that never ran and one that is paused.

    :param routes: routes of each destination.
    :param tags: tags of each route.
    :param events: runs of each destination that changed something, an hour between two.
    :param trouble: without, every tag of every route is in sync, and nothing else is returned.
    """
    stored = [
        synthetic_destination(mirror, source, name, host, now=now, routes=routes, tags=tags, events=events, trouble=bad)
        for mirror, source, destinations in MIRRORS
        for number, (name, host) in enumerate(destinations)
        for bad in (trouble and number < 2,)
    ]
    if not trouble:
        return stored
    broken = stored[4]
    documents = {**broken.documents, DESTINATION_KEY: {"mirror": "hub", "version": 2}, index_key(0): "not an index"}
    stored[4] = replace(broken, documents=documents)
    never = SyntheticDestination(
        mirror="new_team", destination="acr", host="gsoci.azurecr.io", next_run_at=now + timedelta(minutes=20)
    )
    paused = synthetic_destination(
        "archive", "quay.io", "harbor", "harbor.example:8443", now=now - timedelta(days=3), routes=5, tags=tags
    )
    return [*stored, never, replace(paused, is_paused=True, next_run_at=None)]


def synthetic_destination(
    mirror: str,
    source_host: str,
    destination: str,
    host: str,
    *,
    now: datetime,
    routes: int,
    tags: int,
    events: int = 0,
    trouble: bool = False,
) -> SyntheticDestination:
    """The state of one destination, whose last run ended five minutes before ``now``."""
    ended = now - timedelta(minutes=5)
    known = [_route(source_host, destination, host, number, tags, ended, trouble=trouble) for number in range(routes)]
    parts = list(_index_parts([(route.state.route, figures_of(route.state)) for route in known]))
    failing = sum(route.state.failing for route in known)
    summary = DestinationState(
        mirror=mirror,
        destination=destination,
        host=host,
        source_host=source_host,
        run_id=f"scheduled__{ended:%Y-%m-%dT%H}:00:00+00:00",
        run_ended=ended,
        is_failed=failing > 0,
        summary=f"{routes} routes: {sum(route.state.in_sync for route in known)} tags in sync, {failing} failed",
        listed_at=ended - timedelta(minutes=3),
        complete_run_id=f"scheduled__{ended:%Y-%m-%d}T00:00:00+00:00",
        complete_at=ended.replace(hour=0, minute=20),
        index_parts=len(parts),
        unreported=(known[6].state.route,) if trouble and routes > 6 else (),
        changed_at=ended if events else None,
        fresh_within=PROMISE.total_seconds(),
    )
    documents: dict[str, Any] = {DESTINATION_KEY: as_document(summary)}
    documents |= {index_key(number): as_document(part) for number, part in enumerate(parts)}
    for route in known:
        documents[route.state.route] = as_document(route.state)
        documents[tags_key(route.state.route)] = as_document(route.tags)
    if trouble and routes > 3:
        documents[tags_key(known[3].state.route)] = {"tags": [{"tag": "v1", "status": "splendid"}], "total": 1}
    return SyntheticDestination(
        mirror=mirror,
        destination=destination,
        host=host,
        documents=documents,
        events=tuple(islice(_events(summary, known), events)),
        last_run=("failed" if failing else "success", ended - timedelta(minutes=6), ended),
        next_run_at=now + timedelta(minutes=55),
    )


def digest_of(text: str) -> str:
    """A digest that depends on ``text`` alone."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def repository_of(source_host: str, number: int) -> str:
    """The name of the source repository of a number."""
    base, round_ = _NAMES[number % len(_NAMES)], number // len(_NAMES)
    return f"{_NAMESPACES.get(source_host, 'team')}/{base}{f'-{round_}' if round_ else ''}"


def _route(
    source_host: str,
    destination: str,
    host: str,
    number: int,
    tags: int,
    ended: datetime,
    *,
    trouble: bool,
) -> SyntheticRoute:
    source = repository_of(source_host, number)
    target = f"mirror/{source}" if number % 10 == 9 else source
    shift = len(host)  # other routes are in trouble elsewhere
    known = tuple(
        _tag(source, tag, tags, ended, _trouble_of(number + shift, tags - 1 - tag) if trouble else None)
        for tag in reversed(range(tags))
    )
    table = TagTable(tags=tuple(sorted(known, key=lambda tag: tag.status not in LACKING)), total=len(known))
    counts: dict[str, Any] = {status: sum(tag.status == status for tag in known) for status in _STATUSES}
    lacking = [tag.pushed_at or tag.first_seen for tag in known if tag.status in LACKING]
    problems = tuple(_problem(tag, host, ended) for tag in known if tag.status == "failing")
    whole = trouble and (number + shift) % 40 == 11
    if whole:
        reason = f"{host}/{target}: 503 Service Unavailable; the registry or a proxy before it is down"
        problems = (
            Problem(error_class="temporary", reason=reason, since=ended - timedelta(hours=9), tries=9),
            *problems,
        )
    state = RouteState(
        route=route_name(source, target),
        source=f"{source_host}/{source}",
        destination=f"{host}/{target}",
        run_id=f"scheduled__{ended:%Y-%m-%dT%H}:00:00+00:00",
        task_id=f"to_{destination}",
        map_index=number,
        looked_at=ended - timedelta(days=2 if trouble and number % 40 == 17 else 0, minutes=2),
        complete_at=None if whole else ended.replace(hour=0, minute=10),
        listed=tags + 12,
        selected=tags,
        oldest_lacking=min(lacking, default=None),
        lag_seconds=900.0 + 60 * (number % 30),
        arrivals=tuple(
            Arrival(tag=tag.tag, digest=str(tag.digest), pushed_at=tag.pushed_at, published_at=tag.published_at)
            for tag in known[:10]
            if tag.published_at
        ),
        problems=problems[:20],
        problem_count=len(problems),
        fresh_within=PROMISE.total_seconds() if number % 4 else None,
        **counts,
    )
    return SyntheticRoute(state=state, tags=table)


_STATUSES: tuple[TagStatus, ...] = ("in_sync", "missing", "changed", "failing", "locked", "kept")


def _trouble_of(number: int, place: int) -> TagStatus | None:
    """The status of a tag that is not in sync: in a quarter of the routes, the newest tag or two others.

    :param place: 0 for the newest tag.
    """
    newest: Mapping[int, TagStatus] = {1: "missing", 2: "missing", 10: "changed"}
    older: Mapping[int, TagStatus] = {2: "missing", 5: "failing", 8: "locked", 14: "kept"}
    return newest.get(number % 20) if place == 0 else older.get(number % 20) if place in {1, 4} else None


def _tag(source: str, number: int, tags: int, ended: datetime, trouble: TagStatus | None) -> KnownTag:
    pushed = ended - timedelta(hours=1 + 7 * (tags - 1 - number))
    published = None if trouble in {"missing", "failing"} else pushed + timedelta(minutes=15)
    return KnownTag(
        tag=f"v1.{number // 10}.{number % 10}",
        status=trouble or "in_sync",
        digest=digest_of(f"{source}:{number}"),
        pushed_at=pushed,
        first_seen=pushed + timedelta(minutes=10),
        published_at=published,
    )


def _problem(tag: KnownTag, host: str, ended: datetime) -> Problem:
    reason = (
        f"{host} refuses the push of {tag.tag}: 403 Forbidden (insufficient_scope); give the account the right to push"
    )
    return Problem(tag=tag.tag, error_class="denied", reason=reason, since=ended - timedelta(hours=30), tries=30)


def _index_parts(rows: list[tuple[str, RouteFigures]]) -> Iterator[RouteIndex]:
    for start in range(0, len(rows), ROUTES_IN_A_PART):
        yield RouteIndex(routes=dict(rows[start : start + ROUTES_IN_A_PART]))


def _events(summary: DestinationState, known: list[SyntheticRoute]) -> Iterator[ChangeEvent]:
    """Runs that changed something, the newest first."""
    kinds = ("arrived", "arrived", "moved", "arrived", "backed_up", "deleted", "repaired")
    number = 0
    while known:
        at = summary.run_ended - timedelta(hours=number)
        routes = [known[(number * 3 + offset) % len(known)] for offset in range(min(3, len(known)))]
        changes = tuple(
            Change(
                repository=route.state.destination,
                tag=route.tags.tags[number % len(route.tags.tags)].tag,
                kind=kinds[(number + offset) % len(kinds)],  # type: ignore[arg-type]
                digest=digest_of(f"{number} {offset}"),
                old_digest=digest_of(f"old {number}") if kinds[(number + offset) % len(kinds)] == "moved" else None,
            )
            for offset, route in enumerate(routes)
        )
        total = 431 if number == 5 else len(changes)
        run_id = f"scheduled__{at:%Y-%m-%dT%H}:00:00+00:00"
        yield ChangeEvent(
            mirror=summary.mirror,
            destination=summary.destination,
            host=summary.host,
            run_id=run_id,
            at=at,
            total=total,
            changes=changes,
        )
        number += 1


def stored_text(document: Any) -> str:
    """The text of a value in Airflow's table, which its API server writes in this form."""
    return json.dumps(document)
