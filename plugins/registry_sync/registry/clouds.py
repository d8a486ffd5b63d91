"""The cloud whose identities a registry accepts, by its host. A token of a cloud is sent to no other host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from registry_sync.registry.ecr_host import parse_ecr_host
from registry_sync.registry.kinds import ECR_PUBLIC, infer_kind

Cloud = Literal["aws", "google", "azure"]

TITLES: Mapping[Cloud, str] = {"aws": "AWS", "google": "Google Cloud", "azure": "Azure"}

_CLOUDS: Mapping[str, Cloud] = {"google": "google", "acr": "azure"}


def cloud_of(host: str) -> Cloud | None:
    """The cloud that runs the registry at ``host``; ``None`` for all others, whatever their ``kind``.

    >>> cloud_of("gsoci.azurecr.io"), cloud_of("europe-docker.pkg.dev"), cloud_of("quay.io")
    ('azure', 'google', None)
    """
    return "aws" if host == ECR_PUBLIC or parse_ecr_host(host) else _CLOUDS.get(infer_kind(host))
