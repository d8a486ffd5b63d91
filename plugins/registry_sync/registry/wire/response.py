"""A response of a registry, its JSON, and its digest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry_sync.errors import TemporaryError
from registry_sync.oci.reference import Digest
from registry_sync.registry.wire.urls import shown_url

_NUMBER = re.compile(r"\s*[0-9]{1,18}\s*")


def whole_number(text: str) -> int | None:
    """The number in a header; ``None`` for other text, also for one of thousands of digits, which Python refuses.

    >>> whole_number(" 12"), whole_number("+1"), whole_number("9" * 5000)
    (12, None, None)
    """
    return int(text) if _NUMBER.fullmatch(text) else None


class BodyStream:
    """The body of a response, read chunk by chunk as it arrives. Chunks raise the classes of ``errors.py``."""

    def __init__(self, chunks: Iterator[bytes], close: Callable[[], object]) -> None:
        self._chunks = chunks
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """Give the connection back after the last chunk, or close it before that."""
        self._close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response of a registry, complete but for its ``stream``. Lookup in ``headers`` ignores case.

    :ivar challenges: the ``WWW-Authenticate`` lines, one by one.
    :ivar seconds: time that the registry took, without that of connecting, as far as it is known.
    :ivar stream: the body, when the request asked for a stream; ``content`` is empty then.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str
    challenges: tuple[str, ...] = ()
    stream: BodyStream | None = None
    seconds: float | None = None

    def digest(self) -> Digest | None:
        """The digest in ``Docker-Content-Digest``; ``None`` when the header is absent or not a digest.

        Registries and proxies have sent it in upper case, in quotes, and twice.
        """
        texts = {text.strip(" \t\"'").lower() for text in self.headers.get("Docker-Content-Digest", "").split(",")}
        try:
            (text,) = texts
            return Digest.parse(text)
        except ValueError:
            return None

    def json(self) -> Any:
        """:raises TemporaryError: when the body is not JSON, such as the page of a proxy."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            kind = self.headers.get("Content-Type", "no type")
            raise TemporaryError(f"{shown_url(self.url)} answered {self.status} with {kind}, not JSON") from error

    def rows(self, key: str, *fields: str) -> list[dict[str, Any]]:
        """The objects in the list ``key`` of a JSON object. Each object must have a string for each of ``fields``.

        :raises TemporaryError: for any other body. An error page is never read as an empty list.
        """
        document = self.json()
        rows = document.get(key) if isinstance(document, dict) else None
        if not isinstance(rows, list) or not all(has_texts(row, fields) for row in rows):
            raise TemporaryError(f"{shown_url(self.url)} answered {self.status} without a list of {key}")
        return rows

    def items(self, *fields: str) -> list[dict[str, Any]]:
        """The objects of a JSON list. Each must have a string for each of ``fields``.

        :raises TemporaryError: for any other body. An error page is never read as an empty list.
        """
        items = self.json()
        if not isinstance(items, list) or not all(has_texts(item, fields) for item in items):
            raise TemporaryError(f"{shown_url(self.url)} answered {self.status} without a list")
        return items


def has_texts(row: Any, fields: tuple[str, ...]) -> bool:
    """Return whether ``row`` is an object with a string for each of ``fields``."""
    return isinstance(row, dict) and all(isinstance(row.get(field), str) for field in fields)
