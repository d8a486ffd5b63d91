"""The compact stored form of a table of tags. Tags of thousands of routes are most of the stored data.

A tag takes about 70 bytes instead of 250, so that one value holds 800 tags. Names and digests can be searched for by
the database: ``tags`` is ``/v1/v2/``, and ``digests`` has a slash and 43 characters of base64 for each of them.
Everything else is compressed.
"""

from __future__ import annotations

import json
import zlib
from base64 import b85decode, b85encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from registry_sync.state.route import STATUSES, KnownTag, TagTable
from registry_sync.state.times import UtcTime

_MAX_JSON_BYTES = 2_000_000
"""The longest JSON that is unpacked: many times what one value holds."""

_TIMES = ("first_seen", "pushed_at", "selected_at", "published_at", "failing_since")
_SHA256 = "sha256:"


def pack_tags(table: TagTable) -> dict[str, Any]:
    """A table as JSON-simple data."""
    rows = json.dumps([_row(tag) for tag in table.tags], separators=(",", ":"))
    return {
        "tags": "".join(f"/{_escape(tag.tag)}" for tag in table.tags) + "/",
        "digests": "".join(f"/{_short_digest(tag.digest)}" for tag in table.tags),
        "rows": b85encode(zlib.compress(rows.encode(), 9)).decode(),
        "total": table.total,
    }


def text_of_tag(beginning: str, *, exact: bool = False) -> str:
    """The text by which a packed table with a tag can be found: a whole tag if ``exact``, else its beginning."""
    return f"/{_escape(beginning)}{'/' if exact else ''}"


def texts_of_digest(digits: str) -> tuple[str, str]:
    """The texts of which a packed table has one, if it has a digest that begins with these hexadecimal digits."""
    even = digits if len(digits) % 2 == 0 else f"{digits}0"
    encoded = urlsafe_b64encode(bytes.fromhex(even)).decode()
    return f"/{encoded[: len(digits) * 4 // 6]}", f":{digits}"


def _escape(tag: str) -> str:
    """A tag with its slashes escaped. No valid tag has a slash."""
    return tag.replace("%", "%25").replace("/", "%2F")


def _short_digest(digest: str | None) -> str:
    """A SHA-256 digest in base64, any other as it is; empty without one."""
    if not digest or not digest.startswith(_SHA256):
        return digest or ""
    return urlsafe_b64encode(bytes.fromhex(digest.removeprefix(_SHA256))).decode().rstrip("=")


def _long_digest(text: str) -> str | None:
    """:raises ValueError: when it is not the base64 of 32 bytes."""
    if not text or ":" in text:
        return text or None
    decoded = urlsafe_b64decode(f"{text}=")
    if len(decoded) != 32:
        raise ValueError(f"{text!r} is not a digest")
    return f"{_SHA256}{decoded.hex()}"


def _row(tag: KnownTag) -> list[int]:
    """The number of the status, tries, and times in seconds; 0 without one."""
    return [STATUSES.index(tag.status), tag.tries, *(_seconds(getattr(tag, name)) for name in _TIMES)]


def _seconds(time: UtcTime | None) -> int:
    return int(time.timestamp()) if time else 0


def unpack_tags(document: Any) -> TagTable:
    """Read the result of :func:`pack_tags`. :raises ValueError: for anything else."""
    try:
        names = document["tags"].strip("/").split("/") if document["tags"] != "/" else []
        digests = document["digests"].split("/")[1:]
        rows = zlib.decompressobj().decompress(b85decode(document["rows"]), _MAX_JSON_BYTES)
        columns = zip(names, digests, json.loads(rows), strict=True)
        tags = tuple(_known_tag(unquote(name), _long_digest(digest), row) for name, digest, row in columns)
        return TagTable(tags=tags, total=max(int(document["total"]), len(tags)))
    except (AttributeError, TypeError, LookupError, OverflowError, OSError, zlib.error) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _known_tag(name: str, digest: str | None, row: Sequence[int]) -> KnownTag:
    """:raises ValueError: when the row has no first sight, or another length."""
    status, tries, *seconds = row
    times: Mapping[str, datetime | None] = dict(zip(_TIMES, map(_time, seconds), strict=True))
    first_seen = times["first_seen"]
    if first_seen is None:
        raise ValueError(f"the tag {name!r} has no first sight")
    return KnownTag(
        tag=name,
        status=STATUSES[status],
        digest=digest,
        first_seen=first_seen,
        pushed_at=times["pushed_at"],
        selected_at=times["selected_at"],
        published_at=times["published_at"],
        failing_since=times["failing_since"],
        tries=tries,
    )


def _time(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
