"""A real API server of Airflow over synthetic states, and the people who ask it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.team import Team, dag_bundle_team_association_table
from sqlalchemy import update

from testkit.airflow import LocalAirflow
from testkit.pages import PAGES_PATH, api_server, database_session
from testkit.states import synthetic_states
from testkit.waiting import PATIENCE_SECONDS
from tests.pages.seen import SECRET, readiness, secret_destination

MIRRORS_FILE = """
registries:
  quay: {host: quay.io}
  acr: {host: gsoci.azurecr.io}
  aliyun: {host: giantswarm-registry.cn-shanghai.cr.aliyuncs.com}
  ghcr: {host: ghcr.io}
  harbor: {host: "harbor.example:8443", kind: harbor}
mirrors:
  giantswarm: {source: quay, destinations: [acr, aliyun, ghcr], schedule: "0 * * * *", repositories: [giantswarm/etcd]}
  archive: {source: quay, destinations: [harbor], schedule: "0 * * * *", repositories: [team/etcd]}
"""
"""The DAGs of these mirrors can be triggered; of the other mirrors Airflow knows names only."""


PEOPLE = {"olga": "user", "vera": "viewer"}
"""In Airflow's simple auth manager, users may trigger DAGs and viewers may read."""


class Person:
    """Somebody with a browser, or a program with a token. ``None``: nobody is logged in."""

    def __init__(self, airflow: LocalAirflow, token: str | None) -> None:
        self.token, self.airflow = token, airflow
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: str | None = None,
    ) -> requests.Response:
        """Ask for a page below ``/registry-sync``. Redirects are not followed."""
        return self._session.request(
            method,
            f"{self.airflow.url}{PAGES_PATH}{path}",
            headers={**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})},
            json=json,
            data=data,
            allow_redirects=False,
            timeout=PATIENCE_SECONDS,
        )


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    home = tmp_path_factory.mktemp("pages")
    mirrors_file = home / "mirrors.yaml"
    mirrors_file.write_text(MIRRORS_FILE)
    local = LocalAirflow(
        home / "airflow", mirrors_file=mirrors_file, people=PEOPLE, settings={"AIRFLOW__CORE__MULTI_TEAM": "True"}
    )
    now = datetime.now(UTC)
    states = [*synthetic_states(now=now), secret_destination(now)]
    with api_server(local, states, readiness=readiness(now), dags=True):
        _give_to_team(local, f"mirror_{SECRET}")
        yield local


def _give_to_team(airflow: LocalAirflow, dag: str) -> None:
    """Let only a team read a DAG, as Airflow does with the DAGs of its bundles. Administrators read all."""
    with database_session(airflow) as session:
        session.add_all((Team(name="vault"), DagBundleModel(name="bundle-of-vault")))
        session.flush()
        session.execute(
            dag_bundle_team_association_table.insert().values(dag_bundle_name="bundle-of-vault", team_name="vault")
        )
        session.execute(update(DagModel).where(DagModel.dag_id == dag).values(bundle_name="bundle-of-vault"))


@pytest.fixture(scope="session")
def admin(airflow: LocalAirflow) -> Person:
    return Person(airflow, airflow.api.token)


@pytest.fixture(scope="session")
def viewer(airflow: LocalAirflow) -> Person:
    return Person(airflow, airflow.api_of("vera").token)


@pytest.fixture(scope="session")
def nobody(airflow: LocalAirflow) -> Person:
    return Person(airflow, None)
