"""A service definition of AWS, to validate our requests and the responses of stand-ins.

The shapes become JSON schemas: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_NUMBERS = {"integer": "integer", "long": "integer", "double": "number", "float": "number", "timestamp": "number"}


class AwsDefinition:
    """A definition in this directory."""

    def __init__(self, file_name: str) -> None:
        self.document: Mapping[str, Any] = json.loads(Path(__file__).with_name(file_name).read_text())
        self._prefix = f"{self.document['metadata']['targetPrefix']}."

    def check_request(self, target: str, body: bytes) -> str:
        """The action of a request. :raises jsonschema.ValidationError: when the action does not take ``body``.

        :param target: the header ``X-Amz-Target``.
        """
        action = target.removeprefix(self._prefix)
        self._validate(self.document["operations"][action]["input"]["shape"], json.loads(body))
        return action

    def check_answer(self, action: str, body: bytes) -> None:
        """:raises jsonschema.ValidationError: when ``body`` is not a valid response of the action."""
        self._validate(self.document["operations"][action]["output"]["shape"], json.loads(body))

    def errors(self, action: str) -> set[str]:
        """The errors that an action declares. Those of every service, such as ``AccessDeniedException``, are not."""
        return {error["shape"] for error in self.document["operations"][action]["errors"]}

    def _validate(self, shape: str, document: Any) -> None:
        Draft202012Validator(self._schema(shape)).validate(document)

    def _schema(self, name: str) -> dict[str, Any]:
        shape = self.document["shapes"][name]
        match shape["type"]:
            case "structure":
                members = {key: self._schema(member["shape"]) for key, member in shape["members"].items()}
                required = shape.get("required", [])
                return {"type": "object", "properties": members, "required": required, "additionalProperties": False}
            case "list":
                limits = {"minItems": shape.get("min", 0), "maxItems": shape.get("max", 10**6)}
                return {"type": "array", "items": self._schema(shape["member"]["shape"]), **limits}
            case "map":
                return {"type": "object", "additionalProperties": self._schema(shape["value"]["shape"])}
            case "string":
                limits = {"minLength": shape.get("min", 0), "maxLength": shape.get("max", 10**6)}
                texts = {key: shape[key] for key in ("enum", "pattern") if key in shape}
                return {"type": "string", **limits, **texts}
            case "boolean":
                return {"type": "boolean"}
        limits = {new: shape[old] for new, old in (("minimum", "min"), ("maximum", "max")) if old in shape}
        return {"type": _NUMBERS[shape["type"]], **limits}
