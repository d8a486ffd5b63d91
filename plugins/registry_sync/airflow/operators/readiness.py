"""The three tasks of the readiness DAG: list the checks, check one image at one registry, report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator, TriggerRule
from airflow.sdk.exceptions import AirflowFailException

from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.ids import (
    CHECK_TASK,
    LIST_IMAGES_TASK,
    NOTES_KEY,
    RESULTS_KEY,
)
from registry_sync.airflow.masking import masked_readiness, masked_text
from registry_sync.airflow.messages.notifications import MESSAGES
from registry_sync.airflow.runs.context import read_parameters
from registry_sync.airflow.runs.damaged_images import read_damaged
from registry_sync.airflow.runs.map_length import check_map_length
from registry_sync.airflow.runs.recent_runs import list_recent_runs
from registry_sync.airflow.runs.route_results import pull_results
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.config.node_pools import NodePool
from registry_sync.errors import RefusedError, RegistrySyncError, TemporaryError
from registry_sync.state.names import ASSET_GROUP, READINESS_ASSET
from registry_sync.sync.report import RouteReport

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.nodes.readiness.known_damage import KnownDamage
    from registry_sync.nodes.readiness.known_digests import KnownDigests
    from registry_sync.nodes.readiness.model import ImageReadiness
    from registry_sync.nodes.readiness.plan import MirroredDigest, ReadinessPlan
    from registry_sync.nodes.readiness.report import ReadinessReport


class ListImagesOperator(BaseOperator):
    """List the bootstrap images of all pools, with their digests and the registries that must have them.

    Digests are read from the registries that the images are pushed to. While such a registry is down, the digests of an
    earlier run are used, and those that runs of mirrors have copied since.

    :param file: the mirrors file.
    :param dag_ids: the DAG of each mirror, by the mirror's name.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, file: MirrorsFile, dag_ids: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.dag_ids = dag_ids

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return the arguments of one :class:`CheckEndpointOperator` per image and registry."""
        from registry_sync.nodes.readiness.plan import plan_checks

        ti = context["ti"]
        known = _recall()
        plan = plan_checks(
            self.file,
            list(self.file.node_pools.values()),
            lambda registry: RegistryHook(registry).get_conn(),
            lambda: known,
            lambda: read_mirrored_digests(ti, self._unfiltered_mirrors(), known),
        )
        _remember(plan, known)
        notes = [*filter(None, [self.file.note]), *plan.notes]
        ti.xcom_push(NOTES_KEY, [masked_text(note) for note in notes])
        for note in notes:
            self.log.warning("%s", note)
        check_map_length(len(plan.checks), f"bootstrap images need {len(plan.checks)} checks", "name fewer")
        self.log.info("%d checks:\n%s", len(plan.checks), "\n".join(check.label for check in plan.checks))
        return [{"check": check.to_json()} for check in plan.checks]

    def _unfiltered_mirrors(self) -> dict[str, Mirror]:
        """The mirrors that publish the digests of their source, by their DAGs. Mirrors with ``platforms`` do not."""
        mirrors = {self.dag_ids[name]: mirror for name, mirror in self.file.mirrors.items()}
        return {
            dag: mirror for dag, mirror in mirrors.items() if not any(rule.settings.platforms for rule in mirror.rules)
        }


def _recall() -> KnownDigests:
    """The digests that earlier runs read at sources; none where the store fails, which is logged."""
    from registry_sync.airflow.states.state_store import losing, open_named_store
    from registry_sync.nodes.readiness.known_digests import KnownDigests
    from registry_sync.state.known_digests import recall_digests

    read = [KnownDigests()]
    with losing("digests that earlier runs read are not known"):
        read.append(recall_digests(open_named_store(READINESS_ASSET)))
    return read[-1]


def _remember(plan: ReadinessPlan, known: KnownDigests) -> None:
    """Store what this run and earlier ones read, for runs and commands while a source is down."""
    from registry_sync.airflow.states.state_store import losing, open_named_store
    from registry_sync.nodes.readiness.known_digests import KnownDigests, repository_of
    from registry_sync.state.known_digests import store_digests

    read = {name: digest for name, digest in plan.digests.items() if repository_of(name) in plan.read_at}
    if read:
        with losing("digests are not stored for the time when a source is down"):
            newer = KnownDigests(digests=read, read_at=plan.read_at)
            store_digests(open_named_store(READINESS_ASSET), known.updated(newer))


def read_mirrored_digests(ti: Any, mirrors: Mapping[str, Mirror], known: KnownDigests) -> dict[str, MirroredDigest]:
    """The digests that recent runs of mirrors copied, by the images' names at their sources.

    A report has the digests of copied tags only. For an image that is known, a run counts when it began after the
    image's source was read.

    :param mirrors: by the ids of their DAGs.
    :param known: what earlier runs of this task read.
    """
    from registry_sync.nodes.readiness.plan import MirroredDigest

    mirrored: dict[str, MirroredDigest] = {}
    for dag, mirror in mirrors.items():
        for run_id, began in list_recent_runs(ti, dag):
            for report in _pull_reports(ti, dag, mirror.destinations, run_id):
                time = known.read_at.get(report.source)
                is_later = time is not None and began >= time
                for tag in report.tags:
                    name = f"{report.source}:{tag.tag}"
                    if tag.outcome == "copied" and tag.digest and (is_later or name not in known.digests):
                        mirrored[name] = MirroredDigest(digest=tag.digest, run=f"the run {run_id} of {dag}")
    return mirrored


def _pull_reports(ti: Any, dag: str, destinations: Sequence[str], run_id: str) -> Iterator[RouteReport]:
    for destination in destinations:
        for result in pull_results(ti, destination, dag_id=dag, run_id=run_id):
            yield result.report


class CheckEndpointOperator(BaseOperator):
    """Check one bootstrap image at one registry that nodes pull from: anonymously, within a node's time limits.

    :param check: an :class:`~registry_sync.nodes.readiness.model.EndpointCheck` as JSON.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e3f2e1"

    def __init__(self, *, check: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check

    def execute(self, context: Context) -> None:
        """Push the results first, then fail or retry."""
        results = self._check_images(read_parameters(context))
        context["ti"].xcom_push(RESULTS_KEY, [masked_readiness(result).to_json() for result in results])
        for result in results:
            if result.is_ready:
                self.log.info("%s is ready at %s: %s", result.image, result.registry, result.digest)
        if error := error_of_results(results):
            raise error

    def _check_images(self, params: Mapping[str, Any]) -> list[ImageReadiness]:
        from registry_sync.nodes.readiness.check import Limits, check_endpoint
        from registry_sync.nodes.readiness.model import EndpointCheck

        check = EndpointCheck.from_json(self.check)
        limits = Limits(
            request_seconds=params["request_seconds"], read_bytes=round(params["read_megabytes"] * 1_000_000)
        )
        with closing(RegistryHook(check.registry).get_node_conn(limits.request_seconds)) as client:
            return check_endpoint(check, client, limits, datetime.now(UTC).date())


def error_of_results(results: Sequence[ImageReadiness]) -> RegistrySyncError | None:
    """The error that a check task ends with; ``None`` when every image is ready.

    The error is temporary, which retries the task, unless a retry cannot help: the registry returns another image, or
    something that is not an image.
    """
    faulty = [result for result in results if not result.is_ready]
    if not faulty:
        return None
    message = "\n".join(f"{result.image} from {result.registry}: {result.problem}" for result in faulty)
    is_permanent = all(result.fault in ("wrong", "unreadable") for result in faulty)
    return RefusedError(message) if is_permanent else TemporaryError(message)


READINESS = Asset(name=READINESS_ASSET, uri="x-registry-sync://nodes", group=ASSET_GROUP)
"""The asset whose store has the last result. Its task has it as an inlet: an outlet would emit events."""


class ReadinessReportOperator(BaseOperator):
    """Print the verdicts on node pools now and with each single registry down, and store them for the page.

    The task fails when a node would not start although it should.

    :param pools: the pools that were checked.
    :param dag_ids: the DAG of each mirror, by the mirror's name. Images that their deep checks found damaged count as
        damaged, without being read again.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(
        self,
        *,
        pools: Sequence[NodePool],
        dag_ids: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, inlets=[READINESS, MESSAGES], **kwargs)
        self.pools = pools
        self.dag_ids = dag_ids

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the verdicts, for programs."""
        report = self._collect(context)
        self.log.info("Would a node start now?\n\n%s", report.text())
        self._store(context, report)
        if report.is_failed:
            raise AirflowFailException(report.summary)
        self.log.info("%s", report.summary)
        return {"summary": report.summary, "verdicts": [verdict.to_json() for verdict in report.verdicts]}

    def _collect(self, context: Context) -> ReadinessReport:
        from registry_sync.nodes.readiness.known_damage import fault_damaged
        from registry_sync.nodes.readiness.model import ImageReadiness
        from registry_sync.nodes.readiness.report import ReadinessReport

        ti = context["ti"]
        listed = ti.xcom_pull(task_ids=LIST_IMAGES_TASK)
        if listed is None:
            return ReadinessReport.of(self.pools, unlisted_images(self.pools))
        pulled = filter(None, ti.xcom_pull(task_ids=[CHECK_TASK], key=RESULTS_KEY) or [])
        results = [ImageReadiness.from_json(result) for of_task in pulled for result in of_task]
        notes = ti.xcom_pull(task_ids=LIST_IMAGES_TASK, key=NOTES_KEY) or []
        images = fault_damaged(add_unchecked(listed, results), read_known_damage(ti, self.dag_ids))
        return ReadinessReport.of(self.pools, images, notes=notes)

    def _store(self, context: Context, report: ReadinessReport) -> None:
        """Store the result for the page, and send metrics and messages. The result of the run stays if that fails."""
        from registry_sync.airflow.messages.readiness_messages import send_readiness_messages
        from registry_sync.airflow.states.readiness_state import publish_readiness

        store = context["asset_state_store"][READINESS]
        try:
            state = publish_readiness(store, report, run_id=context["ti"].run_id, now=datetime.now(UTC))
        except Exception as error:
            self.log.warning("the result could not be stored; the page shows an earlier one: %s", error)
        else:
            send_readiness_messages(context, self.pools, state)


def read_known_damage(ti: Any, dag_ids: Mapping[str, str]) -> list[KnownDamage]:
    """The images that deep checks of mirrors found damaged, and that are not known to be whole again.

    :param dag_ids: the DAG of each mirror, by the mirror's name.
    """
    from registry_sync.nodes.readiness.known_damage import KnownDamage

    return [
        KnownDamage(
            registry=destination,
            repository=image.repository.partition("/")[2],
            digest=image.digest,
            problem=f"the deep check of {dag} found at {image.at:%Y-%m-%d %H:%M} UTC: {image.problem}",
        )
        for dag in dag_ids.values()
        for destination, images in read_damaged(ti, dag).items()
        for image in images
    ]


def unlisted_images(pools: Sequence[NodePool]) -> list[ImageReadiness]:
    """All bootstrap images as unchecked, for a run whose list of images is missing."""
    from registry_sync.nodes.readiness.model import ImageReadiness
    from registry_sync.nodes.readiness.plan import ANY_TAG

    problem = f"not checked: task {LIST_IMAGES_TASK} ended without a list of images; see its log"
    return [
        ImageReadiness(
            pool=pool.name,
            image=f"{image.repository}:{ANY_TAG}",
            registry=registry,
            fault="unchecked",
            problem=problem,
        )
        for pool in pools
        for image in pool.images
        for registry, _ in pool.pull_order
    ]


def add_unchecked(listed: Sequence[Mapping[str, Any]], results: Sequence[ImageReadiness]) -> list[ImageReadiness]:
    """One result for each listed image, in order. It is ``unchecked`` where the task was killed without a result."""
    from registry_sync.nodes.readiness.model import EndpointCheck, ImageReadiness

    by_key = {(result.pool, result.image, result.registry): result for result in results}
    checks = (EndpointCheck.from_json(row["check"]) for row in listed)
    problem = f"not checked: its task {CHECK_TASK} ended without a result; see its log"
    return [
        by_key.get((check.pool, check.image(expected), check.registry.name))
        or ImageReadiness.unchecked(check, expected, problem)
        for check in checks
        for expected in check.tags
    ]
