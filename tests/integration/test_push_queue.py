"""A push that a queue reports: a real Redis, Airflow's triggerer and scheduler, and two registries."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from testkit import images
from testkit.airflow import LocalAirflow
from testkit.loopback import free_port
from testkit.registry import RegistryProcess
from testkit.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.timeout(300)

CHANNEL = "pushes"


def redis(port: int, *words: str) -> str:
    """Send a command to Redis, and return its response."""
    command = ["redis-cli", "-h", "127.0.0.1", "-p", str(port), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False).stdout.strip()


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """A Redis on loopback that keeps nothing, by its port."""
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder))
    with subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: redis(port, "PING") == "PONG", "Redis responds")
            yield port
        finally:
            process.terminate()


def tags_of(registry: RegistryProcess, name: str) -> list[str]:
    answer = requests.get(f"{registry.url}/v2/{name}/tags/list", timeout=PATIENCE_SECONDS)
    return sorted(answer.json().get("tags") or [])


def test_a_message_in_a_queue_starts_the_copy_of_its_tag(tmp_path: Path) -> None:
    """Messages have a registry's own form, or that of one's own CI. A tag that no message names is not copied."""
    with ExitStack() as opened:
        port = opened.enter_context(redis_server(tmp_path))
        source, destination = (opened.enter_context(RegistryProcess()) for _ in range(2))
        file = tmp_path / "mirrors.yaml"
        queue = {"scheme": "redis+pubsub", "with": {"channels": [CHANNEL], "poll_interval": 0.2}}
        registries = {
            "origin": {"host": source.host, "tls": False, "events": {"queue": queue, "settle": "0s"}},
            "backup": {"host": destination.host, "tls": False},
        }
        mirror = {"source": "origin", "destinations": ["backup"], "repositories": ["team/app"]}
        file.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
        for tag in ("v1", "v2", "v3"):
            images.push(source.url, "team/app", tag, images.image([], labels={"tag": tag}))
        connection = {"conn_type": "redis", "host": "127.0.0.1", "port": port}
        airflow = opened.enter_context(
            LocalAirflow(tmp_path / "home", mirrors_file=file, connections={"redis_default": connection})
        )
        airflow.api.wait_for_dag("mirror_team_pushes")

        def arrives(message: object, *tags: str) -> None:
            """Redis keeps no message for a trigger that starts anew after each, so it is sent until it was read."""

            def sent() -> bool:
                redis(port, "PUBLISH", CHANNEL, json.dumps(message))
                return tags_of(destination, "team/app") == list(tags)

            wait_until(sent, f"{tags} arrived")

        arrives({"repository": "team/app", "tags": ["v1"]}, "v1")
        redis(port, "PUBLISH", CHANNEL, "not one of ours")
        arrives({"events": [{"action": "push", "target": {"repository": "team/app", "tag": "v3"}}]}, "v1", "v3")
        states = {run["state"] for run in airflow.api.dag_runs("mirror_team_pushes")}
        assert states <= {"success", "running"}
