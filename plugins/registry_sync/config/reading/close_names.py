"""The name, key or value that was meant by one that is not allowed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
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
    written = _plain(value)
    close = [name for name in names if name == _MEANT.get(written)]
    close = close or [name for name in names if name.lower() == written] or get_close_matches(written, names, n=1)
    return f"; did you mean {quoted(close[0])}?" if close else ""


_KEYS: Mapping[str, str] = {
    **dict.fromkeys(("url", "address", "registry", "server", "hostname"), "host"),
    **dict.fromkeys(("image", "name", "repo"), "repository"),
    **dict.fromkeys(("organization", "organisation", "org", "project"), "namespace"),
    **dict.fromkeys(("src", "from"), "source"),
    **dict.fromkeys(("dest", "dst", "destination", "target", "targets", "to"), "destinations"),
    **dict.fromkeys(("images", "repos"), "repositories"),
    **dict.fromkeys(("cron", "interval"), "schedule"),
    **dict.fromkeys(("platform", "arch", "architecture", "architectures"), "platforms"),
    **dict.fromkeys(("allow", "regex", "match"), "include"),
    **dict.fromkeys(("deny", "ignore"), "exclude"),
}
"""Keys that people and other tools use for ours."""

_UNVERIFIED = (
    "insecure_skip_verify",
    "skip_tls_verify",
    "skiptlsverify",
    "insecureskipverify",
    "skip_verify",
    "tls_verify",
    "verify_tls",
)

_WAYS: Mapping[str, str] = {
    **dict.fromkeys(("insecure", "plain_http", "use_http"), "write tls: false for a registry without TLS"),
    **dict.fromkeys(_UNVERIFIED, "certificates are always verified: write ca_file:, or tls: false without TLS"),
}
"""Keys of other tools for a registry whose meaning is the value of one of ours."""


def key_meant(written: str, allowed: Collection[str]) -> str:
    """The allowed key that was meant by another name; empty if none was.

    >>> key_meant("image", ["repository", "tags"])
    'repository'
    """
    meant = _KEYS.get(_plain(written), "")
    return meant if meant in allowed else ""


def how_to_write_key(written: str, allowed: Collection[str]) -> str:
    """The end of a message about an unknown key with a meaning that we write in another way; empty for others."""
    if "tls" in allowed and (way := _WAYS.get(_plain(written))):
        return way
    meant = key_meant(written, allowed)
    return f"did you mean {quoted(meant)}?" if meant else ""


_BOOLS: Mapping[str, str] = {
    **dict.fromkeys(("yes", "y", "on", "1"), "; write true"),
    **dict.fromkeys(("no", "n", "off", "0"), "; write false"),
    **{name: f"; write {name} without quotes" for name in ("true", "false")},
}


def how_to_write_bool(value: str | float) -> str:
    """The end of a message about a value in place of true or false; empty if neither was meant."""
    return _BOOLS.get(str(value).lower(), "")


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", key.lower())
