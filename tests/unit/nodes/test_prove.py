"""``nodes prove``: commands for a live machine."""

from __future__ import annotations

import hashlib
import subprocess
from typing import get_args

import pytest

from registry_sync.cli.arguments import OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.node_pools import Runtime
from registry_sync.nodes.prove import proof
from registry_sync.routes.load import load_mirrors
from tests.unit.nodes.test_render import FILE


def proof_of(pool: str, runtime: Runtime) -> str:
    file = load_mirrors(FILE)
    image = "giantswarm/hyperkube:v1"
    return proof(file, file.node_pools[pool], runtime, image=image, node="worker-1", mark="x1")


def test_a_mirror_with_tags_is_asked_for_a_tag_that_does_not_exist() -> None:
    assert (
        proof_of("outside_china", "docker")
        == """\
# Pool outside_china, docker, node worker-1.
# A shell on it: ssh worker-1, or kubectl debug node/worker-1, then chroot /host

# 1. The configuration has gsoci.azurecr.io for docker.io:
docker info -f '{{.RegistryConfig.Mirrors}}'

# 2. The machine asks the mirror first. No registry has this image, so the pull fails, and
#    its log names every registry that was left without it: gsoci.azurecr.io comes first.
docker pull docker.io/giantswarm/hyperkube:mirror-proof-x1
journalctl -u docker --since -2min | grep 'Attempting next endpoint'

# 3. The mirror serves. Take an image that is not on the machine: others are not requested.
docker pull docker.io/giantswarm/hyperkube:v1
#    There is no line for this image. A line with gsoci.azurecr.io means that another registry served it:
journalctl -u docker --since -2min | grep 'Attempting next endpoint'

# 4. The mirror's own log has both requests, from this machine's address:
#    in Log Analytics, with the diagnostic setting ContainerRegistryRepositoryEvents of gsoci.azurecr.io:
#    ContainerRegistryRepositoryEvents | where Repository == "giantswarm/hyperkube"
#    | project TimeGenerated, OperationName, Tag, Digest, ResultType, CallerIpAddress
"""
    )


@pytest.mark.parametrize("runtime", ["containerd", "crio"])
def test_a_mirror_for_content_is_asked_for_a_digest(runtime: Runtime) -> None:
    """It is never asked for a tag."""
    text = proof_of("bytes_only", runtime)
    assert f"hyperkube@sha256:{hashlib.sha256(b'x1').hexdigest()}" in text
    assert "mirror-proof-x1" not in text


@pytest.mark.parametrize("runtime", get_args(Runtime))
def test_the_commands_are_shell(runtime: Runtime) -> None:
    text = proof_of("outside_china", runtime)
    assert subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False).stderr == ""
    assert not {"IMAGE", "FOLDER", "NODE"} & set(text.replace("/", " ").split())


def run(*arguments: str) -> int:
    return main(["nodes", "prove", "--mirrors-file", str(FILE), "--node", "n", *arguments])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--pool", "china", "--runtime", "k3s"], "pool 'china' has no mirrors: its machines pull from aliyun alone"),
        (
            ["--pool", "outside_china", "--runtime", "k3s"],
            "no bootstrap image of pool 'outside_china' has a tag by name; give --image REPOSITORY:TAG",
        ),
        (
            ["--pool", "bytes_only", "--image", "giantswarm/pause"],
            "--image 'giantswarm/pause' has no tag; write REPOSITORY:TAG, such as giantswarm/pause:3.9",
        ),
    ],
)
def test_what_cannot_be_proved_is_refused(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == UNUSABLE
    assert capsys.readouterr() == ("", f"{problem}\n")


def test_the_commands_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--pool", "bytes_only", "--image", "giantswarm/pause:3.9") == OK
    assert "\ncrictl pull docker.io/giantswarm/pause:3.9\n" in capsys.readouterr().out
