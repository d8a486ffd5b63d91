"""All checks, for the command ``check`` and for the tasks of the DAG ``mirrors_check``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import chain

from registry_sync.airflow.checks.database import check_database
from registry_sync.airflow.checks.event_queues import check_event_queues
from registry_sync.airflow.checks.events import check_events
from registry_sync.airflow.checks.notifiers import check_notifiers
from registry_sync.airflow.checks.settings import check_map_length, check_queues
from registry_sync.airflow.masking import masked_finding
from registry_sync.checks.finding import Finding, guarded
from registry_sync.checks.pruning import check_pruning
from registry_sync.checks.registries import check_registries
from registry_sync.checks.shared_names import check_shared_names
from registry_sync.checks.worker import check_worker
from registry_sync.config.document import MirrorsFile
from registry_sync.sync.session import Connections

log = logging.getLogger(__name__)


def check_here(
    file: MirrorsFile, connections: Connections, tell: Callable[[str], None] = log.info
) -> Iterator[Finding]:
    """Check the needs of a task on the machine where it runs: registries, skopeo, files, notifiers.

    Secrets are masked in the findings, which may quote responses of registries.

    :param tell: takes lines about the progress.
    """
    found = (
        guarded("this machine", "skopeo and files", check_worker(file, connections)),
        check_registries(file, connections, tell),
        guarded("notifiers", "configuration", check_notifiers(file)),
    )
    yield from map(masked_finding, chain.from_iterable(found))


def check_airflow(file: MirrorsFile) -> Iterator[Finding]:
    """Check the needs of a run of Airflow, by its database and settings."""
    found = (
        guarded("mirrors", "names at destinations", check_shared_names(file)),
        guarded("mirrors", "prune", check_pruning(file)),
        guarded("Airflow", "database", check_database(file)),
        guarded("Airflow", "map length", check_map_length(file)),
        guarded("Airflow", "queues", check_queues(file)),
        guarded("Airflow", "events", check_events(file)),
        guarded("Airflow", "event queues", check_event_queues(file)),
    )
    yield from map(masked_finding, chain.from_iterable(found))


def check_everything(file: MirrorsFile, connections: Connections, tell: Callable[[str], None]) -> Iterator[Finding]:
    """Check the needs of a run of Airflow, and of a task on this machine."""
    yield from check_airflow(file)
    yield from check_here(file, connections, tell)
