"""What can go wrong, one class per decision that a caller takes.

::

    RegistrySyncError
    ├── NotFound                 the registry says it is not there    -> gone at the source: skipped
    ├── TemporaryError           outage, time-out, reset, corruption  -> retry
    │   ├── MissingContent       a manifest's blob or child is absent -> copy its content again
    │   ├── DamagedContent       bytes are not what their digest says -> say so: some runtimes stop there
    │   │   └── NoManifest       a page or the like came in its place -> ask what answers there, delete nothing
    │   ├── TooSlow              an answer did not come in its time   -> say so: every runtime goes on waiting
    │   └── NotConnected         no connection came in its time       -> say so: runtimes wait long, and then go on
    ├── RateLimited              the registry named a time to wait    -> defer until then
    ├── DeniedError              wrong password, missing right        -> fail at once
    ├── RefusedError             type, quota, policy, read-only       -> fail at once
    │   ├── LockedTag            an immutable tag at the destination  -> an outcome of its own
    │   ├── UnsupportedArtifact  a type that the destination lacks    -> skip the tag
    │   ├── NotTrusted           a trust policy does not accept it    -> publish it on no account
    │   └── NotCopyableWhole     an index that skopeo cannot take     -> stage it child by child
    └── ConfigurationError       mirrors file, worker, address, TLS   -> fail at once
        └── MirrorsFileError     every problem of a mirrors file at once

The core raises these and never an exception of Airflow's; ``operators/outcome.py`` is the one place that turns them
into fail, retry or defer.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from registry_sync.text import harmless


class RegistrySyncError(Exception):
    """Base of all errors of this package; its message says what was seen, where, and what to do.

    ``error_class`` is the word that reports show. ``is_permanent`` says that trying again changes nothing.

    A message may repeat what a registry sent. Here, for all of them, it is made fit to be read.
    """

    error_class: ClassVar[str] = "error"
    is_permanent: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(harmless(message))


class NotFound(RegistrySyncError):
    """The registry answered that a repository, tag, manifest or blob does not exist."""

    error_class = "not_found"


class TemporaryError(RegistrySyncError):
    """An outage, a time-out, a broken connection or damaged content: the same call may work later."""

    error_class = "temporary"
    is_permanent = False


class MissingContent(TemporaryError):
    """The destination does not have a blob or child of the manifest that it is given (garbage-collected?)."""


class DamagedContent(TemporaryError):
    """What arrived is not what its digest or size says, or only a part of it."""


class NoManifest(DamagedContent):
    """Something else arrived in the place of a manifest, such as the page of a proxy."""


class TooSlow(TemporaryError):
    """A registry took the request, and its answer did not come, or not whole, in the time that it has."""


class NotConnected(TemporaryError):
    """A registry did not take a connection, nor refuse it, in the time that it has: packets are swallowed."""


class RateLimited(RegistrySyncError):
    """The registry asks to be left alone until ``retry_at`` (aware UTC)."""

    error_class = "rate_limited"
    is_permanent = False

    def __init__(self, message: str, *, retry_at: datetime) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class DeniedError(RegistrySyncError):
    """The registry does not accept the credentials, or they lack the right for this call."""

    error_class = "denied"


class RefusedError(RegistrySyncError):
    """A registry or policy refuses this content or tag: unsupported type, quota, read-only, immutable tag."""

    error_class = "refused"


class LockedTag(RefusedError):
    """The destination does not let this tag name anything else: it is locked, immutable, or written once for all."""

    error_class = "locked"


class UnsupportedArtifact(RefusedError):
    """The destination never takes manifests of this type, such as signatures; no image is missing without it."""


class NotTrusted(RefusedError):
    """The mirror's trust policy does not accept the image, for example since a signature is missing."""


class NotCopyableWhole(RefusedError):
    """skopeo cannot copy this image index in one piece; its children one by one can be copied."""


class ConfigurationError(RegistrySyncError):
    """Somebody has to change the mirrors file, a Connection or the worker before this can work."""

    error_class = "configuration"


class MirrorsFileError(ConfigurationError):
    """A mirrors file that cannot be used; ``problems`` holds one line of text for each thing to mend.

    >>> str(MirrorsFileError(("mirrors.yaml:3: mirrors.a: unknown key 'sorce'",)))
    "mirrors.yaml:3: mirrors.a: unknown key 'sorce'"
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
