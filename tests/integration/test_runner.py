"""Mirrors with skopeo in containers of a Docker daemon: whole runs, refused settings, and recovery after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.execution_time.supervisor import TaskRunResult

from registry_sync.airflow import hooks
from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.airflow.hooks.skopeo import SkopeoHook
from registry_sync.config.settings import SkopeoOptions
from registry_sync.errors import ConfigurationError, RefusedError, TemporaryError
from registry_sync.oci.reference import Reference, Repository
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.routes.load import load_mirrors
from registry_sync.skopeo import docker_daemon
from registry_sync.skopeo.container_image import find_skopeo_image
from registry_sync.skopeo.copier import Skopeo
from registry_sync.skopeo.docker_daemon import TASK_LABEL
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.local import find_skopeo
from registry_sync.skopeo.policy import can_verify_sigstore
from testkit import images
from testkit.dockerd import Dockerd, require_dockerd
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.proxy import ForwardProxy
from testkit.registry import RegistryProcess
from testkit.task_runner import RUN_ID, FakeApi, run
from testkit.tls import CertificateAuthority

NAME = "team/app"
ROUTES, COPY = "routes_to_backup", "to_backup"
IMAGE = images.multi_arch("in a container")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Dockerd]:
    require_dockerd()
    with Dockerd() as dockerd:
        dockerd.load_skopeo()
        yield dockerd


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A mirror of one repository between two registries, with an interceptor in front of the destination."""

    daemon: Dockerd
    source: RegistryProcess
    destination: RegistryProcess
    wire: Interceptor
    folder: Path

    def run(self, task_id: str = COPY, *, try_number: int = 1, **options: Any) -> TaskRunResult:
        """Run a task of its DAG; ``options`` are of its mirror."""
        skopeo = {
            "runner": "docker",
            "image": "skopeo-of-this-machine",
            "docker_url": self.daemon.url,
            "network": "host",
            **options.pop("skopeo", {}),
        }
        path = self.folder / "mirrors.yaml"
        sides = {
            "origin": {"host": self.source.host, "tls": False},
            "backup": {"host": self.wire.host, "tls": False},
        }
        mirror = {"source": "origin", "destinations": ["backup"], "repositories": [NAME], "skopeo": skopeo, **options}
        path.write_text(json.dumps({"registries": sides, "mirrors": {"team": mirror}}))
        file = load_mirrors(path)
        dag = build_dag(file.mirrors["team"], file)
        api = FakeApi(dag_id=dag.dag_id)
        planned = run(dag, ROUTES, api, map_index=-1)
        if task_id == ROUTES or planned.state != "success":
            return planned
        return run(dag, COPY, api, map_index=0, try_number=try_number)

    def containers(self) -> list[dict[str, Any]]:
        with closing(self.daemon.client()) as client:
            return list(client.containers(all=True))


@pytest.fixture
def mirror(daemon: Dockerd, tmp_path: Path) -> Iterator[Mirror]:
    with (
        RegistryProcess() as source,
        RegistryProcess() as destination,
        Interceptor(destination.url) as wire,
    ):
        images.push(source.url, NAME, "v1", IMAGE)
        yield Mirror(daemon=daemon, source=source, destination=destination, wire=wire, folder=tmp_path)


def test_a_run_copies_in_containers_and_removes_them(mirror: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    assert mirror.run(ROUTES).state == "success"
    assert f"skopeo of skopeo-of-this-machine, version {find_skopeo().version}" in capsys.readouterr().out
    assert mirror.run().state == "success"
    assert images.pull_whole(mirror.destination.url, NAME, "v1") == {"linux/amd64", "linux/arm64"}
    assert images.resolve(mirror.destination.url, NAME, "v1") == IMAGE.digest
    assert mirror.containers() == []


def test_the_worker_needs_no_skopeo(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(mirror.folder))
    assert mirror.run().state == "success"


def test_a_container_uses_its_own_network(mirror: Mirror) -> None:
    """Its loopback reaches no registry, which shows that the copy runs in the container."""
    result = mirror.run(skopeo={"network": "none"})
    assert result.state == "up_for_retry"
    assert isinstance(result.error, TemporaryError)
    assert f"source {mirror.source.host}/{NAME} cannot be reached, or broke off (skopeo: " in str(result.error)
    assert mirror.containers() == []


@pytest.mark.parametrize(
    ("skopeo", "expected", "text"),
    [
        (
            {"docker_url": "unix:///nowhere"},
            TemporaryError,
            (
                "cannot connect to the Docker daemon at unix:///nowhere: no such socket; "
                "check that the daemon is running and that its socket is mounted into this worker"
            ),
        ),
        ({"network": "lost"}, ConfigurationError, "network lost not found"),
    ],
    ids=["no daemon", "no network"],
)
def test_an_unusable_daemon_is_reported(
    mirror: Mirror, skopeo: dict[str, str], expected: type[Exception], text: str
) -> None:
    result = mirror.run(ROUTES, skopeo=skopeo)
    assert type(result.error) is expected
    assert text in str(result.error)
    assert mirror.containers() == []


def test_a_missing_image_is_reported(mirror: Mirror) -> None:
    image = f"{mirror.source.host}/no/skopeo:v1"
    result = mirror.run(ROUTES, skopeo={"image": image})
    assert result.state == "failed"
    assert isinstance(result.error, ConfigurationError)
    where = f"the Docker daemon at {mirror.daemon.url}"
    assert str(result.error).startswith(f"{where} has no image {image!r} or network 'host', and cannot get it: ")


def test_an_image_without_skopeo_is_reported(mirror: Mirror) -> None:
    mirror.daemon.load("an-image-of-nothing", {})
    result = mirror.run(ROUTES, skopeo={"image": "an-image-of-nothing"})
    assert result.state == "failed"
    assert isinstance(result.error, ConfigurationError)
    assert '"skopeo": executable file not found in $PATH' in str(result.error)
    assert mirror.containers() == []


def test_the_next_try_removes_containers_of_a_killed_worker(mirror: Mirror) -> None:
    """No process of the worker remains to end them. Containers of other tasks are kept."""
    ours, others = f"mirror_team/{RUN_ID}/{COPY}/0", f"mirror_team/{RUN_ID}/{COPY}/1"
    left = [leave_a_container(mirror.daemon, task) for task in (ours, others)]
    assert mirror.run(try_number=2).state == "success"
    assert [container["Id"] for container in mirror.containers()] == left[1:]
    with closing(mirror.daemon.client()) as client:
        client.remove_container(left[1], force=True)


def test_any_task_removes_old_containers(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their own task may never be tried again, and they contain files with passwords."""
    others = f"mirror_team/{RUN_ID}/{COPY}/1"
    left = leave_a_container(mirror.daemon, others)
    with closing(mirror.daemon.client()) as client:
        running = client.create_container(
            "skopeo-of-this-machine",
            ["skopeo", "inspect", f"docker://{mirror.wire.host}/{NAME}", "--tls-verify=false"],
            labels={TASK_LABEL: others},
            host_config=client.create_host_config(network_mode="host"),
        )["Id"]
        mirror.wire.hang("GET", "/manifests/latest$")
        client.start(running)
        assert mirror.run().state == "success"
        assert {container["Id"] for container in mirror.containers()} == {left, running}
        monkeypatch.setattr(docker_daemon, "ABANDONED_AFTER", timedelta())
        assert mirror.run().state == "success"
        assert [container["Id"] for container in mirror.containers()] == [running]
        client.remove_container(running, force=True)


def test_a_daemon_that_stops_responding_is_a_stall(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy can neither be watched nor ended, so it fails without waiting for ``copy_timeout_seconds``.

    The next try removes the container.
    """
    monkeypatch.setattr(hooks.skopeo, "DOCKER_SECONDS", 1)
    mirror.wire.hang("PATCH", "/blobs/")
    with ExitStack() as silence:

        def fall_silent(_: Request) -> None:
            silence.enter_context(mirror.daemon.silent())

        mirror.wire.after("POST", "/blobs/uploads/", fall_silent, times=1)
        result = mirror.run(stall_timeout_seconds=3)
    assert result.state == "up_for_retry"
    assert isinstance(result.error, TemporaryError)
    assert str(result.error).endswith(f" to {mirror.wire.host}/{NAME} was ended: no bytes moved for 3 s")
    mirror.wire.clear_rules()
    assert mirror.run(try_number=2).state == "success"
    assert mirror.containers() == []


def leave_a_container(daemon: Dockerd, task: str) -> str:
    with closing(daemon.client()) as client:
        created = client.create_container("skopeo-of-this-machine", ["skopeo"], labels={TASK_LABEL: task})
    return str(created["Id"])


def test_a_container_reaches_registries_by_their_proxy_alone(
    daemon: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the proxies of the environment nor those of docker's configuration count."""
    proxies = {"default": {"httpsProxy": "http://127.0.0.1:1", "noProxy": "from.example"}}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    authority = CertificateAuthority.create(tmp_path / "ca")
    login = Credentials(username="me", secret="of-the-proxy/1")
    with ExitStack() as stack:
        names = ("from.example", "to.example")
        servers = [stack.enter_context(RegistryProcess(tls=authority.issue([name, "127.0.0.1"]))) for name in names]
        images.push(servers[0].url, NAME, "v1", IMAGE, ca_file=authority.ca_file)
        hosts = {f"{name}:443": server.host for name, server in zip(names, servers, strict=True)}
        proxy = stack.enter_context(ForwardProxy(hosts, login=f"{login.username}:{login.secret}"))
        own = Proxy(url=proxy.url, credentials=login)
        source, destination = (Endpoint(host=name, ca_file=authority.ca_file, proxy=own) for name in names)
        docker = docker_daemon.Docker(
            connect=daemon.client, url=daemon.url, image="skopeo-of-this-machine", network="host", task="t"
        )
        with Skopeo(
            lambda: find_skopeo_image(docker),
            source=source,
            destination=destination,
            copy_timeout_seconds=60,
            stall_timeout_seconds=60,
        ) as skopeo:
            skopeo.copy(
                ImageCopy(
                    source=Reference(Repository(names[0], NAME), IMAGE.digest),
                    destination=Reference(Repository(names[1], NAME), IMAGE.digest),
                    is_index=True,
                    format="oci",
                )
            )
        assert proxy.targets == set(hosts)


def test_a_policy_is_copied_into_the_container(mirror: Mirror) -> None:
    policy, behind = mirror.folder / "policy.json", mirror.folder / "..data"
    behind.write_text(json.dumps({"default": [{"type": "reject"}]}))
    policy.symlink_to(behind)  # as Kubernetes mounts a ConfigMap
    result = mirror.run(policy=str(policy))
    assert result.state == "failed"
    assert isinstance(result.error, RefusedError)
    assert f"is not accepted by the policy {str(policy)!r}" in str(result.error)
    assert images.resolve(mirror.destination.url, NAME, "v1") is None


def test_sigstore_is_probed_in_the_container(daemon: Dockerd) -> None:
    options = SkopeoOptions(runner="docker", image="skopeo-of-this-machine", docker_url=daemon.url, network="host")
    found = SkopeoHook(options, task="tests").get_conn()
    assert can_verify_sigstore(found) == can_verify_sigstore(find_skopeo())
