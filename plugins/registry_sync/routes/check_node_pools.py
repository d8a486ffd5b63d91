"""What is wrong with a pool of machines, as far as the mirrors file alone tells; no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from registry_sync.config.model import MirrorsFile, Registry
from registry_sync.config.node_pools import BootstrapImage, NodePool, Runtime
from registry_sync.oci.reference import DOCKER_HUB, Repository
from registry_sync.routes.graph import RouteMap, why_not
from registry_sync.routes.route import Route

PoolProblem = tuple[tuple[str | int, ...], str]
"""Where in the mirrors file, and what."""

PUBLIC_HOSTS = (
    r"((index|registry-1)\.)?docker\.io|registry\.hub\.docker\.com",
    r"quay\.io",
    r"ghcr\.io",
    r"public\.ecr\.aws",
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
"""Hosts, whole and without a port, that many share: names there are given to whoever asks first, or are not ours."""

ECR_HOST = r"\d{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)"
"""Private registries of AWS; they answer nobody without a token that is good for twelve hours.
https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
"""

WHOLE_TRUST_ONLY: tuple[Runtime, ...] = ("docker", "k3s", "talos")
"""Runtimes whose configuration cannot say that a mirror is for bytes only."""


def check_pools(file: MirrorsFile, *, with_routes: bool = True) -> Iterator[PoolProblem]:
    """The problems of every pool whose registries exist.

    :param with_routes: also look for the routes that bring its bootstrap images.
    """
    routes = RouteMap(file) if file.node_pools else None
    for pool in file.node_pools.values():
        if not {pool.registry, *(each.registry for each in pool.pool_mirrors)} <= file.registries.keys():
            continue
        problems = chain(_check_mirrors(pool, file), _check_runtime(pool, file.registries[pool.registry]))
        if with_routes and routes:
            problems = chain(problems, _check_images(pool, file, routes))
        yield from ((("nodes", pool.name, *place), what) for place, what in problems)


def _check_mirrors(pool: NodePool, file: MirrorsFile) -> Iterator[PoolProblem]:
    names: dict[str, str] = {}
    for index, each in enumerate(pool.pool_mirrors):
        mirror = file.registries[each.registry]
        if mirror.host in names:
            yield ("mirrors", index), f"{names[mirror.host]!r} and {mirror.name!r} are both {mirror.host}; keep one"
        elif problem := mirror_problem(mirror, file.registries[pool.registry]):
            yield ("mirrors", index), problem
        names[mirror.host] = mirror.name


def mirror_problem(mirror: Registry, registry: Registry) -> str:
    """Why machines must not use ``mirror`` for images of ``registry``; empty when they may."""
    host = re.sub(r":[0-9]+$", "", mirror.host)
    if mirror.host == registry.host:
        return f"{mirror.host} is what the names stand for, and machines ask it after the mirrors anyway; remove it"
    if any(re.fullmatch(each, host) for each in PUBLIC_HOSTS):
        return f"{mirror.host} is shared with everybody: {_squatting(registry)}; take a registry that only you push to"
    if re.fullmatch(ECR_HOST, host):
        return (
            f"{mirror.host} answers nobody without a token, and runtimes send a mirror none, so that every pull would "
            "pass it by; take a registry that can be read anonymously"
        )
    if not mirror.private:
        return (
            f"{mirror.name!r} ({mirror.host}) is not marked private: {_squatting(registry)}; if only you can push to "
            f"it, write private: true at registries.{mirror.name}"
        )
    return ""


def _squatting(registry: Registry) -> str:
    return (
        f"a mirror is asked for every image of {registry.host} and not only for yours, so whoever pushes "
        "datadog/agent there first decides what your machines run under that name"
    )


def _check_runtime(pool: NodePool, registry: Registry) -> Iterator[PoolProblem]:
    if pool.version and not pool.runtime:
        yield ("version",), "a version of what? Write runtime: too"
    if pool.runtime and (problem := runtime_problem(pool, registry, pool.runtime)):
        yield ("runtime",), problem


def runtime_problem(pool: NodePool, registry: Registry, runtime: Runtime) -> str:
    """Why ``runtime`` cannot do what the pool says; empty when it can."""
    if runtime == "docker" and pool.pool_mirrors and registry.host != DOCKER_HUB:
        return (
            f"dockerd uses mirrors for {DOCKER_HUB} alone, and the names of this pool stand for {registry.host}; "
            "remove mirrors:, or take containerd or crio"
        )
    untrusted = [each.registry for each in pool.pool_mirrors if each.trust == "pull"]
    if untrusted and runtime in WHOLE_TRUST_ONLY:
        return (
            f"{runtime} has no way to take bytes from a mirror without believing its tags, and {untrusted[0]!r} is "
            "trusted with pull only; take containerd or crio, or trust it with pull+resolve"
        )
    return ""


def _check_images(pool: NodePool, file: MirrorsFile, routes: RouteMap) -> Iterator[PoolProblem]:
    registry = file.registries[pool.registry]
    for index, image in enumerate(pool.images):
        place = ("bootstrap_images", index)
        if image.repository.startswith(f"{registry.host}/"):
            name = image.repository.removeprefix(f"{registry.host}/")
            yield place, f"{image.repository!r} has its registry in it, which registry: names already; write {name!r}"
            continue
        for name in [each.registry for each in pool.pool_mirrors] or [pool.registry]:
            if problem := _image_problem(image, registry, file.registries[name], routes):
                yield place, problem


def _image_problem(image: BootstrapImage, registry: Registry, endpoint: Registry, routes: RouteMap) -> str:
    """Why machines would not find an image of ``registry`` at ``endpoint``."""
    repository = Repository(endpoint.host, Repository.at(registry.host, image.repository).name)
    coming = list(routes.into(repository))
    if not coming and any(routes.out_of(repository)):
        return ""  # it is pushed there
    if not coming:
        advice = _advice(image, endpoint, routes)
        return f"no route copies it to {endpoint.name!r}, where machines look for {repository}; {advice}"
    reasons = {tag: _reasons(tag, coming) for tag in (image.tags.by_name if image.tags else ())}
    return next((f"tag {tag!r} does not come to {repository}: {why}" for tag, why in reasons.items() if why), "")


def _advice(image: BootstrapImage, endpoint: Registry, routes: RouteMap) -> str:
    """What to do about an image that does not come to ``endpoint``."""
    listed = [each for each in routes.listed if each.destination.name == endpoint.name]
    for route in listed:
        if route.source_repository.name == image.repository:
            renamed = route.destination_repository.name
            return f"{route.mirror!r} copies it there as {renamed}, and machines ask by its own name; remove rename:"
    found = [each.mirror.name for each in routes.namespaces if each.destination.name == endpoint.name]
    mirrors = dict.fromkeys([*(each.mirror for each in listed), *found])
    if not mirrors:
        return f"no mirror has the destination {endpoint.name!r}; add one that copies {image.repository}"
    return f"add {image.repository} to {' or '.join(map(repr, mirrors))}"


def _reasons(tag: str, routes: list[Route]) -> str:
    """Why none of ``routes`` copies ``tag``; empty when one does."""
    reasons = [(each.mirror, why_not(each, tag)) for each in routes]
    if not all(why for _, why in reasons):
        return ""
    return "; ".join(f"{mirror!r} leaves it out ({why})" for mirror, why in reasons)
