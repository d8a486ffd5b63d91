"""Metadata servers, which give machines and containers their identity.

No request to one goes through a proxy: it would get the identity of the proxy's machine. A server that refuses the
connection, or cannot be found, is not there, unless the environment names it. One that is silent is asked again later.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from registry_sync.errors import TemporaryError

GOOGLE_VARIABLES = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
"""Variables with the host of Google's server, each with a port if it is not the usual one."""

_HOSTS = frozenset({"metadata.google.internal", "metadata", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"})
"""Names, and addresses that are not link-local: those of AWS and Google by IPv6."""


def is_metadata(url: str) -> bool:
    """Return whether a URL leads to a metadata server. Their usual addresses are link-local.

    >>> is_metadata("http://169.254.169.254/latest"), is_metadata("https://sts.amazonaws.com/")
    (True, False)
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if host in _HOSTS or parts.netloc in _named(GOOGLE_VARIABLES):
        return True
    try:
        return ip_address(host).is_link_local
    except ValueError:
        return False


def is_named(variables: Iterable[str]) -> bool:
    """Return whether one of the variables is set, so that its server has to be there."""
    return any(_named(variables))


def _named(variables: Iterable[str]) -> list[str]:
    return [value for name in variables if (value := os.environ.get(name))]


def silent_server(cloud: str, origin: str, seen: object) -> TemporaryError:
    """The error for a metadata server that may be there, and gave no answer.

    :param seen: the error or the status.
    """
    return TemporaryError(
        f"the metadata server of {cloud} gave {origin} no identity: {seen}. The next try asks it again; if that does "
        "not help, does a network policy or a hop limit of 1 (EC2: HttpPutResponseHopLimit) hold back this worker? "
        "Where there is no such server, name another identity"
    )


def is_outage(status: int) -> bool:
    """Return whether a status means that the server answers later. Azure's has 410 while it is updated.

    https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance
    """
    return status >= 500 or status in (410, 429)
