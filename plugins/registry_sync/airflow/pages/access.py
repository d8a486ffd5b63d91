"""Access checks of the pages, by Airflow's own users and rights on DAGs.

Airflow checks nothing for the apps of plugins, so every route of the pages depends on :data:`Caller`.
``ReadableDagsFilterDep`` is of no use here: it reads the state of Airflow's own app, which a mounted app lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException

from registry_sync.airflow.ids import dag_id, is_of_pushes, mirror_name
from registry_sync.airflow.states.stored_states import StoredStates


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The person or program that sends the request.

    :ivar readable: ids of the DAGs that they may read.
    """

    user: Any
    readable: frozenset[str]

    @property
    def name(self) -> str:
        """Their name in Airflow."""
        return str(self.user.get_name())

    @property
    def mirrors(self) -> frozenset[str]:
        """Names of the mirrors whose DAGs they may read."""
        dags = (dag for dag in self.readable if not is_of_pushes(dag))
        return frozenset(name for dag in dags if (name := mirror_name(dag)) and name != dag)

    def may_read(self, mirror: str) -> bool:
        """Return whether they may read the DAG of this mirror."""
        return dag_id(mirror) in self.readable

    def may_run(self, mirror: str) -> bool:
        """Return whether they may trigger the DAG of this mirror."""
        if not self.may_read(mirror):
            return False
        details = DagDetails(id=dag_id(mirror), team_name=DagModel.get_team_name(dag_id(mirror)))
        return get_auth_manager().is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=details, user=self.user
        )

    def require(self, mirror: str) -> None:
        """:raises HTTPException: 404 as for a mirror that does not exist, when they may not read it."""
        if not self.may_read(mirror):
            raise HTTPException(404, f"There is no mirror {mirror!r}, or you may not read its DAG.")


def read_caller(user: GetUserDep) -> Reader:
    """:raises HTTPException: 401 for a caller without a valid token or cookie of Airflow."""
    return Reader(user=user, readable=frozenset(get_auth_manager().get_authorized_dag_ids(user=user, method="GET")))


Caller = Annotated[Reader, Depends(read_caller)]
"""Dependency of every route."""


def open_states(caller: Caller, session: SessionDep) -> StoredStates:
    """The states of the mirrors that the caller may read."""
    return StoredStates(session, caller.mirrors)


States = Annotated[StoredStates, Depends(open_states)]
