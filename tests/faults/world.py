"""Two registries with log-ins, an interceptor in front of each registry and log-in, and a mirror between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.execution_time.comms import DeferTask, RetryTask
from airflow.sdk.execution_time.supervisor import TaskRunResult

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.config.settings import MoverName
from registry_sync.errors import RegistrySyncError
from registry_sync.oci.reference import Digest
from registry_sync.routes.load import load_mirrors
from testkit import images
from testkit.interceptor import Interceptor
from testkit.rate_limits import forget_rate_limits
from testkit.registry import RegistryProcess
from testkit.task_runner import FakeApi, run
from testkit.token_server import TokenServer
from testkit.waiting import PATIENCE_SECONDS
from tests.faults.faults import authority
from tests.faults.stages import Scene, Wire

PLAN, COPY, TAG = "routes_to_backup", "to_backup", "v1"
STALL_SECONDS = 3
_ROBOT, _PASSWORD = "robot", "only-for-these-tests-41c7"


@dataclass(frozen=True, kw_only=True)
class World:
    """Servers that the cases share. Each case has its own repository."""

    tokens: TokenServer
    source: RegistryProcess
    destination: RegistryProcess
    wires: Mapping[Wire, Interceptor]
    folder: Path
    tls: bool

    def repair(self) -> None:
        """Remove all faults, and the pauses that they began."""
        forget_rate_limits()
        for wire in self.wires.values():
            wire.clear_rules()
            if self.tls:
                wire.show(authority().issue())

    def put(self, name: str, scene: Scene) -> tuple[images.Image, images.Image]:
        """A changed tag, with its image at the destination and at the source."""
        old, new = images.image([], labels={"name": name}), a_small_index(name)
        with self.tokens.session(name) as session:
            images.push(self.destination.url, name, TAG, old, session=session)
            images.push(self.source.url, name, TAG, new, session=session)
            if scene == "held":
                images.push(self.destination.url, name, None, new, session=session)
        return old, new

    def shown(self, name: str) -> dict[str, Digest]:
        """Digest of each tag of the destination, after its content was pulled and checked."""
        with self.tokens.session(name) as session:
            listing = session.get(f"{self.destination.url}/v2/{name}/tags/list", timeout=PATIENCE_SECONDS)
            assert listing.status_code == 200, listing.text
            found = {}
            for tag in listing.json()["tags"]:
                images.pull_whole(self.destination.url, name, tag, session=session)
                digest = images.resolve(self.destination.url, name, tag, session=session)
                assert digest is not None
                found[tag] = digest
            return found

    def mirror(
        self, name: str, scene: Scene = "moved tag", mover: MoverName = "skopeo", *, stalls: bool = False
    ) -> MirrorRun:
        """A run of a mirror of one repository, or of its namespace, with a DAG built from a mirrors file.

        :param stalls: a copy is ended after :data:`STALL_SECONDS` without traffic.
        """
        path = self.folder / f"{name.replace('/', '-')}.yaml"
        side = {"ca_file": str(authority().ca_file)} if self.tls else {"tls": False, "connection": "robot"}
        rule = {"namespace": name.partition("/")[0]} if scene == "namespace" else name
        document = {
            "registries": {
                "origin": {"host": self.wires["source"].host, **side},
                "backup": {"host": self.wires["destination"].host, **side},
            },
            "mirrors": {"team": {"source": "origin", "destinations": ["backup"], "repositories": [rule]}},
            "defaults": {"transfer": mover} | ({"stall_timeout_seconds": STALL_SECONDS} if stalls else {}),
        }
        path.write_text(json.dumps(document))
        file = load_mirrors(path)
        dag = build_dag(file.mirrors["team"], file)
        connections = {"robot": {"login": _ROBOT, "password": _PASSWORD}}
        return MirrorRun(dag=dag, api=FakeApi(dag_id=dag.dag_id, connections=connections))


@dataclass(kw_only=True)
class MirrorRun:
    """Tasks of one DAG run."""

    dag: DAG
    api: FakeApi

    def plan(self) -> TaskRunResult:
        return self._run(PLAN, -1, 1)

    def copy(self, *, try_number: int = 1) -> TaskRunResult:
        return self._run(COPY, 0, try_number)

    def both(self) -> TaskRunResult:
        """Run the first task and, if it succeeds, the copy. Return the last result."""
        result = self.plan()
        return self.copy() if result.state == "success" else result

    def _run(self, task_id: str, map_index: int, try_number: int) -> TaskRunResult:
        """Run a task. A deferred one continues after its wait."""
        result = run(self.dag, task_id, self.api, map_index=map_index, try_number=try_number)
        self.api.resume = result.msg if isinstance(result.msg, DeferTask) else None
        return result

    def pushed(self) -> dict[str, Any] | None:
        """Report of the copy."""
        report = self.api.xcoms.get((COPY, 0, "report"))
        assert report is None or isinstance(report, dict)
        return report


def outcome(result: TaskRunResult, report: Mapping[str, Any] | None) -> str:
    """Result in Airflow with its reason: ``success`` (or ``skipped`` like its tag), ``wait``, ``retry``, ``fail``."""
    error = result.error
    if result.state == "success":
        return "skipped" if report and report["counts"]["skipped"] else "success"
    if result.state == "deferred":
        return "wait"
    assert isinstance(error, RegistrySyncError), error
    if result.state == "failed":
        return f"fail: {error.error_class}"
    assert isinstance(result.msg, RetryTask), result
    assert result.msg.retry_reason == error.error_class
    return f"retry: {error.error_class}"


def a_small_index(text: str) -> images.Image:
    """An index of one image with one layer, all missing at the destination."""
    content = images.layer({"message": text.encode()})
    return images.index([images.image([content], labels={"text": text})])


@contextmanager
def a_world(folder: Path, *, tls: bool = False) -> Iterator[World]:
    """Registries behind interceptors: over HTTP with a password and tokens, or with ``tls`` and anonymous access."""
    with ExitStack() as stack:
        tokens = stack.enter_context(TokenServer({_ROBOT: _PASSWORD}))
        wires: dict[Wire, Interceptor] = {}
        registries = {}
        for side in ("source", "destination"):
            log_in = stack.enter_context(Interceptor(tokens.realm.removesuffix("/token")))
            auth = None if tls else replace(tokens.token_auth, realm=f"{log_in.url}/token")
            registries[side] = stack.enter_context(RegistryProcess(auth=auth))
            certificate = authority().issue() if tls else None
            wire = stack.enter_context(Interceptor(registries[side].url, certificate=certificate))
            wires |= (
                {"source": wire, "source's log-in": log_in}
                if side == "source"
                else {"destination": wire, "destination's log-in": log_in}
            )
        yield World(
            tokens=tokens,
            source=registries["source"],
            destination=registries["destination"],
            wires=wires,
            folder=folder,
            tls=tls,
        )
