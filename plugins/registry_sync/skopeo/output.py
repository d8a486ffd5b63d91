"""Lines of skopeo's output: their secrets removed, and the message of an error among them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MAX_TEXT_LENGTH = 600

_LOGGED_ERROR = re.compile(r'\blevel=(?:fatal|error)\s+msg=(?:"((?:[^"\\]|\\.)*)"|(\S+))')

_GO_ESCAPE = re.compile(r"\\(.)")

_QUERY = re.compile(r"\?(?:[^\s\"\\:]|:(?=[^\s\"\\]))+")

_USER_OF_URL = re.compile(r"(?<=://)[^\s/\"\\@]+@")

_HEX = re.compile(r"\b(sha(?:256|512):[0-9a-f]{12})[0-9a-f]+")


def redact(line: str) -> str:
    """Remove the secrets of URLs from a line of skopeo's output: the query, and the user part before ``@``.

    A query contains the state of an upload, or the signature of a blob's address at a storage provider.

    >>> redact('Patch "https://quay.io/v2/a/blobs/uploads/1?_state=x:y": EOF')
    'Patch "https://quay.io/v2/a/blobs/uploads/1?…": EOF'
    """
    return _USER_OF_URL.sub("…@", _QUERY.sub("?…", line))


def last_words(lines: Sequence[str]) -> str:
    r"""The message of the last line of level fatal or error, else the last line. Digests are shortened.

    >>> last_words([r'time="…" level=fatal msg="reading \"a\": EOF"'])
    'reading "a": EOF'
    """
    logged = [match[1] or match[2] or "" for line in lines if (match := _LOGGED_ERROR.search(line))]
    if logged:
        text = _GO_ESCAPE.sub(lambda escape: " " if escape[1] in "nrt" else escape[1], logged[-1])
    else:
        text = next((line for line in reversed(lines) if line.strip()), "")
    text = " ".join(_HEX.sub(r"\1", redact(text)).split())
    return text if len(text) <= _MAX_TEXT_LENGTH else f"{text[: _MAX_TEXT_LENGTH - 1]}…"
