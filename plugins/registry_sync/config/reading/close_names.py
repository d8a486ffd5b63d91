"""The name that was meant by a value outside a list of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from registry_sync.text import quoted

_MEANT: Mapping[str, str] = {
    **dict.fromkeys(("jfrog", "jcr"), "artifactory"),
    **dict.fromkeys(("github", "ghe"), "ghcr"),
    **dict.fromkeys(("gcr", "gar", "gcp", "artifact_registry"), "google"),
    **dict.fromkeys(("azure", "azurecr"), "acr"),
    **dict.fromkeys(("hub", "docker", "docker_io"), "docker_hub"),
    **dict.fromkeys(("aws", "amazon"), "ecr"),
    **dict.fromkeys(("alibaba", "alicloud"), "aliyun"),
    **dict.fromkeys(("oci", "registry", "generic", "zot"), "distribution"),
    **dict.fromkeys(("sonatype",), "nexus"),
}
"""Names that people use for kinds of registry."""


def did_you_mean(value: Any, expected: str) -> str:
    """The end of a message about ``value``: a question with the closest of the names; empty if none is close.

    :param expected: the names as pydantic writes them: ``'acr', 'ecr' or 'quay'``.
    """
    names = re.findall(r"'([^']*)'", expected)
    if not isinstance(value, str):
        return ""
    written = re.sub(r"[^a-z0-9]+", "_", value.lower())
    close = [name for name in names if name == _MEANT.get(written)]
    close = close or [name for name in names if name.lower() == written] or get_close_matches(written, names, n=1)
    return f"; did you mean {quoted(close[0])}?" if close else ""
