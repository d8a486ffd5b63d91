"""The three tasks of the readiness DAG: list the checks, look at one image in one registry, report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.sdk import BaseOperator, TriggerRule
from airflow.sdk._shared.secrets_masker import redact
from airflow.sdk.exceptions import AirflowFailException

from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.ids import REPORT_KEY, copy_task
from registry_sync.config.model import Mirror, MirrorsFile
from registry_sync.config.node_pools import NodePool
from registry_sync.errors import ConfigurationError, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.sync.report import RouteReport

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.nodes.readiness.check import ImageReadiness
    from registry_sync.nodes.readiness.plan import Copied
    from registry_sync.nodes.readiness.report import ReadinessReport

PLAN, CHECK, REPORT = "list_images", "check", "report"
"""The ids of the tasks."""

FOUND_KEY, DIGESTS_KEY, ASKED_KEY, NOTES_KEY = "found", "digests", "asked_at", "notes"
"""XCom keys: what a check found, and what the list of checks goes with."""

MOST_RUNS = 24
"""So many runs of a mirror are read back at most."""


class ListImagesOperator(BaseOperator):
    """List the bootstrap images of all pools with the digests that they should have, and where each has to be.

    Digests are those of the registries that the images are pushed to. While one of these is down, what it said in an
    earlier run stands in, and what runs of mirrors have copied since then.

    :param file: the mirrors file.
    :param dag_ids: the DAG of each mirror, by its name.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, file: MirrorsFile, dag_ids: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.dag_ids = dag_ids

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Arguments of one :class:`CheckEndpointOperator` per image and registry."""
        from registry_sync.nodes.readiness.plan import plan_checks

        ti = context["ti"]
        earlier = ti.xcom_pull(task_ids=PLAN, key=DIGESTS_KEY, map_indexes=-1, include_prior_dates=True) or {}
        pools = list(self.file.node_pools.values())
        asked_at = ti.xcom_pull(task_ids=PLAN, key=ASKED_KEY, map_indexes=-1, include_prior_dates=True) or {}
        plan = plan_checks(
            self.file,
            pools,
            lambda registry: RegistryHook(registry).get_conn(),
            earlier,
            lambda: read_copied(ti, self._whole_mirrors(), earlier, asked_at),
        )
        ti.xcom_push(DIGESTS_KEY, plan.digests)
        ti.xcom_push(ASKED_KEY, {**asked_at, **{name: each.isoformat() for name, each in plan.asked_at.items()}})
        ti.xcom_push(NOTES_KEY, [str(redact(each)) for each in plan.notes])
        for text in plan.notes:
            self.log.warning("%s", text)
        _check_length(len(plan.checks))
        self.log.info("%d checks:\n%s", len(plan.checks), "\n".join(each.label for each in plan.checks))
        return [{"check": each.to_json()} for each in plan.checks]

    def _whole_mirrors(self) -> dict[str, Mirror]:
        """By their DAGs, the mirrors that publish the digests of their source: not those of some platforms."""
        mirrors = {self.dag_ids[name]: each for name, each in self.file.mirrors.items()}
        return {dag: m for dag, m in mirrors.items() if not any(each.settings.platforms for each in m.rules)}


def read_copied(
    ti: Any, mirrors: Mapping[str, Mirror], earlier: Mapping[str, str], asked_at: Mapping[str, str]
) -> dict[str, Copied]:
    """What the last runs of mirrors copied, by the images' names at their sources.

    A report has the digests of what was copied, and of nothing else. A run counts for an image that is known already
    when it began after its source was asked.

    :param mirrors: by the ids of their DAGs.
    :param earlier: digests by name, from an earlier run of this task.
    :param asked_at: when that asked, by repository.
    """
    from registry_sync.nodes.readiness.plan import Copied

    copied: dict[str, Copied] = {}
    for dag, mirror in mirrors.items():
        for run_id, began in _last_runs(ti, dag):
            for report in _reports(ti, dag, mirror.destinations, run_id):
                asked = asked_at.get(report.source)
                for tag in report.tags:
                    name = f"{report.source}:{tag.tag}"
                    is_later = asked is not None and began >= datetime.fromisoformat(asked)
                    if tag.outcome == "copied" and tag.digest and (is_later or name not in earlier):
                        copied[name] = Copied(digest=str(tag.digest), run=f"the run {run_id} of {dag}")
    return copied


def _last_runs(ti: Any, dag: str) -> list[tuple[str, datetime]]:
    """The ids of the last runs, oldest first, with the time that stands in them; others cannot be put in order."""
    runs = ti.get_task_states(dag_id=dag, task_ids=["report"])
    timed = [(run_id, match[1]) for run_id in runs if (match := _RUN_TIME.search(run_id))]
    return sorted(((run_id, datetime.fromisoformat(text)) for run_id, text in timed), key=itemgetter(1))[-MOST_RUNS:]


_RUN_TIME = re.compile(r"__(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+\d\d:\d\d)")


def _reports(ti: Any, dag: str, destinations: Sequence[str], run_id: str) -> Iterator[RouteReport]:
    for each in destinations:
        pushed = ti.xcom_pull(dag_id=dag, run_id=run_id, task_ids=[copy_task(each)], key=REPORT_KEY)
        yield from map(RouteReport.from_json, filter(None, pushed or []))


def _check_length(count: int) -> None:
    """:raises ConfigurationError: when Airflow would not map a task over so many checks."""
    most = conf.getint("core", "max_map_length")
    if count > most:
        advice = "name fewer, or set AIRFLOW__CORE__MAX_MAP_LENGTH higher for the API server and the workers"
        raise ConfigurationError(f"bootstrap images need {count} checks, Airflow maps {most} at most: {advice}")


class CheckEndpointOperator(BaseOperator):
    """Look at one bootstrap image in one registry that nodes pull from, as they see it: anonymously, in good time.

    :param check: an :class:`~registry_sync.nodes.readiness.check.EndpointCheck` as JSON.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e3f2e1"

    def __init__(self, *, check: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check

    def execute(self, context: Context) -> None:
        """Push what was found, and only then fail or retry."""
        found = self._look(context["params"])
        context["ti"].xcom_push(FOUND_KEY, [each.to_json() for each in found])
        for each in found:
            if each.is_ready:
                self.log.info("%s is ready at %s: %s", each.image, each.registry, each.digest)
        if error := error_of(found):
            raise error

    def _look(self, params: Mapping[str, Any]) -> list[ImageReadiness]:
        from registry_sync.nodes.readiness.check import EndpointCheck, Limits, check_endpoint

        check = EndpointCheck.from_json(self.check)
        limits = Limits(
            request_seconds=params["request_seconds"], read_bytes=round(params["read_megabytes"] * 1_000_000)
        )
        with closing(RegistryHook(check.registry).get_node_conn(limits.request_seconds)) as client:
            return check_endpoint(check, client, limits, datetime.now(UTC).date())


def error_of(found: Sequence[ImageReadiness]) -> RegistrySyncError | None:
    """What a check that found a fault ends with: worth another try, unless what is there is plainly another thing."""
    faulty = [each for each in found if not each.is_ready]
    if not faulty:
        return None
    message = "\n".join(f"{each.image} from {each.registry}: {each.problem}" for each in faulty)
    is_plain = all(each.fault in ("wrong", "unreadable") for each in faulty)
    return RefusedError(message) if is_plain else TemporaryError(message)


class ReadinessReportOperator(BaseOperator):
    """Print whether nodes would start now, with each single registry down; fail where they would not and should.

    :param pools: the pools that were checked.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, pools: Sequence[NodePool], **kwargs: Any) -> None:
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, **kwargs)
        self.pools = pools

    def execute(self, context: Context) -> dict[str, Any]:
        """The verdicts, for programs."""
        report = self._collect(context)
        self.log.info("Would a node start now?\n\n%s", report.text())
        if report.is_failed:
            raise AirflowFailException(report.summary)
        self.log.info("%s", report.summary)
        return {"summary": report.summary, "verdicts": [each.to_json() for each in report.verdicts]}

    def _collect(self, context: Context) -> ReadinessReport:
        from registry_sync.nodes.readiness.check import ImageReadiness
        from registry_sync.nodes.readiness.report import ReadinessReport

        ti = context["ti"]
        planned = ti.xcom_pull(task_ids=PLAN)
        if planned is None:
            return ReadinessReport.of(self.pools, unlisted(self.pools))
        pushed = filter(None, ti.xcom_pull(task_ids=[CHECK], key=FOUND_KEY) or [])
        found = [ImageReadiness.from_json(each) for images in pushed for each in images]
        notes = ti.xcom_pull(task_ids=PLAN, key=NOTES_KEY) or []
        return ReadinessReport.of(self.pools, with_unchecked(planned, found), notes=notes)


def unlisted(pools: Sequence[NodePool]) -> list[ImageReadiness]:
    """All bootstrap images, none of them looked at, since there is no list of what to look for."""
    from registry_sync.nodes.readiness.check import ImageReadiness
    from registry_sync.nodes.readiness.plan import ANY_TAG

    problem = f"it was not looked at: {PLAN} ended without a list of images; its own log says why"
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


def with_unchecked(planned: Sequence[Mapping[str, Any]], found: Sequence[ImageReadiness]) -> list[ImageReadiness]:
    """What was found, in the order of the plan; an image whose task ended without a word (killed, say) is unchecked."""
    from registry_sync.nodes.readiness.check import EndpointCheck, ImageReadiness

    by_place = {(each.pool, each.image, each.registry): each for each in found}
    checks = (EndpointCheck.from_json(row["check"]) for row in planned)
    places = ((check, each.tag) for check in checks for each in check.tags)
    problem = "its task ended without a result; its own log says why"
    return [
        by_place.get((check.pool, check.image(tag), check.registry.name))
        or ImageReadiness.unchecked(check, tag, problem)
        for check, tag in places
    ]
