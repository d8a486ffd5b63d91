"""The operator with plain arguments: in a real DAG run of the documented example, and through Airflow's task runner."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow.sdk import DAG
from airflow.sdk.execution_time.supervisor import TaskRunResult

from registry_sync.airflow import operators
from registry_sync.airflow.operators import MirrorRepositoryOperator
from registry_sync.airflow.runs.retries import MirrorRetryPolicy
from registry_sync.errors import ConfigurationError, DeniedError, RefusedError
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.project import PROJECT
from testkit.registry import Htpasswd, RegistryProcess
from testkit.task_runner import FakeApi, run
from testkit.tls import CertificateAuthority

pytestmark = pytest.mark.usefixtures("minimal_jitter")

PLAIN_HTTP = {"source_registry": {"tls": False}, "destination_registry": {"tls": False}}
V1, V2, STABLE = images.multi_arch("own v1"), images.multi_arch("own v2"), images.multi_arch("own stable")


@pytest.fixture(scope="module")
def filled(source: RegistryProcess) -> RegistryProcess:
    for tag, image in {"v1": V1, "v2": V2, "stable": STABLE}.items():
        images.push(source.url, "org/app", tag, image)
    return source


Mirror = Callable[..., TaskRunResult]


@pytest.fixture
def mirror(filled: RegistryProcess, destination: RegistryProcess, name: str) -> Mirror:
    """Run the operator in a DAG of its own, by default from the filled repository to one named after the test."""

    def mirror(api: FakeApi | None = None, **arguments: Any) -> TaskRunResult:
        with DAG(
            dag_id="own", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"stage": "test"}
        ) as dag:
            MirrorRepositoryOperator(
                task_id="mirror",
                **{
                    "source": f"{filled.host}/org/app",
                    "destination": f"{destination.host}/{name}",
                    **PLAIN_HTTP,
                    **arguments,
                },
            )
        return run(dag, "mirror", api or FakeApi(dag_id="own"))

    return mirror


@pytest.mark.timeout(300)
def test_the_documented_dag_mirrors_the_tag_of_the_day(tmp_path: Path) -> None:
    """A real run of the file itself: templates, two Connections with a CA, the digest in the next task."""
    authority = CertificateAuthority.create(tmp_path / "ca")
    certificate = authority.issue()
    with (
        RegistryProcess(tls=certificate, auth=Htpasswd(users={"reader": "reads"})) as source,
        RegistryProcess(tls=certificate, auth=Htpasswd(users={"robot": "a-secret"})) as there,
    ):
        nightly = images.multi_arch("nightly")
        with requests.Session() as session:
            session.auth, session.verify, session.trust_env = ("reader", "reads"), str(authority.ca_file), False
            for tag in ("nightly-20261101", "nightly-20261102"):
                images.push(source.url, "org/app", tag, nightly, session=session)
        typed = {"conn_type": "oci_registry", "extra": json.dumps({"ca": authority.ca_file.read_text()})}
        airflow = LocalAirflow(
            tmp_path / "home",
            dags=PROJECT / "include" / "examples",
            connections={
                "registry_source": {**typed, "login": "reader", "password": "reads"},
                "registry_test": {**typed, "login": "robot", "password": "a-secret"},
            },
            settings={"PYTHONPATH": str(PROJECT / "plugins")},
        )
        airflow.migrate()
        conf = {"source": f"{source.host}/org/app", "destination": f"{there.host}/mirrored/app"}
        ended = airflow.run("dags", "test", "publish_nightly", "2026-11-01", "--conf", json.dumps(conf))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        shown = f"{there.host}/mirrored/app:nightly-20261101 is {nightly.digest}, of {{'copied': 1}}"
        assert shown in ended.stdout
        assert "a-secret" not in ended.stdout + ended.stderr


class TestPlainArguments:
    def test_all_tags_are_mirrored_and_the_result_has_counts_and_digests(
        self, mirror: Mirror, filled: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        api = FakeApi(dag_id="own")
        assert mirror(api).state == "success"
        result = api.xcoms["mirror", -1, "return_value"]
        assert result == {
            "source": f"{filled.host}/org/app",
            "destination": f"{destination.host}/{name}",
            "dry_run": False,
            "counts": {"copied": 3},
            "digests": {"stable": str(STABLE.digest), "v1": str(V1.digest), "v2": str(V2.digest)},
            "omitted": 0,
        }
        assert api.xcoms["mirror", -1, "report"]["counts"]["copied"] == 3
        assert api.store_writes == []
        assert mirror(api).state == "success"
        assert api.xcoms["mirror", -1, "return_value"] == {**result, "counts": {"unchanged": 3}}

    @pytest.mark.parametrize(
        ("tags", "copied"),
        [
            (["v1", "stable"], ["stable", "v1"]),
            (("v1", f"v2@{V2.digest}"), ["v1", "v2"]),
            ({"include": ["v*"]}, ["v1", "v2"]),
            ([{"include": ["v1"]}, {"names": ["stable"]}], ["stable", "v1"]),
            (["{{ 'v1' if params.stage == 'test' else 'v2' }}"], ["v1"]),
            ({"names": ["{{ 'v' ~ (1 + 1) }}"]}, ["v2"]),
        ],
    )
    def test_tags_are_names_or_rules_and_may_be_templates(self, mirror: Mirror, tags: Any, copied: list[str]) -> None:
        api = FakeApi(dag_id="own")
        assert mirror(api, tags=tags).state == "success"
        assert list(api.xcoms["mirror", -1, "return_value"]["digests"]) == copied

    @pytest.mark.parametrize("transfer", ["skopeo", "direct"])
    def test_options_are_those_of_a_mirrors_file(
        self, mirror: Mirror, destination: RegistryProcess, name: str, transfer: str
    ) -> None:
        images.push(destination.url, name, "v1", STABLE)
        options = {
            "transfer": transfer,
            "on_moved_tag": {"v*": "follow", "*": "keep"},
            "backup_tag": "{{ tag }}-was-{{ digest_short }}",
            "platforms": ["linux/amd64"],
        }
        assert mirror(tags=["v1"], options=options).state == "success"
        assert images.resolve(destination.url, name, f"v1-was-{STABLE.digest.encoded[:12]}") == STABLE.digest
        assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64"}

    def test_a_dry_run_writes_nothing(self, mirror: Mirror, destination: RegistryProcess, name: str) -> None:
        api = FakeApi(dag_id="own")
        assert mirror(api, tags=["v1"], dry_run=True).state == "success"
        result = api.xcoms["mirror", -1, "return_value"]
        assert (result["counts"], result["digests"]) == ({"would_copy": 1}, {"v1": str(V1.digest)})
        assert images.resolve(destination.url, name, "v1") is None

    def test_one_registry_may_be_both(self, mirror: Mirror, filled: RegistryProcess) -> None:
        assert mirror(destination=f"{filled.host}/org/copy-of-app", tags=["v1"]).state == "success"
        assert images.resolve(filled.url, "org/copy-of-app", "v1") == V1.digest

    def test_connections_are_templates(self, mirror: Mirror) -> None:
        with RegistryProcess(auth=Htpasswd(users={"robot": "secret"})) as locked:
            api = FakeApi(dag_id="own", connections={"to_test": {"login": "robot", "password": "secret"}})
            arguments = {"destination": f"{locked.host}/org/app", "tags": ["v1"]}
            assert mirror(api, **arguments, destination_conn_id="to_{{ params.stage }}").state == "success"
            denied = mirror(api, **arguments)
        assert isinstance(denied.error, DeniedError)

    def test_a_failed_tag_fails_the_task_and_the_others_are_copied(
        self, mirror: Mirror, destination: RegistryProcess, name: str
    ) -> None:
        images.push(destination.url, name, "v1", STABLE)
        ended = mirror(tags=["v1", "v2"], options={"on_moved_tag": "fail"})
        assert isinstance(ended.error, RefusedError)
        assert f"v1: changed to {V1.digest.short}" in str(ended.error)
        assert ended.state == "failed"
        assert images.resolve(destination.url, name, "v2") == V2.digest

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (
                {"destination": "{{ params.nothing | default('') }}"},
                "destination: expected a repository such as 'quay.io/org/app', got ''",
            ),
            (
                {"tags": ["{{ 'v1.*' }}"]},
                "tags[0]: 'v1.*' is not a tag; names are tags, or TAG@sha256:…; globs go into include",
            ),
            ({"options": {"policy": "/no/such/policy.json"}}, None),
        ],
    )
    def test_a_wrong_argument_is_named_and_not_retried(
        self, mirror: Mirror, arguments: dict[str, Any], problem: str | None
    ) -> None:
        ended = mirror(retries=3, **arguments)
        assert isinstance(ended.error, ConfigurationError)
        assert problem is None or str(ended.error) == f"MirrorRepositoryOperator 'mirror': {problem}"
        assert ended.state == "failed"


def test_arguments_are_keywords_and_a_missing_one_is_named() -> None:
    with pytest.raises(TypeError, match="missing keyword argument 'destination'"):
        MirrorRepositoryOperator(task_id="mirror", source="quay.io/org/app")  # type: ignore[call-arg]


def test_the_retry_policy_is_ours_unless_the_dag_has_another() -> None:
    other = _OtherPolicy()
    with DAG(dag_id="own", schedule=None, default_args={"retry_policy": other}):
        by_dag = MirrorRepositoryOperator(task_id="a", source="quay.io/org/app", destination="docker.io/org/app")
    alone = MirrorRepositoryOperator(task_id="a", source="quay.io/org/app", destination="docker.io/org/app")
    assert by_dag.retry_policy is other
    assert type(alone.retry_policy) is MirrorRetryPolicy


class _OtherPolicy(MirrorRetryPolicy):
    """A policy of somebody's own."""


def test_the_package_imports_airflow_only_when_an_operator_is_asked_for() -> None:
    """Every task of every DAG imports it."""
    code = "import sys, registry_sync.airflow.operators; print([name for name in sys.modules if 'airflow.sdk' in name])"
    environment = {"PYTHONPATH": str(PROJECT / "plugins")}
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert ended.stdout == "[]\n"


def test_a_name_that_is_no_operator_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'NoSuchOperator'"):
        operators.NoSuchOperator  # noqa: B018
