"""Options of a route: platforms, signatures, policy, and messages for mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_sync.config.as_json import as_json
from registry_sync.config.entries.from_json import settings_from_json
from registry_sync.config.settings import RouteSettings
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import load_healthy_mirrors, load_mirrors


def write(directory: Path, defaults: Any = None, rule: Any = None, **mirror: Any) -> Path:
    """A valid file with the given options, one a line."""
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
    return load_mirrors(path).mirrors["a"].rules[0].settings


def test_settings_have_defaults(tmp_path: Path) -> None:
    found = settings(write(tmp_path))
    assert (found.platforms, found.signatures, found.policy, found.registries_d) == ((), True, None, None)


def test_the_innermost_setting_counts(tmp_path: Path) -> None:
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


def test_null_turns_off_what_an_outer_level_has(tmp_path: Path) -> None:
    outer = {
        "platforms": ["linux/amd64"],
        "policy": "/p.json",
        "registries_d": "/d",
        "backup_tag": "{{ tag }}-was-{{ digest_short }}",
    }
    off = dict.fromkeys(outer)
    path = write(tmp_path, {**outer, "parallel_copies": 8}, {"repository": "team/app", **off, "parallel_copies": None})
    assert settings(path) == RouteSettings()
    assert settings(write(tmp_path, outer, **off)) == RouteSettings()
    again = {"repository": "team/app", "policy": "/q.json"}
    assert settings(write(tmp_path, outer, again, **off)) == RouteSettings(policy=Path("/q.json"))


def test_an_empty_value_is_not_null(tmp_path: Path) -> None:
    """A key is left empty when the lines below it are commented out."""
    path = tmp_path / "mirrors.yaml"
    path.write_text(
        "registries: {quay: {host: quay.io}, acr: {host: acr.example}}\n"
        "defaults:\n"
        "  policy:\n"
        "mirrors:\n"
        "  a:\n"
        "    source: quay\n"
        "    destinations: [acr]\n"
        "    platforms:\n"
        "    repositories:\n"
        "      - repository: team/app\n"
        "        prefix: ''\n"
        "        policy: ~\n"
        "        tags:\n"
        '#         include: ["v*"]\n'
    )
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(path)
    advice = "it is empty; write null to turn off the inherited value, or remove it"
    assert str(caught.value).split("\n") == [
        f"mirrors.yaml:3: defaults.policy: {advice}",
        f"mirrors.yaml:8: mirrors.a.platforms: {advice}",
        f"mirrors.yaml:13: mirrors.a.repositories[0].tags: {advice}",
    ]


def test_empty_values_are_refused(tmp_path: Path) -> None:
    """Each empty value would silently change the meaning: all tags, nothing kept, no credentials, no full check."""
    path = tmp_path / "mirrors.yaml"
    path.write_text(
        "registries:\n"
        "  quay: {host: quay.io}\n"
        "  acr: {host: acr.example}\n"
        "  hub:\n"
        "    host: docker.io\n"
        "    connection:\n"
        "mirrors:\n"
        "  a:\n"
        "    source: quay\n"
        "    destinations: [acr]\n"
        "    full_check:\n"
        "    prune:\n"
        "      tags: not_selected\n"
        "      keep:\n"
        "#       - '*-lts'\n"
        "    repositories:\n"
        "      - repository: team/app\n"
        "        tags:\n"
        "          include: null\n"
        "          exclude:\n"
        "      - namespace: other\n"
        "        include:\n"
        "  b: {source: quay, destinations: [acr], prefix: b/, repositories: [team/app]}\n"
        "  c: {source: quay, destinations: [hub], prefix: c/, strip_prefix: team/, repositories: [team/app]}\n"
    )
    healthy, problems = load_healthy_mirrors(path)
    assert problems == (
        "mirrors.yaml:6: registries.hub.connection: it is empty; write a value, or remove it",
        "mirrors.yaml:11: mirrors.a.full_check: it is empty; write null to turn off the inherited value, or remove it",
        "mirrors.yaml:14: mirrors.a.prune.keep: it is empty; write a value, or remove it",
        "mirrors.yaml:20: mirrors.a.repositories[0].tags.exclude: it is empty; write a value, or remove it",
        "mirrors.yaml:22: mirrors.a.repositories[1].include: it is empty; write a value, or remove it",
    )
    assert list(healthy.mirrors) == ["b"]


@pytest.mark.parametrize(
    ("defaults", "mirror", "rule", "place"),
    [
        ({"registries_d": "/d"}, {}, {}, "a"),
        ({}, {"registries_d": "/d"}, {}, "a"),
        ({}, {}, {"registries_d": "/d"}, "a.repositories[0]"),
        ({"policy": "/p.json"}, {"registries_d": "/d"}, {"policy": None}, "a.repositories[0]"),
    ],
)
def test_registries_d_needs_a_policy(tmp_path: Path, defaults: Any, mirror: Any, rule: Any, place: str) -> None:
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(write(tmp_path, defaults, {"repository": "team/app", **rule}, **mirror))
    problem = "registries_d has no effect without policy; add policy:, or set registries_d: null"
    assert str(caught.value) == f"mirrors.yaml:4: mirrors.{place}: {problem}"
    policy = {"repository": "team/app", **rule, "policy": "/p.json"}
    assert settings(write(tmp_path, defaults, policy, **mirror)).registries_d == Path("/d")


def test_settings_come_back_from_json(tmp_path: Path) -> None:
    skopeo = {"runner": "docker", "image": "skopeo", "docker_url": "tcp://docker:2376", "tls_dir": "/tls"}
    files = {"policy": "/p.json", "registries_d": "/d"}
    path = write(tmp_path, platforms=["linux/amd64"], signatures=False, skopeo=skopeo, **files)
    found = settings(path)
    assert settings_from_json(json.loads(json.dumps(as_json(found)))) == found


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"platforms": "linux/amd64"}, "platforms: expected a list, such as [a, b], got 'linux/amd64'"),
        ({"platforms": []}, "platforms: it is empty; write a value, or remove it"),
        (
            {"platforms": ["linux/amd64", "arm64"]},
            "platforms[1]: expected a platform such as linux/amd64 or linux/arm/v7, got 'arm64'",
        ),
        ({"signatures": "yes"}, "signatures: expected true or false, got 'yes'; write true"),
        (
            {"policy": "policy.json"},
            "policy: expected an absolute path, because tasks run in any directory, got 'policy.json'",
        ),
        (
            {"registries_d": "registries.d"},
            "registries_d: expected an absolute path, because tasks run in any directory, got 'registries.d'",
        ),
        (
            {"skopeo": {"runner": "docker"}},
            "skopeo: runner: docker needs an image that contains skopeo, such as quay.io/skopeo/stable:v1.18.0",
        ),
        (
            {"skopeo": {"network": "host", "image": "skopeo"}},
            "skopeo: image, network: only for runner: docker; write that too, or remove it",
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
def test_wrong_values_are_refused(tmp_path: Path, options: Any, problem: str) -> None:
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(write(tmp_path, **options))
    assert str(caught.value) == f"mirrors.yaml:4: mirrors.a.{problem}"
