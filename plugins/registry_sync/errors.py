"""The errors of this package: one class per decision of a caller.

::

    RegistrySyncError
    ├── NotFound                 404 from the registry                -> at the source: skip the tag
    ├── TemporaryError           outage, timeout, reset, corruption   -> retry
    │   ├── MissingContent       a manifest's blob or child is absent -> copy its content again
    │   ├── ManifestNotStored    a manifest's PUT ended in a 5xx      -> see whether foreign layers are the reason
    │   ├── DamagedContent       content does not match its digest    -> report it: some runtimes stop here
    │   │   └── NotAManifest     something else, such as a web page   -> find out what answers, delete nothing
    │   ├── ResponseTimeout      the response took too long           -> report it: every runtime keeps waiting
    │   └── ConnectTimeout       the connection attempt timed out     -> report it: runtimes wait long, then go on
    │       └── HandshakeTimeout accepted, and no TLS handshake       -> report it: runtimes wait less long, then go on
    ├── RateLimited              429 (or 403) from the registry       -> pause everything, or defer until then
    ├── ReferrersUnavailable     an image's referrers are not listed  -> note it, and publish the image
    ├── DeniedError              missing permission                   -> fail at once
    │   └── LoginRejected        wrong user name or password          -> fail at once, whatever was asked for
    ├── RefusedError             type, quota, policy, read-only       -> fail at once
    │   ├── LockedTag            an immutable tag at the destination  -> report the tag as locked
    │   ├── UnsupportedArtifact  a type that it does not support      -> skip the tag
    │   ├── ManifestRefused      its type or fields are not accepted  -> of an attached artifact: skip it
    │   ├── UnsupportedType      a manifest of an old or unknown type -> it lists no images
    │   ├── NeededImage          an index lists the image of the tag  -> keep the tag that was to be deleted
    │   ├── NotTrusted           rejected by the trust policy         -> never publish it
    │   └── NotCopyableWhole     a shape that skopeo cannot copy      -> transfer its parts
    ├── NotWhole                 published content, not repairable    -> fail at once, and tell the readiness check
    └── ConfigurationError       mirrors file, worker, address, TLS   -> fail at once
        ├── NoConnection         no Connection of this name           -> print the command that creates it
        └── MirrorsFileError     all problems of a mirrors file at once

The core raises only these, never an exception of Airflow. ``airflow/runs/retries.py`` maps them to fail, retry or
defer.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from registry_sync.text import harmless


class RegistrySyncError(Exception):
    """Base class of all errors of this package. The message says what was seen, where, and what to do.

    ``error_class`` is the name shown in reports. ``is_permanent``: a retry would fail in the same way. ``status``: of
    the HTTP response that the error stands for; ``None`` without one. ``part``: the part of a registry's settings that
    is wrong, such as ``client certificate``; empty where nobody named it.

    A message may contain text from a registry, so it is made safe to display here.
    """

    error_class: ClassVar[str] = "error"
    is_permanent: ClassVar[bool] = True
    status: int | None = None
    part: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(harmless(message))


class NotFound(RegistrySyncError):
    """The registry reports that a repository, tag, manifest or blob does not exist."""

    error_class = "not_found"


class TemporaryError(RegistrySyncError):
    """An outage, a timeout, a broken connection or damaged content: the same call may work later."""

    error_class = "temporary"
    is_permanent = False


class MissingContent(TemporaryError):
    """The destination lacks a blob or child of the manifest that is pushed (garbage-collected?)."""


class ManifestNotStored(TemporaryError):
    """The destination answered the PUT of a manifest by a 5xx: an outage, or layers that it does not allow."""


class DamagedContent(TemporaryError):
    """Content does not match its digest or size, or is incomplete."""


class NotAManifest(DamagedContent):
    """The registry returned something other than a manifest, such as the page of a proxy."""


class ResponseTimeout(TemporaryError):
    """The registry accepted the request, but its response was not complete before the timeout."""


class ConnectTimeout(TemporaryError):
    """The connection attempt timed out: the registry neither accepted nor refused it (packets dropped)."""


class HandshakeTimeout(ConnectTimeout):
    """The registry accepted the connection, and did not answer the TLS handshake (a load balancer without servers)."""


class RateLimited(RegistrySyncError):
    """The registry rate-limits us until ``retry_at`` (aware UTC); the present when it names no time.

    ``host`` is the host that answered; empty where skopeo's message does not say which of the two registries it was.
    """

    error_class = "rate_limited"
    is_permanent = False

    def __init__(self, message: str, *, retry_at: datetime, host: str = "") -> None:
        super().__init__(message)
        self.retry_at = retry_at
        self.host = host


class ReferrersUnavailable(RegistrySyncError):
    """The registry did not list the referrers of a digest, for any reason. Images do not depend on them."""

    error_class = "referrers_unavailable"
    is_permanent = False


class DeniedError(RegistrySyncError):
    """The registry rejects the credentials, or they lack the permission for this call."""

    error_class = "denied"


class LoginRejected(DeniedError):
    """The registry or its token service rejects the user name or password, so no other request there can succeed."""


class RefusedError(RegistrySyncError):
    """A registry or policy refuses this content or tag: unsupported type, quota, read-only, immutable tag."""

    error_class = "refused"


class LockedTag(RefusedError):
    """The destination does not let this tag be overwritten or deleted: it is locked or immutable."""

    error_class = "locked"


class UnsupportedArtifact(RefusedError):
    """The destination never accepts manifests of this type, such as signatures. Images do not depend on them."""


class ManifestRefused(RefusedError):
    """The destination does not accept this manifest: its type, or a field such as ``subject``."""


class UnsupportedType(RefusedError):
    """A manifest is of a type that cannot be mirrored, such as schema 1."""


class NeededImage(RefusedError):
    """A tag is kept: deleting it would delete its image too, which an index at the destination lists."""


class NotTrusted(RefusedError):
    """The mirror's trust policy rejects the image, for example because a signature is missing."""


class NotCopyableWhole(RefusedError):
    """skopeo cannot copy this image or index as a whole; its parts can be transferred one by one."""


class NotWhole(RegistrySyncError):
    """Content of a published tag is missing or damaged at the destination, and could not be repaired."""

    error_class = "damaged"


class ConfigurationError(RegistrySyncError):
    """The mirrors file, a Connection or the worker must be changed before this can work."""

    error_class = "configuration"


class NoConnection(ConfigurationError):
    """Airflow has no Connection of this name in any of the places where it looks for one.

    ``has_database``: one of these places is a database, in which it can be created.
    """

    def __init__(self, message: str, *, has_database: bool = True) -> None:
        super().__init__(message)
        self.has_database = has_database


class MirrorsFileError(ConfigurationError):
    """An invalid mirrors file; ``problems`` holds one line of text for each problem.

    >>> str(MirrorsFileError(("mirrors.yaml:3: mirrors.a: unknown key 'sorce'",)))
    "mirrors.yaml:3: mirrors.a: unknown key 'sorce'"
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
