"""Problems of node pools that the mirrors file shows without contacting a registry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain, islice

from registry_sync.config.node_pools import BootstrapImage, NodePool, Runtime
from registry_sync.config.reading.explain_errors import Problem
from registry_sync.config.reading.yaml_source import Place
from registry_sync.config.registry import Registry
from registry_sync.oci.reference import DOCKER_HUB, Repository
from registry_sync.registry.same_registry import registry_key, same_registry
from registry_sync.routes.checks.checked_file import CheckedFile
from registry_sync.routes.checks.registries import unknown_registries
from registry_sync.routes.graph import RouteMap, why_not
from registry_sync.routes.route import Route

PUBLIC_HOSTS = (
    r"((index|registry-1)\.)?docker\.io|registry\.hub\.docker\.com",
    r"quay\.io",
    r"ghcr\.io",
    r"public\.ecr\.aws|ecr-public\.aws\.com",
    r"([a-z0-9-]+\.)*gcr\.io",
    r"[a-z0-9-]+-docker\.pkg\.dev",
    r"registry\.k8s\.io",
    r"mcr\.microsoft\.com",
    r"registry\.gitlab\.com",
    r"registry(-[a-z]+)*\.[a-z0-9-]+\.aliyuncs\.com",
    r"ccr\.ccs\.tencentyun\.com|swr\.[a-z0-9-]+\.myhuaweicloud\.com|docker\.m\.daocloud\.io",
    r"registry\.access\.redhat\.com|registry\.redhat\.io|registry\.connect\.redhat\.com",
    r"nvcr\.io|lscr\.io|cgr\.dev|ttl\.sh|([a-z0-9-]+\.)?icr\.io|registry\.fly\.io|registry\.digitalocean\.com",
    r"[a-z0-9-]+\.ocir\.io|registry\.heroku\.com|docker\.cloudsmith\.io|docker\.pkg\.github\.com|rg\.[a-z0-9-]+\.scw\.cloud",
)
"""Public registries, as regular expressions of whole hosts without a port: anyone can register names there."""

WHOLE_TRUST_ONLY: tuple[Runtime, ...] = ("docker", "k3s", "talos")
"""Runtimes whose configuration cannot limit a mirror to content by digest."""


def check_pools(checked: CheckedFile, *, with_images: bool) -> Iterator[Problem]:
    """The problems of all node pools.

    :param with_images: also check that routes bring the bootstrap images. Only useful with all routes: not while a
        mirror has a problem of its own.
    """
    checks = (*POOL_CHECKS, _check_images) if with_images else POOL_CHECKS
    for pool in checked.file.node_pools.values():
        yield from _check_registry_names(pool, checked)
        if {pool.registry, *(entry.registry for entry in pool.pool_mirrors)} <= checked.file.registries.keys():
            yield from chain.from_iterable(check(pool, checked) for check in checks)


def _check_registry_names(pool: NodePool, checked: CheckedFile) -> Iterator[Problem]:
    places = [(_place(pool, "registry"), pool.registry)]
    places += [(_place(pool, "mirrors", index), entry.registry) for index, entry in enumerate(pool.pool_mirrors)]
    return unknown_registries(places, checked.registry_names)


def _place(pool: NodePool, *keys: str | int) -> Place:
    return ("nodes", pool.name, *keys)


def _check_mirrors(pool: NodePool, checked: CheckedFile) -> Iterator[Problem]:
    registries = checked.file.registries
    names: dict[str, str] = {}
    for index, entry in enumerate(pool.pool_mirrors):
        mirror, place = registries[entry.registry], _place(pool, "mirrors", index)
        key = registry_key(mirror.host)
        if key in names:
            yield Problem(place, f"{names[key]!r} and {mirror.name!r} are the same registry, {mirror.host}; keep one")
        elif problem := mirror_problem(mirror, registries[pool.registry]):
            yield Problem(place, problem)
        names[key] = mirror.name


def mirror_problem(mirror: Registry, registry: Registry) -> str:
    """Return why machines must not use ``mirror`` for images of ``registry``; empty when they may."""
    host = re.sub(r":[0-9]+$", "", mirror.host)
    if same_registry(mirror.host, registry.host):
        return f"{mirror.host} is the registry of the pool, which machines use after the mirrors anyway; remove it"
    if any(re.fullmatch(public_host, host) for public_host in PUBLIC_HOSTS):
        return f"{mirror.host} is a public registry: {_squatting(registry)}; use a registry that only you can push to"
    if mirror.api_kind == "ecr":
        return (
            f"{mirror.host} requires a token, which runtimes do not send to a mirror, and every pull would skip it; "
            "use a registry that allows anonymous reads"
        )
    if not mirror.private:
        return (
            f"{mirror.name!r} ({mirror.host}) is not marked private: {_squatting(registry)}; if only you can push to "
            f"it, set private: true in registries.{mirror.name}"
        )
    return ""


def _squatting(registry: Registry) -> str:
    return (
        f"machines request every image of {registry.host} from a mirror, not only yours, so whoever pushes "
        "datadog/agent there first decides what your machines run under that name"
    )


def _check_version(pool: NodePool, _: CheckedFile) -> Iterator[Problem]:
    if pool.version and not pool.runtime:
        yield Problem(_place(pool, "version"), "version has no effect without runtime; add runtime:, or remove it")


def _check_image_store(pool: NodePool, _: CheckedFile) -> Iterator[Problem]:
    if pool.image_store and pool.runtime != "docker":
        yield Problem(
            _place(pool, "image_store"), "image_store has no effect without runtime: docker; add it, or remove this key"
        )


def _check_runtime(pool: NodePool, checked: CheckedFile) -> Iterator[Problem]:
    registry = checked.file.registries[pool.registry]
    if pool.runtime and (problem := runtime_problem(pool, registry, pool.runtime)):
        yield Problem(_place(pool, "runtime"), problem)


def runtime_problem(pool: NodePool, registry: Registry, runtime: Runtime) -> str:
    """Return why ``runtime`` does not support the mirrors of a pool; empty when it does."""
    if runtime == "docker" and pool.pool_mirrors and registry.host != DOCKER_HUB:
        return (
            f"dockerd supports mirrors only for {DOCKER_HUB}, and the registry of this pool is {registry.host}; "
            "remove mirrors:, or use containerd or crio"
        )
    untrusted = [pool_mirror.registry for pool_mirror in pool.pool_mirrors if pool_mirror.trust == "pull"]
    if untrusted and runtime in WHOLE_TRUST_ONLY:
        return (
            f"{runtime} cannot pull from a mirror without also resolving tags there, and {untrusted[0]!r} has "
            "trust: pull; use containerd or crio, or set trust: pull+resolve"
        )
    return ""


def _check_images(pool: NodePool, checked: CheckedFile) -> Iterator[Problem]:
    registry = checked.file.registries[pool.registry]
    names = [entry.registry for entry in pool.pool_mirrors] or [pool.registry]
    endpoints = [checked.file.registries[name] for name in names]
    for index, image in enumerate(image for image in pool.images if not image.is_named):
        problems = _image_problems(image, registry, endpoints, checked.routes)
        yield from (Problem(_place(pool, "bootstrap_images", index), problem) for problem in problems)


def _image_problems(
    image: BootstrapImage, registry: Registry, endpoints: list[Registry], routes: RouteMap
) -> Iterator[str]:
    """Reasons that machines would not find an image of ``registry`` at each of ``endpoints``."""
    if image.repository.startswith(f"{registry.host}/"):
        name = image.repository.removeprefix(f"{registry.host}/")
        yield f"{image.repository!r} includes the registry, which registry: already names; write {name!r}"
        return
    for endpoint in endpoints:
        repository = Repository(endpoint.host, Repository.at(registry.host, image.repository).name)
        writers = list(routes.into(repository))
        if writers:
            yield from _missing_tags(image, repository, writers)
        elif not any(routes.out_of(repository)):  # else it is pushed there
            advice = _advice(image, endpoint, routes)
            yield f"no route copies it to {endpoint.name!r}, where machines look for {repository}; {advice}"


def _missing_tags(image: BootstrapImage, repository: Repository, writers: list[Route]) -> Iterator[str]:
    """The first tag of an image that no route copies to ``repository``, with the reasons."""
    tags = image.tags.by_name if image.tags else ()
    reasons = ((tag, _reasons(tag, writers)) for tag in tags)
    problems = (f"tag {tag!r} is not copied to {repository}: {reason}" for tag, reason in reasons if reason)
    return islice(problems, 1)


def _reasons(tag: str, routes: list[Route]) -> str:
    """The reasons that no route copies ``tag``; empty when one does."""
    reasons = [(route.mirror, why_not(route, tag)) for route in routes]
    if not all(reason for _, reason in reasons):
        return ""
    return "; ".join(f"{mirror!r} skips it ({reason})" for mirror, reason in reasons)


def _advice(image: BootstrapImage, endpoint: Registry, routes: RouteMap) -> str:
    """Advice that brings an image to ``endpoint``."""
    listed = [entry.route for entry in routes.listed if entry.route.destination.name == endpoint.name]
    for route in listed:
        if route.source_repository.name == image.repository:
            renamed = route.destination_repository.name
            settings = route.settings
            by_prefix = f"{settings.prefix}{image.repository.removeprefix(settings.strip_prefix)}"
            keys = "prefix: and strip_prefix:" if renamed == by_prefix else "rename:"
            advice = f"but machines look for the original name; remove {keys}"
            return f"{route.mirror!r} copies it there as {renamed}, {advice}"
    by_namespace = [entry.mirror.name for entry in routes.namespaces if entry.destination.name == endpoint.name]
    mirrors = dict.fromkeys([*(route.mirror for route in listed), *by_namespace])
    if not mirrors:
        return f"no mirror has the destination {endpoint.name!r}; add one that copies {image.repository}"
    return f"add {image.repository} to {' or '.join(map(repr, mirrors))}"


POOL_CHECKS: tuple[Callable[[NodePool, CheckedFile], Iterator[Problem]], ...] = (
    _check_mirrors,
    _check_version,
    _check_image_store,
    _check_runtime,
)
"""The checks of a pool whose registries exist, in the order in which their problems are shown."""
