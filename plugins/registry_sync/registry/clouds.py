"""The cloud whose identities a registry accepts, by its host. A token of a cloud is sent to no other host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from registry_sync.registry.ecr_host import parse_ecr_host
from registry_sync.registry.kinds import ECR_PUBLIC_HOSTS, infer_kind

Cloud = Literal["aws", "google", "azure"]

TITLES: Mapping[Cloud, str] = {"aws": "AWS", "google": "Google Cloud", "azure": "Azure"}

_LIKE_ECR = r".*(?:\.dkr[.-]ecr\b|\becr\..*amazonaws\.).*"

_CLOUDS: Mapping[str, Cloud] = {"google": "google", "acr": "azure"}


def cloud_of(host: str) -> Cloud | None:
    """The cloud that runs the registry at ``host``; ``None`` for all others, whatever their ``kind``.

    >>> cloud_of("gsoci.azurecr.io"), cloud_of("europe-docker.pkg.dev"), cloud_of("quay.io")
    ('azure', 'google', None)
    """
    return "aws" if host in ECR_PUBLIC_HOSTS or parse_ecr_host(host) else _CLOUDS.get(infer_kind(host))


def incomplete_host(host: str) -> str:
    """The fault of a host that is meant for ECR, and has no account of twelve digits or no region; empty for others.

    >>> incomplete_host("12345678901.dkr.ecr.eu-west-1.amazonaws.com")
    'looks like ECR, but its hosts have the form ACCOUNT.dkr.ecr.REGION.amazonaws.com, with an ACCOUNT of 12 digits'
    >>> incomplete_host("quay.io")
    ''
    """
    if cloud_of(host) or not re.fullmatch(_LIKE_ECR, host.lower()):
        return ""
    return (
        "looks like ECR, but its hosts have the form ACCOUNT.dkr.ecr.REGION.amazonaws.com, with an ACCOUNT of 12 digits"
    )
