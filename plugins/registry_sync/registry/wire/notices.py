"""Notices that a registry sends with its responses, such as that it moves: the ``Warning`` header.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#warnings
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable

from registry_sync.registry.wire.response import Response
from registry_sync.text import one_line

log = logging.getLogger(__name__)

_NOTICE = re.compile(r'(?:^|,)\s*299\s+\S+\s+(?:"((?:[^"\\]|\\.)+)"|([^",][^,]*))')
"""Other codes are about caches. Some servers leave out the quotes."""

_MOST, _LONGEST = 20, 300


class Notices:
    """Logs each notice of one registry once. :param redact: masks the secrets of a text."""

    def __init__(self, host: str, redact: Callable[[str], str]) -> None:
        self._host, self._redact = host, redact
        self._logged = set[str]()
        self._lock = threading.Lock()

    def log(self, response: Response) -> None:
        """Log the notices of a response that are new."""
        for quoted, plain in _NOTICE.findall(response.headers.get("Warning", "")[:4096]):
            notice = one_line(self._redact(re.sub(r"\\(.)", r"\1", quoted) or plain.strip()), _LONGEST)
            with self._lock:
                is_new = notice not in self._logged and len(self._logged) < _MOST
                if is_new:
                    self._logged.add(notice)
            if is_new:
                log.warning("%s sends a notice: %s", self._host, notice)
