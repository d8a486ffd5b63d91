"""Pulls that are left to machines: what is believed, for how long, and what killed tasks held."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from registry_sync.errors import RateLimited
from registry_sync.registry.wire.pull_budget import FRESH_SECONDS, PullBudget, PullLimit, parse_pull_limit
from registry_sync.registry.wire.shared_state import SharedState


@pytest.mark.parametrize(
    ("limit", "remaining", "parsed"),
    [
        ("100;w=21600", "76;w=21600", (100, 76, 21600)),
        ("200; w=21600", "0; w=21600", (200, 0, 21600)),
        ("100, 100;w=3600", "7, 7;w=3600", (100, 7, 3600)),
        ("100;w=21600", "", None),
        ("", "76;w=21600", None),
        ("100", "76", None),
        ("unlimited;w=1", "76;w=1", None),
        ("-5;w=21600", "-5;w=21600", None),
        ("1e3;w=21600", "76;w=21600", None),
    ],
)
def test_the_headers_of_a_pull_limit(limit: str, remaining: str, parsed: tuple[int, int, int] | None) -> None:
    headers = {"RateLimit-Limit": limit, "RateLimit-Remaining": remaining}
    expected = parsed and PullLimit(limit=parsed[0], remaining=parsed[1], window_seconds=parsed[2])
    assert parse_pull_limit(headers) == expected


class Hub:
    """A registry that counts pulls, and the HEADs that ask for its limit."""

    def __init__(self, limit: int, used: int = 0) -> None:
        self.limit, self.used, self.asked = limit, used, 0

    def headers(self) -> Mapping[str, str]:
        left = self.limit - self.used
        return {"RateLimit-Limit": f"{self.limit};w=21600", "RateLimit-Remaining": f"{left};w=21600"}

    def ask(self) -> Mapping[str, str]:
        self.asked += 1
        return self.headers()

    def pull(self, budget: PullBudget, count: int = 1, *, by_skopeo: bool = False) -> None:
        with budget.hold(count, self.ask) as held:
            self.used += count
            held.reported = None if by_skopeo else self.headers()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A clock that tests set, and a shared directory of their own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("registry_sync.registry.wire.pull_budget.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def budget(clock: SimpleNamespace) -> PullBudget:  # noqa: ARG001 - has the directory of the state
    return PullBudget("docker.io", "acme", 50)


def test_what_is_known_is_asked_for_again_when_it_is_old(budget: PullBudget, clock: SimpleNamespace) -> None:
    hub = Hub(100)
    hub.pull(budget)
    hub.pull(budget)
    assert hub.asked == 1
    clock.now += FRESH_SECONDS + 1
    hub.used += 40  # by machines
    with pytest.raises(RateLimited) as caught:
        hub.pull(budget, 9)
    assert hub.asked == 2
    assert str(caught.value) == (
        "docker.io has 58 of 100 pulls in 6 h left for user 'acme', and keep_pulls keeps 50 of them for machines; this "
        "needs 9, and goes on when the limit's window has moved"
    )


def test_copies_by_skopeo_are_subtracted_until_a_response_says_more(budget: PullBudget, clock: SimpleNamespace) -> None:
    hub = Hub(100)
    for _ in range(4):
        clock.now += 1
        hub.pull(budget, 11, by_skopeo=True)
    assert hub.asked == 1
    with pytest.raises(RateLimited):
        hub.pull(budget, 11, by_skopeo=True)
    assert (hub.used, hub.asked) == (44, 2), "before a task waits, the registry is asked"
    hub.used = 0
    hub.pull(budget, 11, by_skopeo=True)
    assert (hub.used, hub.asked) == (11, 3)


def test_a_late_response_raises_nothing(budget: PullBudget, clock: SimpleNamespace) -> None:
    """Of two pulls at the same time, the response to the first may be read after that to the second."""
    hub = Hub(100, used=48)
    with budget.hold(1, hub.ask) as first:
        first.reported = hub.headers()  # as if it were sent before the second was counted
        clock.now += 1
        hub.pull(budget)
    clock.now += 1
    hub.pull(budget)
    with pytest.raises(RateLimited):
        hub.pull(budget)
    assert hub.used == 50


def test_what_a_killed_task_held_is_free_after_an_hour(budget: PullBudget, clock: SimpleNamespace) -> None:
    hub = Hub(100)
    stopped = budget.hold(45, hub.ask)
    stopped.__enter__()
    with pytest.raises(RateLimited):
        hub.pull(PullBudget("docker.io", "acme", 50), 10)
    clock.now += 3601
    hub.pull(PullBudget("docker.io", "acme", 50), 10)
    assert hub.used == 10


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[1, 2, 3, 4]", "[[1], 0, 0, {}]", '[null, "x", 0, {}]', "[null, 0, 0, 5]"]
)
def test_a_state_that_cannot_be_read_is_a_new_one(budget: PullBudget, tmp_path: Path, text: str) -> None:
    hub = Hub(100)
    hub.pull(budget)
    (file,) = tmp_path.glob("*/pulls-docker.io-acme")
    file.write_text(text)
    hub.pull(budget)
    assert (hub.used, hub.asked) == (2, 2)


def test_an_account_without_a_limit_is_asked_once_a_minute(budget: PullBudget) -> None:
    asked = list[int]()

    def ask() -> Mapping[str, str]:
        asked.append(1)
        return {}

    for _ in range(3):
        with budget.hold(500, ask) as held:
            held.reported = {}
    assert len(asked) == 1
    assert budget.unknown_note == "docker.io reports no pull limit for user 'acme', so keep_pulls keeps nothing"


def test_an_error_about_one_image_is_no_news_of_the_account(budget: PullBudget) -> None:
    """The limit is asked for again by the next pull, and what was known of it before remains."""
    hub = Hub(100, used=45)
    for _ in range(2):
        with budget.hold(1, lambda: None) as held:
            held.reported = None
    hub.pull(budget)
    assert (hub.used, hub.asked) == (46, 1)


def test_a_response_without_a_limit_does_not_end_a_known_one(budget: PullBudget, clock: SimpleNamespace) -> None:
    """Such as one of a cache on the way. A HEAD without a limit does, a minute later."""
    hub = Hub(100, used=48)
    for _ in range(2):
        with budget.hold(1, hub.ask) as held:
            hub.used += 1
            held.reported = {}
    with pytest.raises(RateLimited, match="has 50 of 100 pulls in 6 h left"):
        hub.pull(budget)
    clock.now += 61
    with budget.hold(500, dict) as held:
        held.reported = {}
    assert hub.used == 50


def test_many_tasks_hold_pulls_at_once(budget: PullBudget) -> None:
    hub = Hub(1000)
    with ExitStack() as stack:
        for _ in range(950):
            stack.enter_context(budget.hold(1, hub.ask))
        with pytest.raises(RateLimited, match="has 50 of 1000 pulls in 6 h left"):
            hub.pull(budget)


def test_states_of_two_names_have_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, other = (SharedState(name, "", str, str) for name in ("pulls-a", "pulls-b"))
    one.update(lambda _: ("x", None))
    assert (one.read(), other.read()) == ("x", "")
