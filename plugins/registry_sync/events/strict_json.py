"""Read the JSON of a request that anybody may have sent."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 32
"""Maximum nesting of a body. GitHub's bodies, the deepest of all senders, have ten levels."""


class BadJson(ValueError):
    """A body that is not a valid JSON object. The message quotes nothing of it."""


def read_object(body: bytes) -> dict[str, Any]:
    """The object of a body in UTF-8.

    >>> read_object(b'{"a": [1]}')
    {'a': [1]}

    :raises BadJson: when it is not one, is nested too deeply, has a key twice, or numbers that JSON does not have.
    """
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except BadJson:
        raise
    except UnicodeDecodeError as error:
        raise BadJson("the body is not UTF-8") from error
    except RecursionError as error:
        raise BadJson(f"the body is nested more than {MAX_DEPTH} deep") from error
    except ValueError as error:
        raise BadJson("the body is not valid JSON") from error
    if not isinstance(document, dict):
        raise BadJson("the body is not a JSON object")
    _check_depth(document)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadJson("the body has a key twice in one object")
    return found


def _refuse_constant(_: str) -> Any:
    raise BadJson("the body has a number that JSON does not have, such as NaN")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadJson("the body has a number that is too large")
    return number


def _check_depth(document: Any) -> None:
    """Walk level by level, without recursion."""
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise BadJson(f"the body is nested more than {MAX_DEPTH} deep")


def _children(value: Any) -> list[Any]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
    return []
