"""One good run repairs everything: after random pushes, changes, deletions, faults, kills, restarts and runs.

Hypothesis makes up the story, with a real source behind Quay's API, a real destination, the real skopeo, and a clock of
the story's own. ``HYPOTHESIS_PROFILE=long`` tells more and longer ones.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from registry_sync.config.settings import MoverName
from registry_sync.errors import RegistrySyncError
from registry_sync.oci.reference import Digest
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.vendors.quay import QuayClient
from registry_sync.routes.discovery import FoundRoute
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.due_routes import split_unmodified
from registry_sync.sync.report import RouteReport
from registry_sync.sync.run_state import Watermark, advance_watermark
from registry_sync.sync.session import Session
from registry_sync.sync.window import RunInterval, Window, WindowRequest, window_of_run
from testkit import images
from testkit.interceptor import ANY, Interceptor
from testkit.loopback import Request
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess
from testkit.routes import make_route, run_route
from tests.conftest import IS_LONG

DAWN = datetime(2026, 3, 1, tzinfo=UTC)
TAGS = ("v1", "v2", "latest")
CONTENTS = (
    images.image([images.layer({"content": b"one"})]),
    images.image([images.layer({"content": b"two"})]),
    images.multi_arch("three"),
    images.index([images.image([images.layer({"content": b"one"})]), images.image([], "linux/arm64")]),
)
_MACHINES = count()


@dataclass(frozen=True, kw_only=True)
class World:
    """Servers that all stories share. Each story has its own namespace."""

    behind: RegistryProcess
    quay: QuayApi
    destination: RegistryProcess
    there: Interceptor


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with RegistryProcess() as behind, QuayApi(behind.url) as quay, RegistryProcess() as destination:
        with Interceptor(destination.url) as there:
            yield World(behind=behind, quay=quay, destination=destination, there=there)


Fault = Callable[[World, int], None]

FAULTS: Mapping[str, Fault] = {
    "listing answers 503": lambda world, times: world.quay.answer("GET", "/tag/$", 503, times=times),
    "listing is a page of HTML": lambda world, times: world.quay.answer(
        "GET", "/tag/$", 200, b"<html>Sign in</html>", times=times
    ),
    "repositories are not listed": lambda world, times: world.quay.answer(
        "GET", "/api/v1/repository$", 500, times=times
    ),
    "source manifest is reset": lambda world, times: world.quay.reset("GET", "/manifests/", times=times),
    "source blob is cut": lambda world, times: world.quay.truncate("GET", "/blobs/", 20, times=times),
    "source blob is damaged": lambda world, times: world.quay.answer("GET", "/blobs/", 200, b"other", times=times),
    "destination HEAD answers 500": lambda world, times: world.there.answer("HEAD", "/manifests/", 500, times=times),
    "upload is refused": lambda world, times: world.there.answer("POST", "/blobs/", 403, times=times),
    "upload is reset": lambda world, times: world.there.reset(ANY, "/blobs/uploads/.", times=times),
    "manifest answers 502": lambda world, times: world.there.answer("PUT", "/manifests/", 502, times=times),
    "manifest is denied": lambda world, times: world.there.answer("PUT", "/manifests/", 401, times=times),
    "too many requests": lambda world, times: world.there.answer("PUT", "/manifests/", 429, times=times),
    "manifest is taken, and its answer lost": lambda world, times: world.there.truncate("PUT", "/", 0, times=times),
}
MOMENTS = (("PATCH", "/blobs/"), ("PUT", "/blobs/"), ("PUT", "/manifests/sha256:"), ("PUT", "/manifests/[^:]+$"))
TROUBLES = st.one_of(
    st.just("none"),
    st.just("none"),
    st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(1, 8)),
    st.tuples(
        st.sampled_from(["kill of the task", "crash of the destination"]), st.sampled_from(MOMENTS), st.integers(1, 3)
    ),
)
Trouble = Any
CHANGES = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(CONTENTS) | st.none()), min_size=1, max_size=3)
Changes = list[tuple[str, images.Image | None]]


class Story(RuleBasedStateMachine):
    """A source, a destination, and the runs of one mirror with Airflow's memory of earlier ones."""

    def __init__(self, world: World, mover: MoverName) -> None:
        super().__init__()
        self.world, self.mover = world, mover
        self.name = f"story-{next(_MACHINES)}/app"
        self.now = self.last_end = DAWN
        self.watermark: Watermark | None = None
        self.current: dict[str, Digest] = {}
        self.ever: dict[str, set[Digest]] = defaultdict(set)
        self.published: set[str] = set()
        self.wrong: list[str] = []
        self.session: Session | None = None
        world.quay.clear_rules()
        world.there.clear_rules()
        world.quay.add(self.name)
        self.watch()

    @property
    def route(self) -> Route:
        may_be_empty = {"min_tags": 0}
        options: dict[str, Any] = {"parallel_copies": 2, "tags": may_be_empty, "transfer": self.mover}
        return make_route(self.world.quay, self.world.there, self.name, source_kind="quay", **options)

    def watch(self) -> None:
        self.world.there.after("PUT", f"/v2/{self.name}/manifests/[^:]+$", self.look)

    def look(self, request: Request) -> None:
        if request.status == 201:
            self.check(request.path.rpartition("/")[2])

    def check(self, tag: str) -> None:
        """Check that each tag has a digest that the source had for it, and that its content is complete."""
        destination = self.world.destination
        digest = images.resolve(destination.url, self.name, tag)
        if digest is None:
            if tag in self.published:
                self.wrong.append(f"{tag} was lost")
            return
        self.published.add(tag)
        if digest not in self.ever[tag]:
            self.wrong.append(f"{tag} names {digest}, which the source never did")
        images.pull_whole(destination.url, self.name, tag)

    def change(self, tag: str, content: images.Image | None) -> None:
        """Push a new tag, change one, perhaps back to an earlier image, or delete one."""
        world = self.world
        self.now += timedelta(minutes=7)
        if content:
            images.push(world.behind.url, self.name, tag, content)
            self.current[tag] = content.digest
            self.ever[tag].add(content.digest)
            world.quay.push(self.name, tag, self.now, content.digest)
        elif self.current.pop(tag, None):
            world.quay.delete(self.name, tag, self.now)
            world.behind.forget_tag(self.name, tag)

    def meet(self, trouble: Trouble) -> None:
        """Arm a fault."""
        match trouble:
            case "kill of the task", moment, nth:
                self.at(moment, nth, lambda _: self.session.stop() if self.session else None)
            case "crash of the destination", moment, nth:
                self.at(moment, nth, lambda _: self.world.destination.kill())
            case fault, times:
                FAULTS[fault](self.world, times)

    def at(self, moment: tuple[str, str], nth: int, act: Callable[[Request], None]) -> None:
        """Act once at the nth request of a kind."""
        (method, path), seen = moment, count(1)
        self.world.there.after(method, path, lambda request: act(request) if next(seen) == nth else None)

    @rule(changes=CHANGES)
    def a_tick_is_missed(self, changes: Changes) -> None:
        """Airflow was down. Without catchup this interval never has its own run."""
        self.pass_time(changes)
        self.last_end = self.now

    @rule(changes=CHANGES, late=st.just([]) | CHANGES, trouble=TROUBLES)
    def run_on_schedule(self, changes: Changes, late: Changes, trouble: Trouble) -> None:
        """A run for the interval up to now. If it is late, tags change between its end and the run."""
        self.pass_time(changes)
        start, end, self.last_end = self.last_end, self.now, self.now
        self.pass_time(late, minutes=1)
        self.meet(trouble)
        run = RunInterval(run_type="scheduled", start=start, end=end)
        window = window_of_run(run, WindowRequest(), None)
        with suppress(RegistrySyncError):  # then the task that plans has failed, and what was known before still holds
            work, unmodified = split_unmodified([self.found()], window, run, self.watermark, None)
            finished = [route_key(each) for each in unmodified]
            finished += [route_key(route) for route, own in work if self.run(own)]
            self.watermark = advance_watermark(self.watermark, end, finished)

    @rule(changes=CHANGES, hours_ago=st.none() | st.integers(0, 6), trouble=TROUBLES)
    def run_by_hand_or_backfill(self, changes: Changes, hours_ago: int | None, trouble: Trouble) -> None:
        """A run by hand over everything, or over one past hour."""
        self.pass_time(changes)
        start = self.now - timedelta(hours=hours_ago or 0)
        kind = "manual" if hours_ago is None else "backfill"
        self.meet(trouble)
        self.run(
            window_of_run(
                RunInterval(run_type=kind, start=start, end=start + timedelta(hours=1)), WindowRequest(), None
            )
        )

    def pass_time(self, changes: Changes, minutes: int = 30) -> None:
        for tag, content in changes:
            self.change(tag, content)
        self.now += timedelta(minutes=minutes)

    def found(self) -> FoundRoute:
        """The route as found by a namespace rule."""
        endpoint = Endpoint(host=self.world.quay.host, tls=False)
        with closing(QuayClient(endpoint, requests_per_second=1000)) as client:
            (entry,) = client.list_repositories(self.name.partition("/")[0])
        return FoundRoute(route=self.route, modified_at=entry.modified_at)

    def run(self, window: Window) -> bool:
        """Return whether the route's task would succeed."""
        try:
            report: RouteReport | None = run_route(self.route, window=window, on_start=self.started)
        except RegistrySyncError:
            report = None
        finally:
            self.session = None
            self.world.destination.start()
        return report is not None and not report.is_failed

    def started(self, session: Session) -> None:
        self.session = session

    @invariant()
    def no_tag_is_wrong_or_lost(self) -> None:
        for tag in TAGS:
            self.check(tag)
        assert self.wrong == []

    def teardown(self) -> None:
        """Without faults, one scheduled run is enough."""
        self.world.quay.clear_rules()
        self.world.there.clear_rules()
        self.watch()
        self.run_on_schedule([], [], "none")
        self.no_tag_is_wrong_or_lost()
        there = {tag: images.resolve(self.world.destination.url, self.name, tag) for tag in self.current}
        assert there == self.current
        report = run_route(self.route)
        assert {outcome: number for outcome, number in report.counts.items() if number} in (
            {},
            {"unchanged": len(self.current)},
        )


@pytest.mark.parametrize(("mover", "examples"), [("skopeo", 24), ("direct", 12)])
def test_one_good_run_puts_everything_right(
    world: World, monkeypatch: pytest.MonkeyPatch, mover: MoverName, examples: int
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 0.005)
    story = settings(
        max_examples=300 if IS_LONG else examples,
        stateful_step_count=30 if IS_LONG else 8,
        deadline=None,
        derandomize=not IS_LONG,
        phases=[Phase.generate, Phase.shrink] if IS_LONG else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(lambda: Story(world, mover), settings=story)  # type: ignore[arg-type]  # it takes any maker
