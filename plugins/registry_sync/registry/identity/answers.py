"""Unreadable and missing answers of clouds, and the time limits of calls.

The SDKs raise Python's own errors for answers that they cannot read, and have time limits of minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from registry_sync.errors import TemporaryError

CONNECT_SECONDS, READ_SECONDS = 5, 10
"""Time limits of an attempt, for a connection and for each answer."""

ATTEMPTS = 2
"""Attempts of an SDK for each call, so that a cloud that does not respond takes about twenty seconds."""


def ca_bundle() -> str | None:
    """The bundle of certificates that the environment names, as the library ``requests`` reads it."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None


@contextmanager
def read_answer(cloud: str, action: str, origin: str) -> Iterator[None]:
    """Call a cloud by its SDK. The SDKs do not check the form of an answer.

    :param action: the call, such as ``ecr:GetAuthorizationToken``.
    :param origin: the place that the identity is written in.
    :raises TemporaryError: for an answer in another form, such as the page of a proxy.
    """
    try:
        yield
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise unusable_answer(cloud, action, origin) from error


def unusable_answer(cloud: str, action: str, origin: str) -> TemporaryError:
    """The error of an answer without the expected fields. It is not quoted, because it may have a token."""
    return TemporaryError(
        f"{cloud} answered {action} of {origin} with something else; does a proxy answer in its place?"
    )


def no_answer(cloud: str, action: str, origin: str, started: float) -> TemporaryError:
    """The error of a call whose time limit is over.

    :param started: time of the call, by ``time.monotonic``.
    """
    return TemporaryError(
        f"{cloud} did not answer {action} of {origin} in {time.monotonic() - started:.0f} seconds; does a firewall, a "
        "network policy or a proxy hold back the requests of this worker?"
    )
