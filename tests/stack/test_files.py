"""The files of the stack, read by both generations of Compose."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from tests.stack.debian import bootstrap
from tests.stack.docker import CommandError, Docker, which
from tests.stack.stack import SECRETS, SERVICES, Stack

pytestmark = pytest.mark.timeout(600)

DEMO = ("--env-file", "deploy/demo.env")


@pytest.fixture(scope="module")
def compose_v2(docker: Docker) -> str:
    """Compose 2 from Debian 13, unpacked without installing it."""
    folder = docker.folder / "compose-v2"
    with bootstrap(
        ["docker-compose"], "--variant=extract", log=docker.folder / "v2.log", suite="trixie", target=str(folder)
    ) as made:
        made.wait()
    return str(folder / "usr/libexec/docker/cli-plugins/docker-compose")


@pytest.fixture(params=["1.29", "2"])
def compose(request: pytest.FixtureRequest, compose_v2: str) -> str:
    return compose_v2 if request.param == "2" else which("docker-compose")


@pytest.fixture
def stack(docker: Docker, compose: str) -> Iterator[Stack]:
    """A stack that is not started."""
    made = Stack(docker, "files", compose)
    yield made
    made.remove()


def test_every_service_that_goes_on_is_checked_limited_and_started_again(stack: Stack) -> None:
    services = yaml.safe_load(stack.compose(*DEMO, "config"))["services"]
    going_on = {name: service for name, service in services.items() if service.get("restart") == "unless-stopped"}
    assert set(going_on) - {"demo-source", "demo-destination"} == SERVICES
    for name in SERVICES:
        assert going_on[name]["healthcheck"]["test"], name
    for name, each in services.items():
        assert each["mem_limit"], name
        assert float(each["cpus"]) == 1, name
        assert each["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name
        if each["image"] == "registry-sync" and name != "check-secrets":
            assert (each["cap_drop"], each["security_opt"]) == (["ALL"], ["no-new-privileges:true"]), name


def test_the_demo_is_only_in_its_profile(stack: Stack) -> None:
    """Compose 1.29 shows services of all profiles, Compose 2 only those that would start."""
    stack.make_settings()
    services = yaml.safe_load(stack.compose("config"))["services"]
    demo = {name: service.get("profiles") for name, service in services.items() if name.startswith("demo-")}
    assert all(each == ["demo"] for each in demo.values())
    assert "demo-source" in yaml.safe_load(stack.compose(*DEMO, "config"))["services"]


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_has_a_default(stack: Stack, name: str) -> None:
    secrets = dict.fromkeys(SECRETS, "x" * 44)
    stack.write_settings(**secrets | {name: ""})
    with pytest.raises(CommandError, match=f"{name} is missing in .env, make env writes one"):
        stack.compose("config")


def test_workers_get_the_socket_of_docker_only_by_an_override(stack: Stack) -> None:
    stack.make_settings(DOCKER_GROUP="998")
    assert "docker.sock" not in stack.compose("config")
    files = ("-f", "docker-compose.yaml", "-f", "deploy/docker-socket.yaml")
    services = yaml.safe_load(stack.compose(*files, "config"))["services"]
    assert [name for name, service in services.items() if "docker.sock" in json.dumps(service)] == ["worker"]
    assert services["worker"]["group_add"] == ["998"]
