"""The names that one registry has: registries and repositories are compared by these functions, and never by hosts.

A registry with the same repositories under several hosts has one key. Names beyond those of the clouds' own hosts, such
as other DNS names, addresses and ports of a registry, or proxies in front of one, cannot be known.

- Amazon ECR: https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html
- ECR Public: https://docs.aws.amazon.com/AmazonECR/latest/public/public-ecr-requests.html
- ACR: https://learn.microsoft.com/en-us/azure/container-registry/container-registry-endpoint-reference
- Aliyun: https://www.alibabacloud.com/help/en/acr/user-guide/configure-access-over-vpcs
- gcr.io: https://cloud.google.com/artifact-registry/docs/transition/gcr-repositories
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from registry_sync.oci.reference import DOCKER_HUB, DOCKER_HUB_HOSTS, Repository
from registry_sync.registry.ecr_host import parse_ecr_host
from registry_sync.registry.kinds import ECR_PUBLIC, ECR_PUBLIC_HOSTS

_FORMS: tuple[tuple[str, str], ...] = (
    (r"([a-z0-9-]+)\.[a-z0-9-]+\.geo(\.azurecr\.(?:io|cn|us))", r"\1\2"),
    (r"(registry(?:-intl)?)-(?:vpc|internal)(\.[a-z0-9-]+\.aliyuncs\.com)", r"\1\2"),
    (r"([a-z0-9-]+-registry)-(?:vpc|internal)(\.[a-z0-9-]+\.cr\.aliyuncs\.com)", r"\1\2"),
    (r"([a-z0-9-]+)-(?:vpc|internal)(\.[a-z0-9-]+\.personal\.cr\.aliyuncs\.com)", r"\1\2"),
)
"""Hosts of one region or network, and the host of the whole registry."""

_GOOGLE: Mapping[str, str] = {
    "gcr.io": "us-docker.pkg.dev",
    "us.gcr.io": "us-docker.pkg.dev",
    "eu.gcr.io": "europe-docker.pkg.dev",
    "asia.gcr.io": "asia-docker.pkg.dev",
}
"""Hosts whose images Artifact Registry keeps, in a repository that is named after the host: each with its own host."""


@lru_cache(maxsize=4096)
def registry_key(host: str) -> str:
    """The host that stands for the registry at ``host`` when registries are compared. Nothing is sent to it.

    >>> registry_key("123456789012.dkr-ecr-fips.eu-west-1.on.aws:443")
    '123456789012.dkr.ecr.eu-west-1.amazonaws.com'
    >>> registry_key("registry-vpc.cn-beijing.aliyuncs.com"), registry_key("Quay.io"), registry_key("a.example:5000")
    ('registry.cn-beijing.aliyuncs.com', 'quay.io', 'a.example:5000')
    """
    name = host.lower().removesuffix(":443")
    if name in DOCKER_HUB_HOSTS:
        return DOCKER_HUB
    if name in ECR_PUBLIC_HOSTS:
        return ECR_PUBLIC
    if ecr := parse_ecr_host(name):
        return f"{ecr.account}.dkr.ecr.{ecr.region}.amazonaws.com"
    return next((re.sub(form, whole, name) for form, whole in _FORMS if re.fullmatch(form, name)), host.lower())


def same_registry(host: str, other: str) -> bool:
    """Return whether both hosts have the same repositories, under the same names."""
    return host == other or registry_key(host) == registry_key(other)


def storage_key(host: str) -> str:
    """The key of the registry that keeps the content of ``host``: Artifact Registry's own for ``gcr.io``.

    Two hosts with different storage have no repository in common.

    >>> storage_key("eu.gcr.io"), storage_key("quay.io")
    ('europe-docker.pkg.dev', 'quay.io')
    """
    key = registry_key(host)
    return _GOOGLE.get(key, key)


def repository_key(repository: Repository) -> Repository:
    """The repository by the one name under which repositories are compared.

    >>> str(repository_key(Repository("gcr.io", "project/app")))
    'us-docker.pkg.dev/project/gcr.io/app'
    """
    key = registry_key(repository.host)
    if key not in _GOOGLE:
        return Repository(key, repository.name)
    project, name = _split_project(repository.name)
    return Repository(_GOOGLE[key], f"{project}/{key}/{name}")


def same_repository(repository: Repository, other: Repository) -> bool:
    """Return whether both names lead to the same images."""
    return repository_key(repository) == repository_key(other)


def name_at(repository: Repository, host: str) -> str | None:
    """The name that ``repository`` has at another host; ``None`` where that host does not have it.

    >>> name_at(Repository("us-docker.pkg.dev", "project/gcr.io/app"), "gcr.io")
    'project/app'
    """
    if same_registry(repository.host, host):
        return repository.name
    found, key = repository_key(repository), registry_key(host)
    if found.host != storage_key(host):
        return None
    if key not in _GOOGLE:
        return found.name
    project, name = _split_project(found.name)
    return f"{project}/{name.removeprefix(f'{key}/')}" if name.startswith(f"{key}/") else None


def _split_project(name: str) -> tuple[str, str]:
    """The project of a name and the rest. The project of a domain has two parts: ``example.com/project``."""
    first, _, rest = name.partition("/")
    if "." not in first:
        return first, rest
    second, _, rest = rest.partition("/")
    return f"{first}/{second}", rest
