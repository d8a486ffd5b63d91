"""The options about what is mirrored of an image: platforms, signatures, policy; and what a slip in one gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import MirrorsFileError
from registry_sync.mirrors import RouteSettings
from registry_sync.mirrors_file import load_mirrors


def write(directory: Path, defaults: Any = None, rule: Any = None, **mirror: Any) -> Path:
    """A good file but for the options that are given, on one line each."""
    path = directory / "mirrors.yaml"
    entry = {"source": "quay", "destinations": ["acr"], **mirror, "repositories": [rule or "team/app"]}
    lines = [
        f"defaults: {json.dumps(defaults or {})}",
        "registries: {quay: {host: quay.io}, acr: {host: acr.example}}",
        "mirrors:",
        f"  a: {json.dumps(entry)}",
    ]
    path.write_text("\n".join(lines))
    return path


def settings(path: Path) -> RouteSettings:
    mirror = load_mirrors(path).mirrors["a"]
    return mirror.settings(mirror.rules[0])


def test_the_defaults(tmp_path: Path) -> None:
    found = settings(write(tmp_path))
    assert (found.platforms, found.signatures, found.policy, found.registries_d) == ((), True, None, None)


def test_the_innermost_counts(tmp_path: Path) -> None:
    rule = {"repository": "team/app", "platforms": ["linux/arm/v7"], "signatures": True}
    path = write(
        tmp_path,
        {"platforms": ["linux/amd64"], "policy": "/etc/all.json"},
        rule,
        signatures=False,
        policy="/etc/team.json",
        registries_d="/etc/registries.d",
    )
    found = settings(path)
    assert found.platforms == ("linux/arm/v7",)
    assert found.signatures is True
    assert (found.policy, found.registries_d) == (Path("/etc/team.json"), Path("/etc/registries.d"))


def test_they_cross_xcom(tmp_path: Path) -> None:
    skopeo = {"runner": "docker", "image": "skopeo", "docker_url": "tcp://docker:2376", "tls_dir": "/tls"}
    files = {"policy": "/p.json", "registries_d": "/d"}
    path = write(tmp_path, platforms=["linux/amd64"], signatures=False, skopeo=skopeo, **files)
    found = settings(path)
    document = json.loads(json.dumps(found.model_dump(mode="json", exclude_defaults=True)))
    assert RouteSettings.model_validate(document, strict=False) == found


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"platforms": "linux/amd64"}, "platforms: expected a list, such as [a, b], got 'linux/amd64'"),
        ({"platforms": []}, "platforms: it is empty; write a value, or remove it"),
        (
            {"platforms": ["linux/amd64", "arm64"]},
            "platforms[1]: expected a platform such as linux/amd64 or linux/arm/v7, got 'arm64'",
        ),
        ({"signatures": "yes"}, "signatures: expected true or false, got 'yes'"),
        (
            {"policy": "policy.json"},
            "policy: expected an absolute path, since a worker runs anywhere, got 'policy.json'",
        ),
        (
            {"registries_d": "registries.d"},
            "registries_d: expected an absolute path, since a worker runs anywhere, got 'registries.d'",
        ),
        (
            {"skopeo": {"runner": "docker"}},
            "skopeo: runner: docker needs an image that has skopeo, such as quay.io/skopeo/stable:v1.18.0",
        ),
        (
            {"skopeo": {"network": "host", "image": "skopeo"}},
            "skopeo: image, network: this is for runner: docker; write that too, or remove it",
        ),
        (
            {"skopeo": {"runner": "docker", "image": "skopeo", "docker_url": "http://docker"}},
            "skopeo.docker_url: expected unix:///path/of/docker.sock or tcp://host:port, got 'http://docker'",
        ),
        (
            {"skopeo": {"runner": "docker", "image": "skopeo", "docker_url": "tcp://docker:2376"}},
            (
                "skopeo: docker_url 'tcp://docker:2376' needs a tls_dir: without TLS, whoever reaches that port is "
                "root there"
            ),
        ),
        ({"skopeo": {"runner": "podman"}}, "skopeo.runner: expected 'local' or 'docker', got 'podman'"),
        ({"platform": ["linux/amd64"]}, "platform: unknown key 'platform'; did you mean 'platforms'?"),
    ],
)
def test_what_a_slip_gets(tmp_path: Path, options: Any, problem: str) -> None:
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(write(tmp_path, **options))
    assert str(caught.value) == f"mirrors.yaml:4: mirrors.a.{problem}"
