"""The tasks of a DAG for pushes, through Airflow's own task runner and over real registries."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow.sdk import DAG
from airflow.sdk.execution_time.comms import DeferTask
from airflow.sdk.execution_time.supervisor import TaskRunResult

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.airflow.ids import PUSHED_KEY, dag_id, pushes_dag_id
from registry_sync.airflow.pushes.assets import pushes_asset
from registry_sync.airflow.pushes.dag import build_pushes_dag
from registry_sync.airflow.pushes.received import MAX_TAGS
from registry_sync.events.event_extra import parse_extra
from registry_sync.routes.load import load_mirrors
from registry_sync.state.document import as_document, read_document
from registry_sync.state.names import DESTINATION_KEY, asset_name, pushes_asset_name
from registry_sync.state.pushes import EVENTS_KEY, LOST_KEY, LastEvents, LostEvents
from testkit import images
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.task_runner import FakeApi, asset_event, run, trigger_arguments
from testkit.waiting import PATIENCE_SECONDS
from tests.integration.test_operators import COPY, PLAN

pytestmark = pytest.mark.usefixtures("minimal_jitter")

PUSHES, CHANGES = "pushes", "changes"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = datetime.now(UTC) - timedelta(minutes=1)


def push(source: RegistryProcess, name: str, *tags: str) -> None:
    for tag in tags:
        images.push(source.url, name, tag, images.image([], labels={"tag": tag}))


def tags_of(url: str, name: str) -> list[str]:
    answer = requests.get(f"{url}/v2/{name}/tags/list", timeout=PATIENCE_SECONDS)
    return sorted(answer.json().get("tags") or [])


def an_extra(*pushes: Mapping[str, Any], registry: str = "origin") -> dict[str, Any]:
    return {"registry": registry, "received_at": NOON.isoformat(), "pushes": list(pushes)}


def an_event(extra: Any, at: datetime = LONG_AGO, *, task: str | None = None) -> dict[str, Any]:
    asset = pushes_asset("team")
    return asset_event(asset.name, asset.uri, extra, at, task=task)


@dataclass(kw_only=True)
class World:
    """The DAGs of the mirror ``team``, and the fake of Airflow's API in which each run is another one."""

    polls: DAG
    pushes: DAG
    stored: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = FakeApi(dag_id=self.pushes.dag_id, stored=self.stored)

    def receive(self, *events: Mapping[str, Any]) -> TaskRunResult:
        """Start a run for events, and run its first task."""
        self.api = FakeApi(dag_id=self.pushes.dag_id, stored=self.stored, triggering=events)
        return run(self.pushes, PUSHES, self.api)

    def go_on(self) -> list[str]:
        """Run the other tasks of a run for pushes, and return the states of its mapped tasks."""
        assert run(self.pushes, PLAN, self.api).state == "success"
        return self._copy(self.pushes)

    def poll(self) -> list[str]:
        """Run the mirror's other DAG."""
        self.api = FakeApi(dag_id=self.polls.dag_id, stored=self.stored)
        assert run(self.polls, PLAN, self.api).state == "success"
        return self._copy(self.polls)

    def _copy(self, dag: DAG) -> list[str]:
        count = len(self.api.xcoms[PLAN, -1, "return_value"])
        states = [run(dag, COPY, self.api, map_index=number).state for number in range(count)]
        self.api.states = {PLAN: "success", **{f"{COPY}_{number}": state for number, state in enumerate(states)}}
        return states

    def report(self) -> TaskRunResult:
        dag = self.pushes if self.api.dag_id == self.pushes.dag_id else self.polls
        return run(dag, "report", self.api)

    def changes(self, events: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
        """Run the task that emits events, and return those that it emitted."""
        self.api.asset_events = {pushes_asset_name("team"): events}
        dag = self.pushes if self.api.dag_id == self.pushes.dag_id else self.polls
        assert run(dag, CHANGES, self.api).state == "success"
        return list(self.api.messages[-1]["outlet_events"])

    @property
    def looked_at(self) -> dict[str, list[str]]:
        """The repositories of the run, each with the tags that it looks at."""
        rows = map(json.loads, self.api.xcoms.get((PLAN, -1, "routes_0"), []))
        return {row["route"]["source_repository"]: row["scope"]["tags"] for row in rows}


NewWorld = Callable[..., World]


@pytest.fixture
def new_world(tmp_path: Path) -> NewWorld:
    def new(
        source: RegistryProcess | Interceptor,
        destination: RegistryProcess | Interceptor,
        *repositories: Any,
        others: Mapping[str, Any] | None = None,
        registries: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> World:
        events = {"webhook": {"secret": "origin_webhook"}}
        named = {
            **(registries or {}),
            "origin": {"host": source.host, "tls": False, "events": events},
            "backup": {"host": destination.host, "tls": False},
        }
        mirror = {"source": "origin", "destinations": ["backup"], "repositories": list(repositories), **options}
        path = tmp_path / "mirrors.yaml"
        path.write_text(json.dumps({"registries": named, "mirrors": {"team": mirror, **(others or {})}}))
        file = load_mirrors(path)
        team = file.mirrors["team"]
        return World(polls=build_dag(team, file), pushes=build_pushes_dag(team, file))

    return new


def test_a_run_copies_the_pushed_tags_alone(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    push(source, name, "v1", "v2", "v3")
    team = new_world(source, wire, name)
    one, two = ({"repository": name, "tags": [tag]} for tag in ("v1", "v3"))
    gone = {"repository": name, "tags": ["gone"]}
    assert team.receive(an_event(an_extra(one)), an_event(an_extra(two, one, gone))).state == "success"
    assert team.go_on() == ["success"]
    assert team.looked_at == {name: ["gone", "v1", "v3"]}
    assert tags_of(wire.url, name) == ["v1", "v3"]
    assert f"{source.host}/{name}: the source does not have the pushed tags gone" in caplog.messages


def test_no_names_of_tags_are_all_tags(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
) -> None:
    push(source, name, "v1", "v2")
    team = new_world(source, wire, name)
    assert team.receive(an_event(an_extra({"repository": name, "tags": None}))).state == "success"
    assert team.go_on() == ["success"]
    assert tags_of(wire.url, name) == ["v1", "v2"]


@pytest.mark.parametrize(
    "extra",
    [
        an_extra({"repository": "other/app", "tags": ["v1"]}),
        an_extra({"repository": "other/app", "tags": None}),
        an_extra({"repository": "team/app", "tags": ["v1"]}, registry="backup"),
        an_extra({"repository": "team/app", "tags": []}),
        an_extra({"repository": "../app", "tags": ["v1"]}),
        an_extra(),
        {"anything": ["else"]},
        {},
    ],
)
def test_a_run_without_anything_to_look_at_ends_at_once(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, extra: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    team = new_world(source, wire, "team/app")
    assert team.receive(an_event(extra)).state == "success"
    assert sorted(team.api.skipped) == sorted([PLAN, COPY, CHANGES, "report"])
    assert "Nothing to do: the events name no repository that the mirrors file chooses" in capsys.readouterr().out
    assert wire.requests() == []


def test_tags_that_the_rules_do_not_select_are_left_out(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    push(source, name, "v1.0.0", "v2.0.0", "dev")
    team = new_world(source, wire, {"repository": name, "tags": {"semver": "*", "newest": 1}})
    event = an_event(an_extra({"repository": name, "tags": ["v1.0.0", "dev"]}))
    assert team.receive(event).state == "success"
    assert team.go_on() == ["success"]
    assert team.looked_at == {name: ["v1.0.0"]}, "newest needs all tags, a version does not"
    assert f"{source.host}/{name}:dev is not selected: not a version" in capsys.readouterr().out
    assert tags_of(wire.url, name) == []


def test_the_wait_counts_from_the_last_event_and_takes_no_worker(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    team = new_world(source, wire, name)
    extra, now = an_extra({"repository": name, "tags": ["v1"]}), datetime.now(UTC)
    result = team.receive(an_event(extra, now - timedelta(seconds=5)), an_event(extra, now))
    assert isinstance(result.msg, DeferTask)
    arguments = trigger_arguments(result.msg)
    assert arguments == {"resume_at": (now + timedelta(seconds=10)).isoformat(), "ends_task": True}
    until = f"{now + timedelta(seconds=10):%H:%M:%S}"
    assert f"The run waits until {until} UTC for what belongs to the pushes" in capsys.readouterr().out
    own = team.receive(an_event(extra, now, task="changes"))
    assert own.state == "success", "our own tasks push the tag last"


def test_an_event_of_the_future_does_not_wait_for_it(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
) -> None:
    """The clock of an API server may be ahead of that of a worker."""
    team = new_world(source, wire, name)
    before = datetime.now(UTC)
    event = an_event(an_extra({"repository": name, "tags": ["v1"]}), before + timedelta(days=1))
    result = team.receive(event)
    after = datetime.now(UTC)
    assert isinstance(result.msg, DeferTask)
    resume_at = datetime.fromisoformat(str(trigger_arguments(result.msg)["resume_at"]))
    assert before + timedelta(seconds=10) <= resume_at <= after + timedelta(seconds=10)
    stored = read_document(LastEvents, team.stored[pushes_asset_name("team"), EVENTS_KEY])
    assert stored.received_at is not None
    assert stored.received_at <= after


def test_more_tags_than_are_looked_at_singly_are_not_kept(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
) -> None:
    team = new_world(source, wire, name)
    tags = [f"v{number}" for number in range(MAX_TAGS + 1)]
    few, many = tags[:MAX_TAGS], tags[MAX_TAGS - 1 :]
    events = [
        an_event(an_extra({"repository": name, "tags": few[start : start + 50]})) for start in range(0, MAX_TAGS, 50)
    ]
    assert team.receive(*events).state == "success"
    assert team.api.xcoms[PUSHES, -1, PUSHED_KEY] == {name: sorted(few)}
    assert team.receive(*events, an_event(an_extra({"repository": name, "tags": many}))).state == "success"
    assert team.api.xcoms[PUSHES, -1, PUSHED_KEY] == {name: None}


def test_a_signature_stands_for_its_image(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
) -> None:
    digest = images.push(source.url, name, "v1", images.image([], labels={"tag": "v1"}))
    team = new_world(source, wire, name)
    assert team.receive(an_event(an_extra({"repository": name, "tags": ["v1"]}))).state == "success"
    assert team.go_on() == ["success"]
    signature = f"sha256-{digest.encoded}.sig"
    images.push(source.url, name, signature, images.image([], labels={"signs": "v1"}))
    assert team.receive(an_event(an_extra({"repository": name, "tags": [signature]}))).state == "success"
    assert team.go_on() == ["success"]
    assert tags_of(wire.url, name) == [signature, "v1"]


def test_a_new_repository_of_a_namespace_is_copied_without_a_listing(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
) -> None:
    namespace = name.partition("/")[2]
    push(source, f"{namespace}/new", "v0", "v1")
    push(source, f"{namespace}/secret", "v1")
    with Interceptor(source.url) as front:
        team = new_world(front, wire, {"namespace": namespace, "exclude": ["secret"]})
        pushes = [{"repository": f"{namespace}/{each}", "tags": ["v1"]} for each in ("new", "secret", "gone")]
        assert team.receive(an_event(an_extra(*pushes))).state == "success"
        assert team.go_on() == ["success", "success"]
        assert sorted(team.looked_at) == [f"{namespace}/gone", f"{namespace}/new"]
        assert [request.path for request in front.requests() if "_catalog" in request.path] == []
        assert tags_of(wire.url, f"{namespace}/new") == ["v0", "v1"]
        assert team.report().state == "success"
        rows = team.stored[asset_name("team", "backup"), "routes 0"]["routes"]
        assert {row["complete_at"] is not None for row in rows.values()} == {True}, "pages show no unknown state"
        push(source, f"{namespace}/new", "v2", "v3")
        assert team.receive(an_event(an_extra({"repository": f"{namespace}/new", "tags": ["v2"]}))).state == "success"
        assert team.go_on() == ["success"]
    assert tags_of(wire.url, f"{namespace}/new") == ["v0", "v1", "v2"]


def test_a_repository_that_was_missing_is_well_again_after_its_first_push(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All its tags are compared, not only the pushed one: that shows that the route is well as a whole."""
    team = new_world(source, wire, name)
    assert team.poll() == ["failed"]
    team.report()
    index = asset_name("team", "backup"), "routes 0"
    assert team.stored[index]["routes"][name]["failing_since"]
    push(source, name, "v1", "v2")
    assert team.receive(an_event(an_extra({"repository": name, "tags": ["v1"]}))).state == "success"
    assert team.go_on() == ["success"]
    assert team.report().state == "success"
    assert "failed as a whole in an earlier run, so all its tags are compared" in capsys.readouterr().out
    row = team.stored[index]["routes"][name]
    assert (row.get("failing_since"), row["in_sync"], row["selected"]) == (None, 2, 2)
    assert row["complete_at"]
    assert tags_of(wire.url, name) == ["v1", "v2"]


def test_a_failing_tag_is_well_again_after_its_push_and_others_stay(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
) -> None:
    push(source, name, "v1", "v2")
    team = new_world(source, wire, name)
    for tag in ("v1", "v2"):
        wire.answer("PUT", f"/manifests/{tag}$", 400)
    assert team.poll() == ["failed"]
    team.report()
    wire.clear_rules()
    assert team.receive(an_event(an_extra({"repository": name, "tags": ["v1"]}))).state == "success"
    assert team.go_on() == ["success"]
    team.report()
    assert team.looked_at == {name: ["v1"]}
    state = team.stored[asset_name("team", "backup"), name]
    assert [problem["tag"] for problem in state["problems"]] == ["v2"]
    assert (state["in_sync"], state["failing"]) == (1, 1)


def test_a_renamed_namespace_is_listed(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
) -> None:
    """Two repositories could become one, and neither must take the place of the other."""
    namespace = name.partition("/")[2]
    push(source, f"{namespace}/a/app", "v1")
    push(source, f"{namespace}/b/app", "v1")
    team = new_world(source, wire, {"namespace": namespace, "rename": "copies/{{ name }}"})
    event = an_event(an_extra({"repository": f"{namespace}/b/app", "tags": ["v1"]}))
    assert team.receive(event).state == "success"
    assert team.go_on() == []
    assert "none of them is" in team.api.xcoms[PLAN, -1, "failed_repositories"][0]["error"]


def test_a_disabled_mirror_copies_nothing(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    team = new_world(source, wire, "team/app", enabled=False)
    assert team.receive(an_event(an_extra({"repository": "team/app", "tags": ["v1"]}))).state == "success"
    assert "Nothing to do: the mirror is disabled; nothing is copied" in capsys.readouterr().out
    assert sorted(team.api.skipped) == sorted([PLAN, COPY, CHANGES, "report"])


def test_the_last_run_of_a_destination_stays_the_one_of_the_schedule(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
) -> None:
    """A missing run of the schedule is noticed by the age of the last one."""
    push(source, name, "v1")
    team = new_world(source, wire, name)
    assert team.poll() == ["success"]
    assert team.report().state == "success"
    place = asset_name("team", "backup"), DESTINATION_KEY
    before = dict(team.stored[place])
    push(source, name, "v2")
    assert team.receive(an_event(an_extra({"repository": name, "tags": ["v2"]}))).state == "success"
    assert team.go_on() == ["success"]
    assert team.report().state == "success"
    after = team.stored[place]
    assert {key for key in after if after[key] != before.get(key)} <= {"changed_at"}
    assert team.stored[asset_name("team", "backup"), "routes 0"]["routes"][name]["in_sync"] == 2


def test_the_last_events_are_remembered(
    source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
) -> None:
    team = new_world(source, wire, name)
    extra = an_extra({"repository": "other/app", "tags": ["v1"]})
    team.receive(an_event(extra, NOON), an_event(extra, NOON + timedelta(minutes=1), task="changes"))
    team.receive(an_event(extra, NOON - timedelta(minutes=5)), an_event({}, NOON + timedelta(hours=1)))
    stored = read_document(LastEvents, team.stored[pushes_asset_name("team"), EVENTS_KEY])
    assert stored == LastEvents(received_at=NOON, chained_at=NOON + timedelta(minutes=1))


class TestChain:
    def test_mirrors_that_read_from_the_destination_are_told(
        self, source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
    ) -> None:
        push(source, name, "v1", "v2")
        after = {
            "source": "backup",
            "destinations": ["origin"],
            "repositories": [{"repository": name, "rename": "x/y"}],
        }
        others = {"told": {**after, "events": {"webhook": {"secret": "w"}}}, "silent": {**after, "events": None}}
        team = new_world(source, wire, name, others=others)
        assert team.receive(an_event(an_extra({"repository": name, "tags": ["v1", "v2"]}))).state == "success"
        assert team.go_on() == ["success"]
        told = [event for event in team.changes() if event["dest_asset_key"]["name"].startswith("registry_sync pushes")]
        assert [event["dest_asset_key"]["name"] for event in told] == ["registry_sync pushes told"]
        event = parse_extra(told[0]["extra"])
        assert event is not None
        assert [(push.repository, push.tags) for push in event.pushes] == [(name, ("v1", "v2"))]
        assert event.registry == "backup"

    def test_a_registry_with_two_names_is_one(
        self, source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
    ) -> None:
        """Teams have a login to write to a registry, and another one to read from it."""
        push(source, name, "v1")
        registries = {"reader": {"host": wire.host, "tls": False, "events": {"chain": True}}}
        after = {
            "source": "reader",
            "destinations": ["origin"],
            "repositories": [{"repository": name, "rename": "x/y"}],
        }
        team = new_world(source, wire, name, others={"told": after}, registries=registries)
        assert team.receive(an_event(an_extra({"repository": name, "tags": ["v1"]}))).state == "success"
        assert team.go_on() == ["success"]
        told = [event for event in team.changes() if event["dest_asset_key"]["name"] == pushes_asset_name("told")]
        events = [parse_extra(event["extra"]) for event in told]
        assert [event and (event.registry, event.pushes[0].repository) for event in events] == [("reader", name)]

    def test_a_loop_ends_when_nothing_changes(
        self, source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
    ) -> None:
        push(source, name, "v1")
        back = {"source": "backup", "destinations": ["origin"], "repositories": [{"repository": name, "rename": "x/y"}]}
        team = new_world(source, wire, name, others={"back": {**back, "events": {"webhook": {"secret": "w"}}}})
        event = an_event(an_extra({"repository": name, "tags": ["v1"]}))
        for expected in (2, 0):
            assert team.receive(event).state == "success"
            assert team.go_on() == ["success"]
            assert len(team.changes()) == expected


class TestLostEvents:
    @pytest.fixture
    def team(self, source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str) -> World:
        """A mirror whose route was looked at ten minutes ago, and whose source has two more tags since."""
        push(source, name, "v1")
        team = new_world(source, wire, name)
        assert team.poll() == ["success"]
        route = team.stored[asset_name("team", "backup"), name]
        long_ago = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
        team.stored[asset_name("team", "backup"), name] = {**route, "looked_at": long_ago, "complete_at": long_ago}
        push(source, name, "v2", "v3")
        return team

    def lost(self, team: World) -> LostEvents:
        document = team.stored.get((pushes_asset_name("team"), LOST_KEY))
        return LostEvents() if document is None else read_document(LostEvents, document)

    def test_tags_that_no_event_named_are_counted(self, team: World, name: str) -> None:
        assert team.poll() == ["success"]
        team.changes([an_event(an_extra({"repository": name, "tags": ["v2"]}))])
        lost = self.lost(team)
        assert (lost.total, [(tag.repository, tag.tag) for tag in lost.tags]) == (1, [(name, "v3")])

    @pytest.mark.parametrize(
        ("repository", "tags", "minutes", "total"),
        [("", None, 1, 0), ("", ["v2", "v3"], 15, 0), ("", ["v2", "v3"], 60, 2), ("other/app", None, 1, 2)],
    )
    def test_an_event_counts_for_its_names_and_its_time(
        self, team: World, name: str, repository: str, tags: Any, minutes: int, total: int
    ) -> None:
        assert team.poll() == ["success"]
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        team.changes([an_event(an_extra({"repository": repository or name, "tags": tags}), at)])
        assert self.lost(team).total == total

    def test_a_message_of_a_queue_counts_too(self, team: World, name: str) -> None:
        assert team.poll() == ["success"]
        events = [{"action": "push", "target": {"repository": name, "tag": tag}} for tag in ("v2", "v3")]
        team.changes([an_event({"from_trigger": True, "payload": {"events": events}})])
        assert self.lost(team).total == 0

    def test_first_run_of_a_route_finds_none(
        self, source: RegistryProcess, wire: Interceptor, new_world: NewWorld, name: str
    ) -> None:
        push(source, name, "v1", "v2")
        team = new_world(source, wire, name)
        assert team.poll() == ["success"]
        team.changes()
        assert self.lost(team).total == 0

    def test_later_ones_are_added(self, team: World) -> None:
        assert team.poll() == ["success"]
        team.changes()
        team.stored[pushes_asset_name("team"), LOST_KEY] = as_document(self.lost(team))
        assert team.poll() == ["success"]
        team.changes()
        assert self.lost(team).total == 2


def test_airflow_starts_it_for_events_only(source: RegistryProcess, wire: Interceptor, new_world: NewWorld) -> None:
    team = new_world(source, wire, "team/app", owner="platform", dag_tags=["images"])
    dag = team.pushes
    assert (dag.dag_id, team.polls.dag_id) == (pushes_dag_id("team"), dag_id("team"))
    assert (dag.max_active_runs, dag.tags, dag.catchup) == (1, team.polls.tags, False)
    assert list(dag.allowed_run_types or ()) == ["asset_triggered"]
    assert {task.owner for task in dag.tasks} == {"platform"}
    assert {name: task.pool for name, task in dag.task_dict.items()} == {
        PUSHES: "default_pool",
        **{name: task.pool for name, task in team.polls.task_dict.items()},
    }
