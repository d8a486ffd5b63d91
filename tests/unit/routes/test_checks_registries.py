"""Registries of a mirrors file that cannot work: web sites, misspelt kinds, and logins that are lacking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import load_mirrors

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

KINDS = (
    "'distribution', 'quay', 'docker_hub', 'acr', 'aliyun', 'harbor', 'google', 'ghcr', 'ecr', 'gitlab', 'artifactory' "
    "or 'nexus'"
)


def write(folder: Path, **registry: Any) -> Path:
    """A mirrors file whose destination ``b`` has the given keys."""
    document = {
        "registries": {"a": {"host": "a.example"}, "b": {"host": "b.example", **registry}},
        "mirrors": {"m": {"source": "a", "destinations": ["b"], "repositories": ["team/app"]}},
    }
    path = folder / "mirrors.yaml"
    path.write_text(json.dumps(document, indent=1))
    return path


def problem_of(path: Path) -> str:
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(path)
    (problem,) = caught.value.problems
    return problem.partition("mirrors.yaml:")[2]


@pytest.mark.parametrize(
    ("host", "registry"),
    [
        ("gitlab.com", "registry.gitlab.com"),
        ("hub.docker.com", "docker.io"),
        ("www.docker.com:443", "docker.io"),
        ("Docker.com", "docker.io"),
        ("github.com", "ghcr.io"),
        ("docker.pkg.github.com", "ghcr.io"),
        ("eu-west-1.console.aws.amazon.com", "ACCOUNT.dkr.ecr.REGION.amazonaws.com, or public.ecr.aws"),
        ("api.ecr.eu-west-1.amazonaws.com", "ACCOUNT.dkr.ecr.REGION.amazonaws.com"),
        ("gallery.ecr.aws", "public.ecr.aws"),
        ("console.cloud.google.com", "LOCATION-docker.pkg.dev"),
        ("portal.azure.com", "NAME.azurecr.io"),
    ],
)
def test_a_web_site_is_not_a_registry(tmp_path: Path, host: str, registry: str) -> None:
    assert problem_of(write(tmp_path, host=host)) == (
        f"7: registries.b.host: {host.lower()!r} is not a registry, but a web site or an API; write host: {registry}"
    )


@pytest.mark.parametrize("host", ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"])
def test_other_hosts_of_docker_hub_are_docker_hub(tmp_path: Path, host: str) -> None:
    assert load_mirrors(write(tmp_path, host=host)).registries["b"].host == "docker.io"


@pytest.mark.parametrize("host", ["github.com.example", "gitlab.com:5050", "gitlab.company.com", "console.aws.example"])
def test_other_hosts_are_accepted(tmp_path: Path, host: str) -> None:
    assert load_mirrors(write(tmp_path, host=host)).registries["b"].host == host


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("ECR", "ecr"), ("aws", "ecr"), ("jfrog", "artifactory"), ("JFrog", "artifactory"), ("Github", "ghcr")),
        *(("gar", "google"), ("gcr", "google"), ("azure", "acr"), ("dockerhub", "docker_hub")),
        *(("Docker-Hub", "docker_hub"), ("hub", "docker_hub"), ("alibaba", "aliyun"), ("Quay", "quay")),
    ],
)
def test_the_kind_that_was_meant_is_asked_for(tmp_path: Path, written: str, meant: str) -> None:
    assert problem_of(write(tmp_path, kind=written)) == (
        f"8: registries.b.kind: expected {KINDS}, got {written!r}; did you mean {meant!r}?"
    )


def test_a_kind_that_is_close_to_none_gets_no_question(tmp_path: Path) -> None:
    assert problem_of(write(tmp_path, kind="x")) == f"8: registries.b.kind: expected {KINDS}, got 'x'"


@pytest.mark.parametrize("key", ["role_arn", "password", "aws_access_key_id"])
def test_a_login_belongs_into_a_connection(tmp_path: Path, key: str) -> None:
    assert problem_of(write(tmp_path, **{key: "x"})) == (
        f"8: registries.b.{key}: unknown key {key!r} of a registry; it belongs into the Airflow Connection whose id is "
        "connection: (docs/connections.md)"
    )


def test_repositories_of_ecr_are_created_by_an_identity_only(tmp_path: Path) -> None:
    assert problem_of(write(tmp_path, host=ECR, create_repository=True)) == (
        "6: registries.b: create_repository needs an identity of AWS at ECR; write identity: ambient, or connection: "
        "with the id of a Connection of type aws"
    )


def test_nobody_pushes_to_ecr_public_anonymously(tmp_path: Path) -> None:
    assert problem_of(write(tmp_path, host="public.ecr.aws")) == (
        "14: mirrors.m.destinations[0]: 'b' is public.ecr.aws, where nobody can push anonymously; write identity: "
        "ambient, or connection: with the id of a Connection of type aws"
    )


@pytest.mark.parametrize("login", [{"identity": "ambient"}, {"connection": "my_aws"}], ids=str)
@pytest.mark.parametrize("registry", [{"host": "public.ecr.aws"}, {"host": ECR, "create_repository": True}], ids=str)
def test_with_a_login_both_are_accepted(tmp_path: Path, registry: dict[str, Any], login: dict[str, Any]) -> None:
    assert load_mirrors(write(tmp_path, **registry, **login)).mirrors
