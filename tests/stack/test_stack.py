"""The running stack of docker-compose.yaml: security, recovery and backups."""

from __future__ import annotations

import re
import time

import pytest
import requests
import yaml

from testkit import images
from testkit.airflow_api import AirflowApi, AirflowApiError
from testkit.waiting import wait_until
from tests.stack.docker import CommandError, Docker
from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(600)

DAG = "mirror_demo"
BIG, BOXED = "giantswarm/big", "giantswarm/boxed"
BIG_BYTES = 100_000_000
BACKUP = "/var/lib/postgresql/data/backup.dump"


def test_secrets_that_everybody_knows_start_nothing(built: Docker) -> None:
    """All refusals of secrets are in tests/unit/deploy/test_check_secrets.py."""
    stack = Stack(built, "refused")
    demo = (stack.folder / "deploy" / "demo.env").read_text()
    (stack.folder / ".env").write_text(demo.replace("COMPOSE_PROFILES=demo\n", ""))
    try:
        with pytest.raises(CommandError, match="check-secrets"):
            stack.compose("up", "-d")
        said = stack.compose("logs", "--no-color", "check-secrets")
        assert "JWT_SECRET is the demo's, which everybody knows; only the profile demo may have it" in said
        containers = built.run("ps", "--all", "--format", "{{.Names}} {{.State}}")
        assert containers == "registry-sync-demo_check-secrets_1 exited\n"
    finally:
        stack.compose("down", "-v")
        stack.remove()


def test_access_requires_the_password(stack: Stack) -> None:
    assert requests.get(f"{stack.url}/api/v2/dags", timeout=30).status_code == 401
    with pytest.raises(AirflowApiError, match=r"answered 401: .*Invalid credentials"):
        AirflowApi(stack.url, "admin", "admin").call("GET", "dags")
    assert stack.api().import_errors() == {}


def test_connections_and_pools_are_what_the_files_say(stack: Stack) -> None:
    connection = stack.api().call("GET", "connections/registry_acr")
    assert (connection["conn_type"], connection["host"], connection["login"], connection["password"]) == (
        "docker",
        "gsoci.azurecr.io",
        "mirror",
        "***",
    )
    assert stack.api().call("GET", "pools/registry_acr")["slots"] == 8
    query = "SELECT password FROM connection WHERE conn_id = 'registry_acr'"
    stored = stack.exec("postgres", "psql", "-U", "airflow", "-Atc", query)
    assert "a token's password" not in stored


def test_two_workers_mirror_from_registry_to_registry(stack: Stack) -> None:
    api = stack.api()
    run_id = first_run(api)
    assert api.wait_for_run(DAG, run_id)["state"] == "success"
    routes = api.task_instances(DAG, run_id, "to_destination")
    assert {route["state"] for route in routes} == {"success"}
    assert {route["queue"] for route in routes} == {"mirror"}
    assert len({route["hostname"] for route in routes}) == 2
    source, destination = stack.registry_url("demo-source"), stack.registry_url("demo-destination")
    for repository, tag in (("giantswarm/hyperkube", "v1.32.0"), ("giantswarm/pause", "3.10")):
        images.pull_whole(destination, repository, tag)
        assert images.resolve(destination, repository, tag) == images.resolve(source, repository, tag)


def first_run(api: AirflowApi) -> str:
    """A run by hand: the schedule of a new mirror waits for its next tick."""
    api.wait_for_dag(DAG)
    return api.trigger(DAG, {})


def test_a_run_survives_that_a_worker_is_killed_while_it_copies(stack: Stack) -> None:
    """The other worker repeats the task when its heartbeats are missing."""
    api = stack.api()
    api.wait_for_dag(DAG)
    image = images.image([images.big_layer(BIG_BYTES)])
    images.push(stack.registry_url("demo-source"), BIG, "v1", image)
    (slow,) = stack.containers("demo-destination")
    stack.docker.run("update", "--cpus", "0.05", slow)
    run_id = api.trigger(DAG, {"repositories": [BIG]})
    victim = wait_for_copy(stack)
    (before,) = api.task_instances(DAG, run_id, "to_destination")
    assert before["state"] == "running"
    stack.docker.run("kill", victim)
    stack.docker.run("update", "--cpus", "1", slow)
    assert api.wait_for_run(DAG, run_id, seconds=300)["state"] == "success"
    (after,) = api.task_instances(DAG, run_id, "to_destination")
    assert after["try_number"] == 2
    assert after["hostname"] != before["hostname"]
    assert images.resolve(stack.registry_url("demo-destination"), BIG, "v1") == image.digest
    images.pull_whole(stack.registry_url("demo-destination"), BIG, "v1")


def wait_for_copy(stack: Stack) -> str:
    """Wait for a worker that runs skopeo copy, and return it."""

    def busy_worker() -> str | None:
        for worker in stack.containers("worker"):
            if re.search(r"skopeo .*\bcopy ", stack.docker.try_run("top", worker, "-eo", "pid,args").stdout):
                return worker
        return None

    return wait_until(busy_worker, "a worker copies")


def test_nothing_is_lost_when_the_stack_is_taken_down_and_started_again(stack: Stack) -> None:
    """The new database is restored from a backup."""
    before = {dag_run["dag_run_id"]: dag_run["state"] for dag_run in stack.api().dag_runs(DAG)}
    log = stack.api().log(DAG, next(iter(before)), "report")
    stack.exec("postgres", "pg_dump", "--username=airflow", "--format=custom", f"--file={BACKUP}", "airflow")
    stack.compose("down", "--timeout", "60")
    restore(stack)
    stack.compose("up", "-d")
    stack.wait_until_healthy()
    assert {dag_run["dag_run_id"]: dag_run["state"] for dag_run in stack.api().dag_runs(DAG)} == before
    assert stack.api().log(DAG, next(iter(before)), "report") == log
    assert len(stack.containers("worker")) == 2


def restore(stack: Stack) -> None:
    """Restore a backup as docs/operate.md describes."""
    stack.compose("up", "-d", "postgres")
    (postgres,) = stack.containers("postgres")
    ready = ("exec", postgres, "pg_isready", "--host=127.0.0.1", "--username=airflow")
    wait_until(lambda: stack.docker.try_run(*ready).returncode == 0, "the database is ready")
    stack.exec("postgres", "dropdb", "--username=airflow", "--if-exists", "airflow")
    stack.exec("postgres", "createdb", "--username=airflow", "airflow")
    stack.exec("postgres", "pg_restore", "--username=airflow", "--dbname=airflow", BACKUP)


def test_skopeo_runs_in_containers_where_workers_may_start_them(stack: Stack) -> None:
    """The containers are in the stack's network, where the registries' names resolve."""
    socket = stack.docker.folder / "docker.sock"
    settings = {**stack.settings, "DOCKER_SOCKET": str(socket), "DOCKER_GROUP": str(socket.stat().st_gid)}
    stack.write_settings(**settings)
    write_skopeo(stack, runner="docker", image="registry-sync", network=f"{stack.folder.name}_default")
    files = ("-f", "docker-compose.yaml", "-f", "deploy/docker-socket.yaml")
    stack.compose(*files, "up", "-d")
    stack.wait_until_healthy()
    image = images.image([images.big_layer(5_000_000, seed=7)])
    images.push(stack.registry_url("demo-source"), BOXED, "v1", image)
    began = time.time()
    run_id = stack.api().trigger(DAG, {"repositories": [BOXED]})
    assert stack.api().wait_for_run(DAG, run_id)["state"] == "success"
    images.pull_whole(stack.registry_url("demo-destination"), BOXED, "v1")
    assert images.resolve(stack.registry_url("demo-destination"), BOXED, "v1") == image.digest
    ours = ("--filter", "label=registry_sync.task")
    period = ("--since", f"{began:.0f}", "--until", f"{time.time() + 1:.0f}")
    created = stack.docker.run("events", *period, *ours, "--filter", "event=create", "--format", "{{json .}}")
    assert f"{DAG}/{run_id}/to_destination/0" in created
    assert stack.docker.run("ps", "--all", "--quiet", *ours) == ""


def write_skopeo(stack: Stack, **options: str) -> None:
    """Change the options of skopeo in the demo's mirror."""
    file = stack.folder / "include" / "examples" / "demo.yaml"
    document = yaml.safe_load(file.read_text())
    document["mirrors"]["demo"]["skopeo"] = options
    file.write_text(yaml.safe_dump(document))


def test_down_with_volumes_leaves_nothing(stack: Stack) -> None:
    stack.compose("down", "-v", "--timeout", "5")
    label = f"label=com.docker.compose.project={stack.folder.name}"
    for kind in ("container", "volume", "network"):
        assert stack.docker.run(kind, "ls", "--quiet", "--filter", label) == ""
    assert stack.docker.run("volume", "ls", "--quiet") == ""
