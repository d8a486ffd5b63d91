"""From a push to the tags at the destinations: a real Airflow, and a registry that sends its own notifications."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from registry_sync.events.addresses import Address
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.airflow_api import AirflowApiError
from testkit.registry import Notified, RegistryProcess
from testkit.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.timeout(300)

SECRET = "a-secret-of-the-webhook"
APP = images.multi_arch("app")
STORM = 1_000
PATIENCE = 240.0


@dataclass(frozen=True, kw_only=True)
class World:
    """Three registries in a row, with a mirror between each two."""

    origin: RegistryProcess
    hub: RegistryProcess
    last: RegistryProcess
    airflow: LocalAirflow
    address: str

    def send(self, document: Any, *, address: str = "", secret: str = SECRET) -> requests.Response:
        """Send a request to the receiver, as a registry does."""
        headers = {"Authorization": secret}
        return requests.post(address or self.address, json=document, headers=headers, timeout=PATIENCE_SECONDS)

    def runs(self, mirror: str) -> list[dict[str, Any]]:
        return self.airflow.api.dag_runs(f"mirror_{mirror}_pushes")

    def wait_for_runs(self, mirror: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until at least ``count`` runs for pushes have come, and all have ended."""

        def ended() -> list[dict[str, Any]] | None:
            runs = self.runs(mirror)
            return runs if len(runs) >= count and all(run["state"] in ("success", "failed") for run in runs) else None

        return wait_until(ended, f"{count} runs of {mirror} have ended", seconds=PATIENCE)

    def wait_for_tags(self, registry: RegistryProcess, name: str, *tags: str) -> None:
        def found() -> bool:
            return set(tags) <= set(tags_of(registry, name))

        wait_until(found, f"{name} has its tags", seconds=PATIENCE, seen=lambda: tags_of(registry, name)[:10])


def tags_of(registry: RegistryProcess, name: str) -> list[str]:
    answer = requests.get(f"{registry.url}/v2/{name}/tags/list", timeout=PATIENCE_SECONDS)
    return list(answer.json().get("tags") or [])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("pushes")
    file = folder / "mirrors.yaml"
    airflow = LocalAirflow(
        folder / "home", mirrors_file=file, connections={"webhook": {"conn_type": "generic", "password": SECRET}}
    )
    address = airflow.url + Address(scope="registry", name="origin").path(SECRET)
    with ExitStack() as opened:
        notified = Notified(url=address, headers={"Authorization": SECRET})
        origin = opened.enter_context(RegistryProcess(notifies=notified))
        hub, last = (opened.enter_context(RegistryProcess()) for _ in range(2))
        file.write_text(json.dumps(a_mirrors_file(origin, hub, last)))
        opened.enter_context(airflow)
        built = World(origin=origin, hub=hub, last=last, airflow=airflow, address=address)
        for name in ("mirror_first_pushes", "mirror_second_pushes"):
            airflow.api.wait_for_dag(name)
        yield built


def a_mirrors_file(origin: RegistryProcess, hub: RegistryProcess, last: RegistryProcess) -> dict[str, Any]:
    events = {"webhook": {"secret": "webhook"}, "settle": "2s"}
    return {
        "registries": {
            "origin": {"host": origin.host, "tls": False, "events": events},
            "hub": {"host": hub.host, "tls": False, "events": {"chain": True}},
            "last": {"host": last.host, "tls": False},
        },
        "mirrors": {
            "first": {
                "source": "origin",
                "destinations": ["hub"],
                "repositories": [{"namespace": "team"}, "storm/app"],
            },
            "second": {"source": "hub", "destinations": ["last"], "repositories": [{"namespace": "team"}]},
        },
    }


def test_a_push_goes_through_three_registries(world: World) -> None:
    """The registry's own notification starts it, a new repository of a namespace included."""
    images.push(world.origin.url, "team/app", "v1", APP)
    world.wait_for_tags(world.hub, "team/app", "v1")
    world.wait_for_tags(world.last, "team/app", "v1")
    runs = [*world.wait_for_runs("first"), *world.wait_for_runs("second")]
    assert [run["state"] for run in runs] == ["success", "success"]
    assert images.resolve(world.last.url, "team/app", "v1") == APP.digest
    first = world.runs("first")[0]
    tasks = world.airflow.api.task_instances("mirror_first_pushes", first["dag_run_id"], "pushes")
    assert [task["state"] for task in tasks] == ["success"]
    assert "team/app: v1" in world.airflow.api.log("mirror_first_pushes", first["dag_run_id"], "pushes")


def test_the_page_has_the_age_of_the_last_event(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.airflow.api.token}"}
    rows = requests.get(
        f"{world.airflow.url}/registry-sync/api/overview", headers=headers, timeout=PATIENCE_SECONDS
    ).json()["items"]
    events = {row["mirror"]: row["events"] for row in rows}
    assert events["first"]["received_at"]
    assert not events["first"]["chained_at"]
    assert events["second"]["chained_at"]
    assert not events["second"]["received_at"]
    assert events["first"]["lost_total"] == 0
    runs = {row["mirror"]: row["dag"]["pushes"] for row in rows}
    assert (runs["first"]["dag_id"], runs["first"]["is_paused"]) == ("mirror_first_pushes", False)
    assert (runs["first"]["last_run"]["state"], runs["second"]["last_run"]["state"]) == ("success", "success")
    reasons = {row["mirror"]: row["reasons"][0] for row in rows}
    assert reasons["first"].startswith("only runs for pushes have come yet, which look at what events name; ")
    page = requests.get(f"{world.airflow.url}/registry-sync/", headers=headers, timeout=PATIENCE_SECONDS).text
    assert "last event: <time" in page
    assert "last event: from another mirror, <time" in page
    assert re.search(r"pushes: *<a [^>]*mirror_first_pushes/runs/[^>]*>✓ success</a>", page)


def test_polling_finds_what_no_event_named(world: World) -> None:
    """The hub sends no events, and somebody pushes to it beside the mirror."""
    api = world.airflow.api
    assert api.wait_for_run("mirror_second", api.trigger("mirror_second"))["state"] == "success"
    (asset,) = api.call("GET", "assets", name_pattern="registry_sync/second/last")["assets"]
    place = f"assets/{asset['id']}/state-store/team/app"
    state = api.call("GET", place)["value"]
    long_ago = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    api.call("PUT", place, json={"value": {**state, "looked_at": long_ago, "complete_at": long_ago}})
    images.push(world.hub.url, "team/app", "unnamed", images.multi_arch("unnamed"))
    run_id = api.trigger("mirror_second")
    assert api.wait_for_run("mirror_second", run_id)["state"] == "success"
    log = api.log("mirror_second", run_id, "changes")
    assert "No event named 1 tags that this run found: team/app:unnamed" in log
    api.clear("mirror_second", run_id, ["changes"])
    assert api.wait_for_run("mirror_second", run_id)["state"] == "success"
    (pushes,) = api.call("GET", "assets", name_pattern="registry_sync pushes second")["assets"]
    lost = api.call("GET", f"assets/{pushes['id']}/state-store/lost")["value"]
    assert (lost["total"], [tag["tag"] for tag in lost["tags"]]) == (1, ["unnamed"])


def test_a_person_is_told_to_trigger_the_other_dag(world: World) -> None:
    with pytest.raises(AirflowApiError, match="does not allow manual runs"):
        world.airflow.api.trigger("mirror_first_pushes")
    day = datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(AirflowApiError, match="mirror_first_pushes"):
        world.airflow.api.backfill("mirror_first_pushes", day, day)


def test_a_forged_event_changes_nothing(world: World) -> None:
    before = requests.get(f"{world.hub.url}/v2/_catalog", timeout=PATIENCE_SECONDS).json()
    body = {"repository": "team/app", "tags": ["v1", "v9"]}
    wrong = world.address[:-4] + "0000"
    assert world.send(body, address=wrong).status_code == 404
    assert world.send(body, secret="another").status_code == 401
    count = len(world.runs("first"))
    assert world.send({"repository": "other/app", "tags": ["v1"]}).status_code == 200
    assert world.send(body).status_code == 202
    last = world.wait_for_runs("first", count + 1)[-1]
    assert last["state"] == "success"
    assert "everything is in sync, nothing was copied (1 tags unchanged)" in world.airflow.api.log(
        "mirror_first_pushes", last["dag_run_id"], "report"
    )
    assert requests.get(f"{world.hub.url}/v2/_catalog", timeout=PATIENCE_SECONDS).json() == before
    assert "v9" not in tags_of(world.hub, "team/app")


def test_a_storm_is_a_few_runs_and_loses_nothing(world: World) -> None:
    before = len(world.runs("first"))
    image = images.image([], labels={"storm": "1"})
    names = [f"v{number}" for number in range(STORM)]
    images.push(world.origin.url, "storm/app", names[0], image)
    with requests.Session() as session:
        for tag in names[1:]:
            address = f"{world.origin.url}/v2/storm/app/manifests/{tag}"
            headers = {"Content-Type": image.media_type}
            session.put(address, data=image.content, headers=headers, timeout=PATIENCE_SECONDS).raise_for_status()
    world.wait_for_tags(world.hub, "storm/app", *names)
    runs = world.wait_for_runs("first", before + 1)[before:]
    # A run amid the storm may fail: docker-registry answers 500 for a digest that is just put under another tag.
    assert runs[-1]["state"] == "success"
    assert len(runs) <= 20
