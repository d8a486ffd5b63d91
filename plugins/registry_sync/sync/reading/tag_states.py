"""The digests of a route's tags at one registry, by its listing or by HEAD. An error about one tag fails that tag only.

A sample that is spread over all tags is read first, so that a registry that denies every tag gets few requests.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeGuard

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.sync.plan import TagState, Unreadable
from registry_sync.sync.session import PING_AFTER_FAILURES
from registry_sync.sync.threads import PROGRESS_SECONDS

log = logging.getLogger(__name__)

SAMPLE = 20
"""Tags that are read before the others. Scanners block old tags first, so the sample is spread over all names."""


def read_states(
    client: RegistryClient,
    repository: Repository,
    listed: Mapping[str, Digest | None],
    pool: Executor,
    *,
    is_expected: bool = False,
) -> dict[str, TagState]:
    """The digest of each tag: the listed one, or by HEAD where the listing has none.

    When the registry denies or refuses every tag of the sample, the others are not tried.

    :param pool: sends the requests. When it is shut down, the reading ends.
    :param is_expected: the tags were listed, or named by a person, so that a 404 to a HEAD may be wrong.
    :raises RegistrySyncError: when tags cannot be read and the registry does not answer at all.
    """
    states: dict[str, TagState] = {name: digest for name, digest in listed.items() if digest is not None}
    unknown = sorted(name for name in listed if name not in states)
    sample = _spread(unknown, SAMPLE)
    head = partial(client.head_manifest, repository, is_expected=is_expected)
    read_all = partial(_read_all, client, repository, head, pool)
    seen = read_all(sample)
    rest = sorted(set(unknown).difference(sample))
    refusals = [state for state in seen.values() if _is_refusal(state)]
    if rest and len(refusals) == len(sample):
        log.warning("%s: none of %d tags can be read, so %d more are not tried", repository, len(sample), len(rest))
        return states | seen | dict.fromkeys(rest, refusals[0])
    return states | seen | read_all(rest)


def raise_if_all_denied(states: Mapping[str, TagState], repository: Repository) -> None:
    """:raises DeniedError: when a registry denies all tags, or permanently refuses more than a sample."""
    refusals = [state for state in states.values() if _is_refusal(state)]
    if not refusals or len(refusals) < len(states):
        return
    first = refusals[0]
    text = (
        first.text if len(refusals) == 1 else f"none of {len(refusals)} tags of {repository} can be read: {first.text}"
    )
    if all(state.error_class == DeniedError.error_class for state in refusals):
        raise DeniedError(text)
    if len(refusals) > SAMPLE:
        raise RefusedError(text)


def head_if_visible(client: RegistryClient, repository: Repository, target: str | Digest) -> Digest | None:
    """The digest of a tag or digest at a destination; ``None`` when it is missing, or when the registry denies it.

    JFrog answers 403 for a tag that is not there yet (sigstore/cosign#2973), Quay 401 for a repository that a robot
    may create. The push then shows whether it may be written.
    """
    try:
        return client.head_manifest(repository, target)
    except (DeniedError, RefusedError) as error:
        log.info("%s is missing, or hidden from these credentials (%s)", target, error)
        return None


def _spread(names: Sequence[str], count: int) -> list[str]:
    """At most ``count`` of ``names``, at equal distances, with the first and the last.

    >>> _spread("abcdefg", 3)
    ['a', 'd', 'g']
    """
    if len(names) <= count:
        return list(names)
    return [names[number * (len(names) - 1) // (count - 1)] for number in range(count)]


def _is_refusal(state: TagState) -> TypeGuard[Unreadable]:
    return isinstance(state, Unreadable) and state.is_refusal


def _read_all(
    client: RegistryClient,
    repository: Repository,
    head: Callable[[str], Digest | None],
    pool: Executor,
    names: Sequence[str],
) -> dict[str, TagState]:
    states: dict[str, TagState] = {}
    next_progress, failures = time.monotonic() + PROGRESS_SECONDS, 0
    for name, state in zip(names, pool.map(partial(_read_state, head), names), strict=True):
        states[name] = state
        if isinstance(state, Unreadable) and state.error_class == TemporaryError.error_class:
            if failures % PING_AFTER_FAILURES == 0:
                client.ping()
            failures += 1
        if time.monotonic() >= next_progress:
            log.info("%s: read %d of %d tags", repository, len(states), len(names))
            next_progress += PROGRESS_SECONDS
    return states


def _read_state(head: Callable[[str], Digest | None], tag: str) -> TagState:
    """HEAD one tag. Errors about the tag become ``Unreadable``; errors about the whole registry are raised."""
    try:
        return head(tag)
    except (RateLimited, ConfigurationError):
        raise
    except RegistrySyncError as error:
        return Unreadable(error_class=error.error_class, text=str(error))
