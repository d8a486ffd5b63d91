"""API definitions that ``swagger.py`` cannot read: OpenAPI 3, and Quay's paths with slashes in a parameter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft4Validator

from tests.contract.swagger import Swagger


class QuaySwagger(Swagger):
    """``{repository}`` is ``namespace/name``, with its slash."""

    def __init__(self, file_name: str) -> None:
        super().__init__(file_name)
        self.prefix = ""

    def _pattern(self, template: str) -> str:
        return re.sub(r"\\{\w+\\}", lambda _: "[^?]+", re.escape(template))


class OpenApi(Swagger):
    """An OpenAPI 3 definition: types of parameters are below ``schema``, and bodies by media type."""

    def check_body(self, path: str, body: Mapping[str, Any]) -> None:
        """:raises jsonschema.ValidationError: when ``body`` is not valid for a POST to ``path``."""
        content = self.document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        Draft4Validator({**content["schema"], "components": self.document["components"]}).validate(body)

    def check_answer(self, path: str, body: bytes, status: str = "200") -> None:
        """:raises jsonschema.ValidationError: when ``body`` is not a valid response to a GET of ``path``."""
        content = self.document["paths"][path]["get"]["responses"][status]["content"]["application/json"]
        Draft4Validator({**content["schema"], "components": self.document["components"]}).validate(json.loads(body))

    def example(self, path: str) -> bytes:
        """The definition's first example for a GET of ``path``."""
        content = self.document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        return json.dumps(next(iter(content["examples"].values()))["value"]).encode()

    def example_of(self, schema: str) -> dict[str, Any]:
        """The definition's examples for the properties of a schema."""
        properties = self.document["components"]["schemas"][schema]["properties"]
        return {name: each["example"] for name, each in properties.items() if "example" in each}

    def _parameters(self, operation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        shared = self.document["components"].get("parameters", {})
        for each in operation.get("parameters", ()):
            parameter = shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each
            yield {**parameter["schema"], **parameter}
