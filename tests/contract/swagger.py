"""Vendors' Swagger 2.0 definitions, to validate our requests and the responses of stand-ins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml
from jsonschema import Draft4Validator, FormatChecker

from testkit.loopback import Request

_BOOLEANS = {"true", "false"}


class Swagger:
    """A definition in this directory; ``prefix`` comes before its paths."""

    def __init__(self, file_name: str) -> None:
        self.document: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name(file_name).read_text())
        self.prefix: str = self.document.get("basePath", "")

    def check_request(self, request: Request) -> str:
        """Path of the definition (such as ``/acr/v1/{name}/_tags``) that a request matches.

        :raises AssertionError: when there is none, or its query is not what that declares.
        """
        template, parameters = self._operation(request)
        declared = {parameter["name"]: parameter for parameter in parameters if parameter["in"] == "query"}
        given = dict(parse_qsl(request.query, strict_parsing=bool(request.query)))
        assert set(given) <= set(declared), f"{template} does not take {set(given) - set(declared)}"
        for name, text in given.items():
            assert _takes(declared[name], text), f"{template} does not take {name}={text}"
        return template

    def check_answer(self, path: str, body: bytes, status: str = "200") -> None:
        """:raises jsonschema.ValidationError: when ``body`` is not a valid response to a GET of ``path``."""
        answer = self.document["paths"][path]["get"]["responses"][status]
        schema = {"definitions": self.document["definitions"], **answer["schema"]}
        Draft4Validator(schema, format_checker=FormatChecker()).validate(json.loads(body))

    def example(self, path: str) -> bytes:
        """The definition's example for a GET of ``path``."""
        answer = self.document["paths"][path]["get"]["responses"]["200"]
        return json.dumps(answer["examples"]["application/json"]).encode()

    def _operation(self, request: Request) -> tuple[str, list[Mapping[str, Any]]]:
        """The most specific matching path, and its parameters."""
        fitting = [
            template for template in self.document["paths"] if re.fullmatch(self._pattern(template), request.path)
        ]
        template = max(fitting, key=len, default="")
        operation = self.document["paths"].get(template, {}).get(request.method.lower())
        assert operation, f"{request.method} {request.path} is not in the definition"
        return template, list(self._parameters(operation))

    def _pattern(self, template: str) -> str:
        """A path as a regular expression. Azure leaves slashes within a name as they are, others encode them."""
        part = "[^?]+" if template.startswith("/acr/") else "[^/?]+"
        return self.prefix + re.sub(r"\\{\w+\\}", lambda _: part, re.escape(template))

    def _parameters(self, operation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        for each in operation.get("parameters", ()):
            yield self.document["parameters"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each


def _takes(parameter: Mapping[str, Any], text: str) -> bool:
    match parameter["type"]:
        case "integer":
            return text.isdecimal() and int(text) <= parameter.get("maximum", int(text))
        case "boolean":
            return text in _BOOLEANS
    return text in parameter.get("enum", [text])
