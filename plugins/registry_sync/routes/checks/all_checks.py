"""All checks of a mirrors file across its entries, in one list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from registry_sync.config.reading.explain_errors import Problem
from registry_sync.routes.checks.check_cycles import check_cycles
from registry_sync.routes.checks.checked_file import CheckedFile
from registry_sync.routes.checks.names import check_namespace_names, check_repository_names, check_reserved_names
from registry_sync.routes.checks.options import (
    check_catchup,
    check_deep_check,
    check_mover,
    check_proxies,
    check_push_times,
    check_signature_lookup,
)
from registry_sync.routes.checks.registries import (
    check_default_destinations,
    check_destinations_differ,
    check_public_destinations,
    check_registry_names,
)
from registry_sync.routes.checks.writers import check_namespaces_onto_themselves, check_pruning, check_writers


def check_mirrors(checked: CheckedFile) -> list[Problem]:
    """The problems of all mirrors, by every check of :data:`CHECKS`."""
    return list(chain.from_iterable(check(checked) for check in CHECKS))


CHECKS: tuple[Callable[[CheckedFile], Iterator[Problem]], ...] = (
    check_registry_names,
    check_destinations_differ,
    check_default_destinations,
    check_public_destinations,
    check_catchup,
    check_deep_check,
    check_reserved_names,
    check_repository_names,
    check_namespace_names,
    check_push_times,
    check_writers,
    check_namespaces_onto_themselves,
    check_cycles,
    check_pruning,
    check_signature_lookup,
    check_mover,
    check_proxies,
)
"""Every check of mirrors. Problems are shown by line, and in this order within a line."""
