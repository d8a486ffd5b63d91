"""Base of the test servers that add a vendor's API to a registry."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from functools import partial
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from testkit.interceptor import Answer, Interceptor, _Course, _Handler
from testkit.loopback import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request to a vendor's API. ``bearer`` is its token. The last value of a repeated parameter counts."""

    method: str
    path: str
    query: Mapping[str, str]
    bearer: str | None
    body: bytes
    headers: Message


class ApiServer(Interceptor, ABC):
    """A registry and its vendor's API at one address. All other paths go to the registry.

    The rules of an :class:`Interceptor` apply to the API too.
    """

    def __init__(self, registry_url: str) -> None:
        super().__init__(registry_url)
        self._server.RequestHandlerClass = partial(_ApiHandler, self)

    def __enter__(self) -> Self:
        self.start()
        return self

    @abstractmethod
    def is_api(self, path: str) -> bool:
        """Return whether a path belongs to the API."""

    @abstractmethod
    def answer_api(self, asked: Asked) -> Answer:
        """Answer of the API."""


class _ApiHandler(_Handler):
    def __init__(self, api: ApiServer, *args: Any) -> None:
        self._api = api
        super().__init__(api, *args)

    def _forward(self, course: _Course) -> None:
        parts = urlsplit(self.path)
        if not self._api.is_api(parts.path):
            super()._forward(course)
            return
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        bearer, body = token if scheme == "Bearer" else None, b"".join(self._request_body() or ())
        answer = self._api.answer_api(
            Asked(method=self.command, path=parts.path, query=query, bearer=bearer, body=body, headers=self.headers)
        )
        request = Request(method=self.command, path=parts.path, query=parts.query, status=answer.status)
        for callback in course.callbacks:
            callback(request)
        self._give(answer)


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with a JSON body."""
    named = {"Content-Type": "application/json", **(headers or {})}
    return Answer(status=status, body=json.dumps(document).encode(), headers=named)
