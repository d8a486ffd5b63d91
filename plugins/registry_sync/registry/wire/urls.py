"""URLs: joined, compared by origin, and shown without secrets."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from urllib3.util import parse_url

from registry_sync.errors import TemporaryError


def without_query(text: str) -> str:
    """A text that may contain a URL, cut at its first question mark."""
    return f"{shown_url(text)}?…" if "?" in text else text


def join_url(base: str, address: str) -> str:
    """Resolve ``address``, as a registry sent it, against ``base``.

    :raises TemporaryError: when it is not a valid URL.
    """
    try:
        url = urljoin(base, address)
        _, host, _ = origin_of(url)
        parse_url(url)
        host.encode("idna")
    except ValueError as error:
        raise TemporaryError(
            f"{shown_url(base)} leads to {shown_url(address)!r}, which is not a valid URL ({error})"
        ) from error
    return url


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, compared as browsers do: https://www.rfc-editor.org/rfc/rfc6454."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def host_of(url: str) -> str:
    """Host and port of a URL as it has them, without a user."""
    return urlsplit(url).netloc.rpartition("@")[2]


def shown_url(url: str) -> str:
    """A URL without its query and without a user, for messages and logs. Both can hold secrets.

    >>> shown_url("https://user:word@cdn.example/blob?signature=x")
    'https://…@cdn.example/blob'
    """
    return _USER.sub(r"\1…@", url.partition("?")[0])


_USER = re.compile(r"^((?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//)[^/#]*@")
