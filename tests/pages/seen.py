"""Content of the pages in these tests: synthetic states, hostile ones, and a readiness check."""

from __future__ import annotations

from datetime import datetime, timedelta

from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex
from registry_sync.state.document import as_document
from registry_sync.state.names import DESTINATION_KEY, index_key, tags_key
from registry_sync.state.readiness import PoolStart, ReadinessState
from registry_sync.state.route import KnownTag, Problem, RouteState, TagTable
from testkit.states import SyntheticDestination, synthetic_destination

SECRET = "classified"
"""The mirror that only its team may read."""

SCRIPT = "<script>document.title='taken over'</script>"
ATTRIBUTE = "\"'><img src=x onerror=document.title='taken over'>"
RTL = "safe\u202egnp.exe"
CONTROL = "red\x1b[31m\x00\n2026 all is well"
LONG = "a" * 4096
HOSTILE = (SCRIPT, ATTRIBUTE, RTL, CONTROL, LONG, "{{ 7*7 }}{% raw %}", "javascript:alert(1)")
"""Texts that a registry, or somebody with rights on assets, may put into a state."""


def hostile_destination(now: datetime) -> SyntheticDestination:
    """A destination whose names, tags, digests and reasons are all hostile."""
    problem = Problem(tag=SCRIPT, error_class=ATTRIBUTE, reason="; ".join(HOSTILE), since=now - timedelta(hours=1))
    tags = tuple(KnownTag(tag=text, status="failing", digest=text, pushed_at=now, first_seen=now) for text in HOSTILE)
    documents = {}
    for number, text in enumerate(HOSTILE):
        route = RouteState(
            route=text,
            source=f"{SCRIPT}/{text}",
            destination=f"{ATTRIBUTE}/{text}",
            run_id=ATTRIBUTE,
            task_id=SCRIPT,
            map_index=number,
            looked_at=now,
            problems=(problem,),
            problem_count=1,
        )
        documents[text] = as_document(route)
        documents[tags_key(text)] = as_document(TagTable(tags=tags, total=len(tags)))
    figures = RouteFigures(
        looked_at=now, selected=1, failing=1, failing_since=now - timedelta(hours=1), oldest_lacking=now
    )
    state = DestinationState(
        mirror="hostile",
        destination="x",
        host=ATTRIBUTE,
        source_host=SCRIPT,
        run_id=SCRIPT,
        run_ended=now,
        summary=SCRIPT,
        listed_at=now,
        index_parts=1,
        unreported=(SCRIPT,),
        problem=problem,
    )
    documents[DESTINATION_KEY] = as_document(state)
    documents[index_key(0)] = as_document(RouteIndex(routes=dict.fromkeys(HOSTILE, figures)))
    return SyntheticDestination(mirror="hostile", destination="x", host="hostile.example", documents=documents)


def secret_destination(now: datetime) -> SyntheticDestination:
    """A destination of a mirror that only its team may read."""
    return synthetic_destination(
        SECRET, "quay.io", "vault", "vault.example", now=now, routes=40, tags=5, events=2, trouble=True
    )


def readiness(now: datetime) -> ReadinessState:
    """A check that found a pool which would not start with a registry down."""
    return ReadinessState(
        read_at=now - timedelta(minutes=20),
        run_id="scheduled__2026-11-29T01:45:00+00:00",
        is_failed=True,
        summary="nodes of 1 of 2 pools would not start with gsoci.azurecr.io down",
        starts=(
            PoolStart(pool="control-plane", answer="starts"),
            PoolStart(
                pool="control-plane",
                down="acr",
                answer="does_not_start",
                missing=1,
                reasons=("giantswarm/hyperkube:v1.31.4 from aliyun: not found",),
            ),
            PoolStart(pool="control-plane", down="aliyun", answer="starts", wait_seconds=12),
            PoolStart(pool="workers", answer="starts"),
            PoolStart(pool="workers", down="acr", answer="not_promised", reasons=("containerd has no mirror for it",)),
        ),
    )
