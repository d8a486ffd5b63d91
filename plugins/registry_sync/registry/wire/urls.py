"""URLs: joined, compared by origin, and shown without secrets."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

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
        origin_of(url)
    except ValueError as error:
        raise TemporaryError(
            f"{shown_url(base)} leads to {shown_url(address)!r}, which is not a valid URL ({error})"
        ) from error
    return url


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, compared as browsers do: https://www.rfc-editor.org/rfc/rfc6454."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def shown_url(url: str) -> str:
    """A URL without its query, for messages and logs. A query can hold tokens and signatures."""
    return url.partition("?")[0]
