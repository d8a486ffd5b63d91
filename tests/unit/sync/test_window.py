"""Windows of runs and routes, and the watermark that runs leave to later ones."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.airflow.runs.outcomes import finished_routes
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import RepositoryRule
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest
from registry_sync.routes.discovery import FoundRoute, listed_routes
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.artifacts.lacking import NONE_LACKING, LackingArtifact, LackingArtifacts
from registry_sync.sync.due_routes import split_unmodified
from registry_sync.sync.report import RouteReport, TagResult
from registry_sync.sync.run_state import Watermark, advance_watermark
from registry_sync.sync.window import (
    CLOCK_SKEW,
    PUSHED,
    RunInterval,
    Window,
    WindowRequest,
    compares_names,
    window_of_route,
    window_of_run,
)
from testkit.settings import route_settings

DAY = datetime(2026, 11, 24, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOMENTS = st.integers(0, 365 * 24 * 3600).map(lambda seconds: DAY + timedelta(seconds=seconds))


def at(hour: float) -> datetime:
    return DAY + hour * HOUR


def scheduled(start: float, end: float) -> Window:
    return Window(reason="scheduled", start=at(start), end=at(end))


def interval(start: float, end: float, run_type: str = "scheduled") -> RunInterval:
    return RunInterval(run_type=run_type, start=at(start), end=at(end))


SIGNED = Digest.of(b"signed")
LACKING = LackingArtifacts(
    artifacts=(LackingArtifact(name=f"sha256-{SIGNED.encoded}.sig", subject=SIGNED, image=SIGNED),)
)
NOT_SIGNED = TagResult.failed(LACKING.artifacts[0].name, "no", "refused")
NO_PUSH_TIMES = Window(reason="scheduled; here.example does not report push times")


def a_route(name: str = "team/app", **options: Any) -> Route:
    here, there = Registry(name="here", host="here.example"), Registry(name="there", host="there.example")
    rule = RepositoryRule(repository=name, settings=route_settings(**options))
    mirror = Mirror(name="m", source="here", destinations=("there",), rules=(rule,))
    return next(listed_routes(mirror, here, there))


def in_sync(until: float, *routes: Route) -> Watermark:
    return Watermark(until=at(until), routes=frozenset(map(route_key, routes)))


class TestOfRun:
    @pytest.mark.parametrize(
        ("run", "asked", "full_check", "expected"),
        [
            ("scheduled", {}, None, "tags pushed 2026-11-24 13:00–14:00 UTC (scheduled)"),
            ("scheduled", {}, "@daily", "tags pushed 2026-11-24 13:00–14:00 UTC (scheduled)"),
            ("scheduled", {}, "30 13 * * *", "everything (full check, 30 13 * * *)"),
            ("scheduled", {}, "0 13 * * *", "everything (full check, 0 13 * * *)"),
            ("scheduled", {}, "0 14 * * *", "tags pushed 2026-11-24 13:00–14:00 UTC (scheduled)"),
            ("backfill", {}, "0 13 * * *", "tags pushed 2026-11-24 13:00–14:00 UTC (backfill)"),
            ("manual", {}, "@hourly", "everything (manual run)"),
            ("asset_triggered", {}, None, "everything (asset_triggered run)"),
            ("scheduled", {"window": "all"}, None, "everything (requested)"),
            ("manual", {"window": "from_to", "start": at(1)}, None, "tags pushed from 2026-11-24 01:00 (requested)"),
            ("manual", {"window": "from_to", "end": at(1)}, None, "tags pushed before 2026-11-24 01:00 (requested)"),
        ],
    )
    def test_what_it_looks_at(self, run: str, asked: dict[str, Any], full_check: str | None, expected: str) -> None:
        window = window_of_run(RunInterval(run_type=run, start=at(13), end=at(14)), WindowRequest(**asked), full_check)
        assert str(window) == expected

    def test_a_run_for_pushes_looks_at_tags_by_name(self) -> None:
        assert str(Window.from_json(PUSHED.to_json())) == "the pushed tags"

    @pytest.mark.parametrize(("start", "end"), [(None, None), (at(13), at(13))])
    def test_without_an_interval_it_is_everything(self, start: datetime | None, end: datetime | None) -> None:
        window = window_of_run(RunInterval(run_type="scheduled", start=start, end=end), WindowRequest(), None)
        assert str(window) == "everything (scheduled run)"

    @pytest.mark.parametrize(
        ("asked", "problem"),
        [
            ({"window": "from_to"}, "window is from_to, but neither window_from nor window_to is given"),
            ({"start": at(1)}, "window_from and window_to go with window: from_to, not with 'auto'"),
            ({"window": "all", "end": at(1)}, "window_from and window_to go with window: from_to, not with 'all'"),
            (
                {"window": "from_to", "start": at(2), "end": at(1)},
                "window_from 2026-11-24 02:00:00+00:00 is not before window_to 2026-11-24 01:00:00+00:00",
            ),
        ],
    )
    def test_parameters_that_contradict_each_other_are_refused(self, asked: dict[str, Any], problem: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            window_of_run(RunInterval(run_type="manual"), WindowRequest(**asked), None)
        assert str(caught.value) == problem


class TestWindow:
    def test_it_begins_a_little_earlier_for_the_sake_of_other_clocks(self) -> None:
        window = scheduled(13, 14)
        assert window.holds(at(13) - CLOCK_SKEW)
        assert not window.holds(at(13) - CLOCK_SKEW - timedelta(microseconds=1))

    def test_the_time_of_an_image_is_the_earliest_of_its_tags(self) -> None:
        window = scheduled(13, 14)
        assert window.holds(at(2), is_image_time=True)
        assert not window.holds(at(14), is_image_time=True)

    def test_it_ends_before_its_end(self) -> None:
        assert scheduled(13, 14).holds(at(14) - timedelta(microseconds=1))
        assert not scheduled(13, 14).holds(at(14))

    @given(MOMENTS, MOMENTS)
    def test_an_unknown_push_time_is_always_looked_at(self, start: datetime, end: datetime) -> None:
        assert Window(reason="", start=start, end=end).holds(None)

    @given(MOMENTS)
    def test_everything_holds_everything(self, moment: datetime) -> None:
        assert Window(reason="").holds(moment)
        assert Window(reason="").since is None

    @given(st.none() | MOMENTS, st.none() | MOMENTS, st.text())
    def test_json_round_trip(self, start: datetime | None, end: datetime | None, why: str) -> None:
        window = Window(reason=why, start=start, end=end)
        assert Window.from_json(window.to_json()) == window

    @given(st.lists(MOMENTS, min_size=2, max_size=9, unique=True), MOMENTS)
    def test_windows_that_follow_each_other_leave_no_gap(self, ends: list[datetime], pushed_at: datetime) -> None:
        ends.sort()
        windows = [Window(reason="", start=start, end=end) for start, end in pairwise(ends)]
        is_within = ends[0] <= pushed_at < ends[-1]
        assert not is_within or any(window.holds(pushed_at) for window in windows)


class TestOfRoute:
    def test_the_first_run_compares_everything(self) -> None:
        window = window_of_route(scheduled(13, 14), interval(13, 14), a_route(), None)
        assert str(window) == "everything (first run of this route, or its last run did not finish)"

    def test_a_route_that_was_not_finished_is_compared_in_full(self) -> None:
        state = in_sync(13, a_route("team/other"))
        assert window_of_route(scheduled(13, 14), interval(13, 14), a_route(), state).is_everything

    @pytest.mark.parametrize("options", [{"tags": {"include": ("v*",)}}, {"on_moved_tag": "keep"}])
    def test_so_is_one_whose_rule_has_changed(self, options: dict[str, Any]) -> None:
        state = in_sync(13, a_route())
        assert window_of_route(scheduled(13, 14), interval(13, 14), a_route(**options), state).is_everything

    @pytest.mark.parametrize("until", [13, 14, 20])
    def test_a_route_in_sync_keeps_the_window_of_the_run(self, until: float) -> None:
        state = in_sync(until, a_route())
        assert window_of_route(scheduled(13, 14), interval(13, 14), a_route(), state) == scheduled(13, 14)

    def test_missed_runs_are_made_up_for(self) -> None:
        window = window_of_route(scheduled(13, 14), interval(13, 14), a_route(), in_sync(3, a_route()), "@daily")
        assert str(window) == "tags pushed 2026-11-24 03:00–14:00 UTC (scheduled, with missed runs)"

    @pytest.mark.parametrize("until", [-1, 0])
    def test_a_missed_full_check_too(self, until: float) -> None:
        window = window_of_route(scheduled(4, 5), interval(4, 5), a_route(), in_sync(until, a_route()), "@daily")
        assert str(window) == "everything (missed full check, @daily)"
        assert window.is_full_check

    @pytest.mark.parametrize("before", [True, False])
    def test_other_signatures_take_a_full_check(self, before: bool) -> None:
        """Signatures of images in sync are found by no other run."""
        state = in_sync(13, a_route(signatures=before))
        window = window_of_route(scheduled(13, 14), interval(13, 14), a_route(signatures=not before), state)
        assert str(window) == "everything (full check, because signatures was changed)"
        assert window.is_full_check

    @pytest.mark.parametrize("window", [scheduled(13, 14), NO_PUSH_TIMES])
    def test_one_whose_full_check_broke_off_has_another(self, window: Window) -> None:
        """Also where more attached artifacts failed than are stored."""
        state = replace(in_sync(13), unchecked=frozenset({route_key(a_route())}))
        own = window_of_route(window, interval(13, 14), a_route(), state, "@daily")
        assert str(own) == (
            "everything (full check, because the last one broke off, or more attached artifacts failed than are stored)"
        )
        assert own.is_full_check
        for other in (a_route("team/other"), a_route(signatures=False)):
            assert not window_of_route(window, interval(13, 14), other, state, "@daily").is_full_check

    @pytest.mark.parametrize(("until", "is_full_check"), [(-1, True), (3, False)])
    def test_a_source_without_push_times_makes_up_for_a_missed_full_check(
        self, until: float, *, is_full_check: bool
    ) -> None:
        own = window_of_route(NO_PUSH_TIMES, interval(4, 5), a_route(), in_sync(until, a_route()), "@daily")
        assert (own.is_everything, own.is_full_check) == (True, is_full_check)

    def test_it_looks_for_signatures_after_a_change_too(self) -> None:
        state = in_sync(13, a_route(signatures=False))
        assert window_of_route(NO_PUSH_TIMES, interval(13, 14), a_route(), state).is_full_check

    @pytest.mark.parametrize("run_type", ["backfill", "manual"])
    def test_other_runs_do_not_build_on_scheduled_ones(self, run_type: str) -> None:
        assert window_of_route(scheduled(13, 14), interval(13, 14, run_type), a_route(), None, "@daily") == scheduled(
            13, 14
        )

    def test_everything_stays_everything(self) -> None:
        everything = Window(reason="full check, @daily")
        assert window_of_route(everything, interval(13, 14), a_route(), in_sync(3, a_route())) == everything


class TestUnmodified:
    def test_a_repository_without_a_push_in_the_window_is_left_out(self) -> None:
        old, new, unknown = a_route("team/old"), a_route("team/new"), a_route("team/unknown")
        found = [
            FoundRoute(route=old, modified_at=at(13) - CLOCK_SKEW - timedelta(seconds=1)),
            FoundRoute(route=new, modified_at=at(13) - CLOCK_SKEW),
            FoundRoute(route=unknown),
        ]
        state = in_sync(13, old, new, unknown)
        work, unmodified = split_unmodified(found, scheduled(13, 14), interval(13, 14), state, None)
        assert work == [(new, scheduled(13, 14)), (unknown, scheduled(13, 14))]
        assert unmodified == [old]

    def test_a_repository_that_lacks_artifacts_is_not_left_out(self) -> None:
        """Or the run would be green while a signature is missing."""
        route = a_route()
        state = replace(in_sync(13, route), lacking={route_key(route): LACKING})
        found = [FoundRoute(route=route, modified_at=at(1))]
        work, unmodified = split_unmodified(found, scheduled(13, 14), interval(13, 14), state, None)
        assert (work, unmodified) == ([(route, scheduled(13, 14))], [])

    def test_but_not_on_its_first_run(self) -> None:
        found = [FoundRoute(route=a_route(), modified_at=at(-100))]
        work, unmodified = split_unmodified(found, scheduled(13, 14), interval(13, 14), None, None)
        assert [window.is_everything for _, window in work] == [True]
        assert unmodified == []


class TestAdvance:
    def test_it_moves_to_the_end_of_the_run(self) -> None:
        assert advance_watermark(in_sync(13, a_route()), at(14), ["k"]) == Watermark(
            until=at(14), routes=frozenset({"k"})
        )

    def test_an_old_run_that_is_cleared_takes_nothing_back(self) -> None:
        state = in_sync(14, a_route())
        assert advance_watermark(state, at(13), []) == state

    def test_a_route_that_needs_a_full_check_does_so_until_it_finishes(self) -> None:
        state = advance_watermark(None, at(14), ["a", "b"], ["b", "c"])
        assert (sorted(state.routes), sorted(state.unchecked)) == (["a", "b"], ["b", "c"])
        assert advance_watermark(state, at(15), ["a", "b"]).unchecked == frozenset({"c"})

    def test_a_route_that_is_disabled_meanwhile_still_needs_its_full_check(self) -> None:
        disabled = advance_watermark(advance_watermark(None, at(14), [], ["a"]), at(15), ["b"], ["c"])
        assert (sorted(disabled.routes), sorted(disabled.unchecked)) == (["b"], ["a", "c"])
        finished = advance_watermark(disabled, at(16), ["a", "b", "c"])
        assert finished.unchecked == frozenset()

    def test_artifacts_of_a_route_that_the_run_did_not_have_need_a_full_check(self) -> None:
        first = advance_watermark(None, at(14), ["a", "b"], lacking={"a": LACKING, "b": LACKING, "c": NONE_LACKING})
        assert (first.lacking, first.unchecked) == ({"a": LACKING, "b": LACKING}, frozenset())
        second = advance_watermark(first, at(15), ["b"], lacking={"b": NONE_LACKING})
        assert (second.lacking, second.unchecked) == ({}, frozenset({"a"}))

    def test_json_round_trip(self) -> None:
        state = replace(
            in_sync(14, a_route(), a_route("team/other")),
            unchecked=frozenset({"k"}),
            lacking={"l": LACKING},
            stale_tags={"s": ("v1",)},
        )
        assert Watermark.from_json(state.to_json()) == state

    def test_one_that_an_older_version_left_is_read(self) -> None:
        document = in_sync(14, a_route()).to_json()
        del document["unchecked"], document["lacking"], document["stale_tags"]
        assert Watermark.from_json(document) == in_sync(14, a_route())


class TestFinished:
    def routes(self) -> list[Route]:
        return [a_route(name) for name in ("team/a", "team/b")]

    def report(self, name: str, **fields: Any) -> RouteReport:
        return RouteReport.of_route(a_route(name), counts={}, **fields)

    @pytest.mark.parametrize(
        ("state", "fields", "is_finished"),
        [
            ("success", {}, True),
            ("failed", {}, False),
            ("skipped", {}, False),
            ("success", {"error": "the source is down"}, False),
            ("success", {"tags": (TagResult.failed("v1", "no", "refused"),)}, False),
            ("success", {"dry_run": True}, False),
            ("failed", {"tags": (NOT_SIGNED,), "lacking": LACKING}, True),
            ("skipped", {"tags": (NOT_SIGNED,), "lacking": LACKING}, False),
            ("failed", {"tags": (NOT_SIGNED,), "lacking": LACKING, "dry_run": True}, False),
            ("failed", {"tags": (NOT_SIGNED,), "lacking": LACKING, "retry_at": at(15)}, False),
            ("failed", {"tags": (NOT_SIGNED, TagResult.failed("v1", "no", "refused")), "lacking": LACKING}, False),
        ],
    )
    def test_only_what_its_report_says_too(self, state: str, fields: dict[str, Any], is_finished: bool) -> None:
        reports = [self.report("team/a", **fields), self.report("team/b")]
        finished = finished_routes(self.routes(), reports, [state, "success"])
        a, b = route_key(a_route("team/a")), route_key(a_route("team/b"))
        assert finished == ({a, b} if is_finished else {b})

    def test_a_route_without_a_report_is_not(self) -> None:
        finished = finished_routes(self.routes(), [self.report("team/b")], ["success", "success"])
        assert finished == {route_key(a_route("team/b"))}


MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
BEFORE = RunInterval(
    run_type="scheduled", start=datetime(2026, 3, 1, 22, tzinfo=UTC), end=datetime(2026, 3, 1, 23, tzinfo=UTC)
)
OVER = RunInterval(run_type="scheduled", start=MIDNIGHT, end=datetime(2026, 3, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("run", "asked", "expected"),
    [
        (OVER, WindowRequest(), True),
        (BEFORE, WindowRequest(), False),
        (RunInterval(run_type="manual"), WindowRequest(), False),
        (RunInterval(run_type="manual"), WindowRequest(window="all"), True),
        (OVER, WindowRequest(window="from_to", start=MIDNIGHT), False),
        (RunInterval(run_type="backfill", start=OVER.start, end=OVER.end), WindowRequest(), False),
    ],
)
def test_a_full_check_is_one_that_the_run_requests(run: RunInterval, asked: WindowRequest, *, expected: bool) -> None:
    """A run by hand compares all tags, without the further requests of a full check."""
    assert window_of_run(run, asked, "@daily").is_full_check is expected


@pytest.mark.parametrize("window", [Window(reason="a", is_full_check=True), Window(reason="b", start=MIDNIGHT)])
def test_a_window_comes_back_from_json(window: Window) -> None:
    assert Window.from_json(json.loads(json.dumps(window.to_json()))) == window


class TestComparesNames:
    """Tags that ``on_moved_tag`` keeps are compared by name only until the next full check."""

    @pytest.mark.parametrize("window", [scheduled(13, 14), NO_PUSH_TIMES])
    @pytest.mark.parametrize(
        ("run_type", "until", "full_check", "expected"),
        [
            ("scheduled", 13, "@daily", True),
            ("scheduled", 3, "@daily", True),
            ("scheduled", 13, "0 14 * * *", True),
            ("scheduled", 13, "30 13 * * *", False),
            ("scheduled", 3, "0 4 * * *", False),
            ("scheduled", -1, "@daily", False),
            ("scheduled", 15, "30 13 * * *", False),
            ("scheduled", 13, None, False),
            ("backfill", 13, "@daily", False),
            ("manual", 13, "@daily", False),
        ],
    )
    def test_between_full_checks(
        self, window: Window, run_type: str, until: float, full_check: str | None, expected: bool
    ) -> None:
        run, route = RunInterval(run_type=run_type, start=at(13), end=at(14)), a_route()
        assert compares_names(run, window, route, in_sync(until, route), full_check) is expected

    def test_not_after_a_run_that_did_not_finish(self) -> None:
        run = RunInterval(run_type="scheduled", start=at(13), end=at(14))
        assert not compares_names(run, NO_PUSH_TIMES, a_route(), None, "@daily")
        assert not compares_names(run, NO_PUSH_TIMES, a_route(), in_sync(13, a_route("team/other")), "@daily")

    def test_not_in_a_full_check(self) -> None:
        run = RunInterval(run_type="scheduled", start=at(13), end=at(14))
        window = Window(reason="full check, because signatures was changed", is_full_check=True)
        assert not compares_names(run, window, a_route(), in_sync(13, a_route()), "@daily")

    def test_not_by_hand(self) -> None:
        assert not compares_names(
            RunInterval(run_type="manual"), Window(reason="manual run"), a_route(), in_sync(13, a_route()), "@daily"
        )
