"""Hosts of web sites and APIs that people mistake for registries, because they copy the address of a page."""

from __future__ import annotations

import re

_ECR = "ACCOUNT.dkr.ecr.REGION.amazonaws.com"

_REGISTRIES: tuple[tuple[str, str], ...] = (
    (r"((hub|www)\.)?docker\.com", "docker.io"),
    (r"(www\.)?gitlab\.com", "registry.gitlab.com"),
    (r"((www|api)\.)?github\.com|docker\.pkg\.github\.com", "ghcr.io"),
    (r"gallery\.ecr\.aws", "public.ecr.aws"),
    (r"([a-z0-9-]+\.)*console\.(aws\.amazon\.com|amazonaws\.cn|aws)", f"{_ECR}, or public.ecr.aws"),
    (r"(api\.)?ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?", _ECR),
    (r"console\.cloud\.google\.com|artifactregistry\.googleapis\.com", "LOCATION-docker.pkg.dev"),
    (r"portal\.azure\.(com|cn|us)", "NAME.azurecr.io"),
    (r"cr\.console\.(aliyun|alibabacloud)\.com", "registry.REGION.aliyuncs.com"),
)
"""Patterns of hosts in lower case, with the registry's host to write in their place."""


def check_is_registry(host: str) -> str:
    """Return ``host`` unless it is known to belong to a web site or API.

    :raises ValueError: when it does; the message has the registry's host.
    """
    name = host.removesuffix(":443")
    for pattern, registry in _REGISTRIES:
        if re.fullmatch(pattern, name):
            raise ValueError(f"{host!r} is not a registry, but a web site or an API; write host: {registry}")
    return host
