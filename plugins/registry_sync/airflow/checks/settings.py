"""Checks by Airflow's settings: the limit of mapped tasks, and queues that no worker serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.configuration import conf

from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.config.rules import NamespaceRule
from registry_sync.text import one_line

INSPECT_SECONDS = 3.0
"""Time that Celery workers have to answer."""


def plugins_folder() -> Path:
    """The folder of Airflow that may have a copy of this package."""
    return Path(conf.get_mandatory_value("core", "plugins_folder"))


def check_map_length(file: MirrorsFile) -> Iterator[Finding]:
    """Compare the repositories that a mirror names with the number of tasks that Airflow maps."""
    limit = conf.getint("core", "max_map_length")
    for mirror in file.mirrors.values():
        yield _check_mirror(mirror, limit)


def _check_mirror(mirror: Mirror, limit: int) -> Finding:
    written = sum(not isinstance(rule, NamespaceRule) for rule in mirror.rules)
    has_namespaces = written < len(mirror.rules)
    subject, check = f"mirror {mirror.name}", "max_map_length"
    if written > limit:
        return Finding(
            subject=subject,
            check=check,
            verdict="missing",
            text=f"the mirror has {written} repositories, but Airflow maps at most {limit}, as this machine is set",
            remedy=f"set AIRFLOW__CORE__MAX_MAP_LENGTH={written + 100} or more for the API server and the workers",
        )
    more = " and those of its namespaces" if has_namespaces else ""
    return Finding(subject=subject, check=check, text=f"{written} repositories{more} of at most {limit}")


def check_queues(file: MirrorsFile) -> Iterator[Finding]:
    """Check that a worker serves each queue that the file names, where the executor has that information."""
    queues = sorted({registry.queue for registry in file.registries.values() if registry.queue})
    if not queues:
        return
    served, reason = served_queues()
    for queue in queues:
        yield _check_queue(queue, served, reason)


def _check_queue(queue: str, served: Mapping[str, int] | None, reason: str) -> Finding:
    subject = f"queue {queue}"
    if served is None:
        text = f"{reason}; check --on-workers runs a task there"
        return Finding(subject=subject, check="workers", verdict="skipped", text=text)
    if queue not in served:
        return Finding(
            subject=subject,
            check="workers",
            verdict="missing",
            text=f"no worker serves it, so its tasks would wait for ever; served are {', '.join(served) or 'none'}",
            remedy=f"airflow celery worker --queues {queue}",
        )
    return Finding(subject=subject, check="workers", text=f"{served[queue]} workers")


def served_queues() -> tuple[Mapping[str, int] | None, str]:
    """The queues that Celery's workers serve now, with the number of workers; or ``None`` and the reason."""
    executor = conf.get("core", "executor")
    if "Celery" not in executor:
        return None, f"{executor} does not report which queues have workers"
    try:
        from airflow.providers.celery.executors.celery_executor import app  # type: ignore[import-not-found]  # noqa: PLC0415 - it may be missing
    except ImportError as error:
        return None, f"the Celery provider cannot be imported here ({one_line(str(error), 100)})"
    try:
        answers = app.control.inspect(timeout=INSPECT_SECONDS).active_queues()
    except Exception as error:  # of the broker, by any of kombu's transports
        return None, f"the broker could not be asked ({type(error).__name__}: {one_line(str(error), 100)})"
    return count_workers(answers or {}), ""


def count_workers(answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> Mapping[str, int]:
    """The number of workers by queue.

    >>> count_workers({"celery@a": [{"name": "default"}, {"name": "acr"}], "celery@b": [{"name": "acr"}]})
    {'acr': 2, 'default': 1}
    """
    names = [str(queue["name"]) for queues in answers.values() for queue in queues]
    return {name: names.count(name) for name in sorted(set(names))}
