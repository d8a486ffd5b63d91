"""Files that variables of the environment name, and that an SDK cannot read. The SDKs raise Python's own errors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from registry_sync.errors import ConfigurationError, RegistrySyncError, TemporaryError

_POD = "it is there only in pods with that identity"

_ADVICE: Mapping[str, str] = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": (
        f"{_POD}: is the service account of the worker annotated with eks.amazonaws.com/role-arn?"
    ),
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": (
        f"{_POD}: has the service account of the worker a Pod Identity association?"
    ),
    "AZURE_FEDERATED_TOKEN_FILE": (
        f"{_POD}: is the service account of the worker annotated with azure.workload.identity/client-id, and the pod "
        "labelled azure.workload.identity/use: 'true'?"
    ),
    "AZURE_CLIENT_CERTIFICATE_PATH": "mount the certificate with its key, or remove the variable",
    "GOOGLE_APPLICATION_CREDENTIALS": "mount the key or configuration, or remove the variable",
}
"""By the variable that names the file. https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html,
https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html."""


def check_readable(path: str) -> None:
    """:raises OSError: when a file cannot be read, which some SDKs report in words only."""
    with Path(path).open("rb"):
        pass


def decode_os_error(error: OSError, cloud: str, origin: str) -> RegistrySyncError:
    """The error of an SDK's call that the operating system failed: for a file, the variable that names it.

    :param origin: the place that the identity is written in.
    """
    if error.filename is None:
        return TemporaryError(f"{cloud} cannot be asked for a token of {origin}: {error or type(error).__name__}")
    path, reason = os.fsdecode(error.filename), error.strerror or type(error).__name__
    variable = next((name for name in _ADVICE if os.environ.get(name) == path), None)
    if variable is None:
        return ConfigurationError(
            f"{origin} has no usable identity: {path!r} cannot be read on this worker: {reason}; mount it, or correct "
            "its path"
        )
    return ConfigurationError(
        f"{origin} has no usable identity: {variable} names {path!r}, which cannot be read on this worker: {reason}; "
        f"{_ADVICE[variable]}"
    )
