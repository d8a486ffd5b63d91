"""Deep checks: the rotation reaches every image once per cycle, whatever the schedule; state between runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_sync.config.deep_check import DeepCheckRules
from registry_sync.oci.reference import Digest
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.verification.damaged_images import (
    KEPT,
    MAX_DAMAGED_IMAGES,
    DamagedImage,
    DeepCheckResult,
    update_damaged,
)
from registry_sync.sync.verification.deep_check import (
    DeepCheck,
    DeepCheckRequest,
    Rotation,
    deep_check_of_route,
    rotation_of_run,
)
from registry_sync.sync.window import RunInterval

NIGHT = datetime(2026, 11, 25, tzinfo=UTC)
DIGESTS = st.binary(max_size=8).map(Digest.of)
SCHEDULES = st.sampled_from(["@daily", "@hourly", "@weekly", "@monthly", "30 2 * * *", "*/7 3-5 * * 1,4", "0 0 31 * *"])
SHARES = st.sampled_from([0.02, 0.1, 1 / 3, 0.999, 1.0])


def scheduled(start: datetime, end: datetime) -> RunInterval:
    return RunInterval(run_type="scheduled", start=start, end=end)


@given(digest=DIGESTS, schedule=SCHEDULES, share=SHARES, hours=st.sampled_from([6, 24, 100]))
@settings(max_examples=50)
def test_every_image_comes_round_within_a_cycle(digest: Digest, schedule: str, share: float, hours: int) -> None:
    """A cycle has 1 / share days. Runs follow each other without a gap, and so do the spans of their ticks."""
    rules = DeepCheckRules(schedule=schedule, share=share)
    spans, start = list[Rotation](), NIGHT
    while not spans or spans[-1].end - spans[0].start < timedelta(days=1 / share):
        end = start + timedelta(hours=hours)
        if rotation := rotation_of_run(scheduled(start, end), rules, None):
            spans.append(rotation)
        start = end
    assert all(later.start == earlier.end for earlier, later in pairwise(spans))
    assert any(span.includes(digest) for span in spans)


@given(digest=DIGESTS, share=SHARES)
def test_no_image_comes_round_twice_in_a_cycle(digest: Digest, share: float) -> None:
    days = [NIGHT + timedelta(days=day) for day in range(int(1 / share) + 1)]
    assert sum(Rotation(start=one, end=two, share=share).includes(digest) for one, two in pairwise(days)) <= 1


@given(digest=DIGESTS, share=SHARES)
def test_the_same_night_has_the_same_images(digest: Digest, share: float) -> None:
    nights = [Rotation(start=NIGHT, end=NIGHT + timedelta(days=1), share=share) for _ in range(2)]
    assert nights[0].includes(digest) == nights[1].includes(digest)
    assert nights[0].includes(digest) or share < 1


def test_a_night_has_about_its_share() -> None:
    night = Rotation(start=NIGHT, end=NIGHT + timedelta(days=1), share=0.1)
    chosen = sum(night.includes(Digest.of(str(number).encode())) for number in range(2000))
    assert 150 < chosen < 250


@pytest.mark.parametrize(
    ("run", "rules", "since", "expected"),
    [
        (scheduled(NIGHT, NIGHT + timedelta(hours=1)), "@daily", None, (-24, 0)),
        (scheduled(NIGHT + timedelta(hours=1), NIGHT + timedelta(hours=2)), "@daily", None, None),
        (scheduled(NIGHT, NIGHT + timedelta(hours=1)), "@daily", NIGHT - timedelta(hours=60), (-72, 0)),
        (scheduled(NIGHT, NIGHT + timedelta(hours=1)), "@daily", NIGHT + timedelta(hours=9), (-24, 0)),
        (scheduled(NIGHT, NIGHT + timedelta(hours=1)), None, None, None),
        (RunInterval(run_type="manual", start=NIGHT, end=NIGHT + timedelta(hours=1)), "@daily", None, None),
        (RunInterval(run_type="backfill", start=NIGHT, end=NIGHT + timedelta(hours=1)), "@daily", None, None),
        (RunInterval(run_type="scheduled"), "@daily", None, None),
    ],
    ids=["tick", "no tick", "missed", "ahead", "no schedule", "by hand", "backfill", "no interval"],
)
def test_the_span_of_a_run(
    run: RunInterval, rules: str | None, since: datetime | None, expected: tuple[int, int] | None
) -> None:
    rotation = rotation_of_run(run, DeepCheckRules(schedule=rules, share=0.25), since)
    hours = rotation and tuple((time - NIGHT) / timedelta(hours=1) for time in (rotation.start, rotation.end))
    assert hours == expected


A, B, C = (Digest.of(text) for text in (b"a", b"b", b"c"))


def damaged(digest: Digest, repository: str = "acr.example/team/app", at: datetime = NIGHT) -> DamagedImage:
    return DamagedImage(
        repository=repository, digest=digest, tags=("v1",), parts=(C,), problem="layer is damaged", at=at
    )


class TestDeepCheckOfRoute:
    NOW = Rotation(start=NIGHT, end=NIGHT, share=1.0)

    def test_a_request_is_for_all_images(self) -> None:
        check = deep_check_of_route(DeepCheckRequest(read_bytes=7, is_requested=True, rotation=self.NOW), [damaged(A)])
        assert check == DeepCheck(reason="requested", read_bytes=7, suspects={A: (C,)})
        assert check.includes(B)

    def test_a_share_includes_the_images_that_are_known_to_be_damaged(self) -> None:
        request = DeepCheckRequest(read_bytes=7, rotation=self.NOW, schedule="@daily")
        check = deep_check_of_route(request, [damaged(A)])
        assert check == DeepCheck(reason="@daily", read_bytes=7, rotation=self.NOW, suspects={A: (C,)})
        assert (check.includes(A), check.includes(B)) == (True, False)

    def test_damaged_images_are_checked_by_other_runs(self) -> None:
        check = deep_check_of_route(DeepCheckRequest(read_bytes=7), [damaged(A)])
        assert check is not None
        assert (check.reason, check.read_bytes) == ("found damaged by an earlier run", 0)
        assert (check.includes(A), check.includes(B)) == (True, False)

    def test_nothing_to_do(self) -> None:
        assert deep_check_of_route(DeepCheckRequest(read_bytes=7), []) is None


@pytest.mark.parametrize("rotation", [None, Rotation(start=NIGHT, end=NIGHT + timedelta(days=1), share=0.1)])
def test_the_scope_crosses_xcom(rotation: Rotation | None) -> None:
    check = DeepCheck(reason="@daily", read_bytes=5, rotation=rotation, suspects={A: (B, C)})
    scope = RouteScope(deep_check=check)
    assert RouteScope.from_json(json.loads(json.dumps(scope.to_json()))) == scope


def test_the_result_crosses_xcom() -> None:
    result = DeepCheckResult(damaged=(damaged(A),), cleared=(B,))
    assert DeepCheckResult.from_json(json.loads(json.dumps(result.to_json()))) == result


class TestUpdateDamaged:
    def test_new_images_are_added_and_whole_ones_removed(self) -> None:
        other = damaged(A, "acr.example/other/app")
        result = DeepCheckResult(damaged=(damaged(B),), cleared=(A,))
        after = update_damaged([damaged(A), other], [("acr.example/team/app", result)], NIGHT)
        assert after == (other, damaged(B))

    def test_the_last_look_counts(self) -> None:
        later = damaged(A, at=NIGHT + timedelta(days=1))
        result = DeepCheckResult(damaged=(later,))
        assert update_damaged([damaged(A)], [("acr.example/team/app", result)], NIGHT) == (later,)

    @pytest.mark.parametrize("is_first", [True, False])
    def test_another_route_to_the_repository_clears_no_damage(self, is_first: bool) -> None:
        """No tag of the other route has the image."""
        found, other = DeepCheckResult(damaged=(damaged(A),)), DeepCheckResult(cleared=(A,))
        results = [("acr.example/team/app", result) for result in ((found, other) if is_first else (other, found))]
        assert update_damaged([damaged(A)], results, NIGHT) == (damaged(A),)

    def test_old_images_are_dropped(self) -> None:
        assert update_damaged([damaged(A)], [], NIGHT + KEPT) == ()
        assert update_damaged([damaged(A)], [], NIGHT + KEPT - timedelta(seconds=1)) == (damaged(A),)

    def test_the_state_is_bounded(self) -> None:
        many = tuple(damaged(Digest.of(str(number).encode())) for number in range(2 * MAX_DAMAGED_IMAGES))
        result = DeepCheckResult(damaged=many)
        assert len(result.to_json()["damaged"]) == MAX_DAMAGED_IMAGES
        assert len(update_damaged((), [("acr.example/team/app", result)], NIGHT)) == MAX_DAMAGED_IMAGES
