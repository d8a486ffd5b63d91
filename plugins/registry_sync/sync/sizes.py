"""The bytes that a plan would send, from manifests of the source, because no listing has sizes.

A HEAD does not return sizes, and Docker Hub counts the GET of a manifest as a pull
(https://docs.docker.com/docker-hub/usage/pulls/). So they are read there only on request, and elsewhere up to a limit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Literal, get_args

from registry_sync.config.registry import Registry
from registry_sync.errors import RegistrySyncError
from registry_sync.oci.index_walk import walk_manifests
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest
from registry_sync.oci.shapes import blobs_of, is_blob
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.traffic import Traffic
from registry_sync.sync.content.held_content import HeldContent
from registry_sync.sync.content.manifests import RouteManifests
from registry_sync.sync.execute import planned_indexes
from registry_sync.sync.plan import Plan, group_by_digest
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.session import Session
from registry_sync.sync.threads import thread_pool
from registry_sync.sync.totals import PlanTotals, count_tags, sum_totals

log = logging.getLogger(__name__)

SizesMode = Literal["auto", "all", "none"]
"""``auto`` reads up to :data:`MAX_MANIFESTS` of a route, and none at Docker Hub. ``all`` reads all, ``none`` none."""

SIZES_MODES: tuple[SizesMode, ...] = get_args(SizesMode)

MAX_MANIFESTS = 200
"""Manifests that a plan reads for the sizes of one route, unless it is asked for all."""


def total_plan(session: Session, observation: Observation, plan: Plan, sizes: SizesMode = "auto") -> PlanTotals:
    """The totals of a plan: tags, images, bytes, and the pulls of a run at Docker Hub.

    An image whose manifests cannot be read counts without a size. Only a real copy fails for this reason.
    """
    there = set(observation.destination.values())
    digests = [digest for digest in group_by_digest(plan.copies) if digest not in there]
    is_hub = session.route.source.api_kind == "docker_hub"
    budget = {"all": None, "none": 0, "auto": 0 if is_hub else MAX_MANIFESTS}[sizes]
    images = _read_images(session, observation, plan, digests, budget)
    blobs = {digest: size for image in images for digest, size in image.blobs.items()}
    unsized = len(digests) - len(images)
    return count_tags(plan) + PlanTotals(
        images=len(digests),
        sized=len(images),
        size_bytes=sum(blobs.values()),
        pulls=sum(image.platforms for image in images) + unsized if is_hub else 0,
        unsized_pulls=unsized if is_hub else 0,
    )


def total_requests(clients: Iterable[tuple[Registry, RegistryClient]]) -> PlanTotals:
    """The requests of clients so far, and the pulls among them."""
    return sum_totals(_requests(registry, client.traffic) for registry, client in clients)


def _requests(registry: Registry, traffic: Traffic) -> PlanTotals:
    pulls = traffic.manifests if registry.api_kind == "docker_hub" else 0
    return PlanTotals(requests=traffic.requests, requested_pulls=pulls)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """The blobs below a digest with their sizes, and the number of its images."""

    blobs: Mapping[Digest, int]
    platforms: int


class _BudgetSpentError(Exception):
    """The maximum number of manifests was read."""


def _read_images(
    session: Session, observation: Observation, plan: Plan, digests: list[Digest], budget: int | None
) -> list[_Image]:
    """The images whose manifests could be read within the budget."""
    if not digests or budget == 0:
        return []
    log.info("Reading the manifests of up to %d images for their sizes", len(digests))
    with thread_pool(session.route.source.max_connections) as pool:
        reader = _Reader(
            RouteManifests(
                session=session,
                held=HeldContent(session.destination, session.route.destination_repository, pool),
                indexes=planned_indexes(observation, plan),
            ),
            budget,
        )
        return [image for image in pool.map(reader.read, digests) if image is not None]


class _Reader:
    """Reads manifests from several threads, until the budget is spent. ``None`` sets no limit."""

    def __init__(self, manifests: RouteManifests, budget: int | None) -> None:
        self._manifests = manifests
        self._left = budget
        self._lock = Lock()

    def read(self, digest: Digest) -> _Image | None:
        """Read an image; ``None`` when it cannot be read, or the budget is spent."""
        try:
            parts = list(walk_manifests(self._read(digest), self._read, enters=lambda child: not is_blob(child)))
        except _BudgetSpentError:
            return None
        except RegistrySyncError as error:
            log.info("the size of %s is not known: %s", digest.short, error)
            return None
        blobs = {blob.digest: blob.size_bytes for part in parts for blob in blobs_of(part) if not blob.urls}
        return _Image(blobs=blobs, platforms=sum(not part.is_index for part in parts))

    def _read(self, digest: Digest) -> Manifest:
        with self._lock:
            if self._left is not None:
                if not self._left:
                    raise _BudgetSpentError
                self._left -= 1
        return self._manifests.read_source(digest)
