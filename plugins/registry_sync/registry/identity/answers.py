"""Answers of clouds that their SDKs cannot read. The SDKs raise Python's own errors for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from registry_sync.errors import TemporaryError


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
    """The error of an answer without what it should have. The answer is not quoted: it may have a token."""
    return TemporaryError(
        f"{cloud} answered {action} of {origin} with something else; does a proxy answer in its place?"
    )
