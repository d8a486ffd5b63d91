"""Split expressions of whole repository names into a namespace and patterns of the names within it."""

from __future__ import annotations

import re

from registry_sync.errors import ConfigurationError
from registry_sync.importing.expressions import is_whole
from registry_sync.tags.patterns import parse_pattern
from registry_sync.text import quoted


def split_namespace(expression: str) -> tuple[str, str]:
    """The namespace that an expression begins with, and the expression within it; empty where there is none.

    >>> split_namespace("^team/web-.*$"), split_namespace(".*/web")
    (('team', 'web-.*'), ('', '.*/web'))
    """
    namespace, slash, rest = expression.removeprefix("^").removesuffix("$").partition("/")
    is_literal = slash and re.fullmatch(r"[a-z0-9]+(?:[_-]+[a-z0-9]+)*", namespace)
    return (namespace, rest) if is_literal else ("", expression)


def whole_name_pattern(expression: str) -> str:
    """The pattern of repositories that match an expression as a whole; a name that is plain stays as it is.

    :raises ConfigurationError: when it is not an expression, or has alternatives that ``^`` and ``$`` do not enclose:
        only the first of them is within the namespace that the expression begins with.
    """
    if not is_whole(expression):
        raise ConfigurationError(f"{quoted(expression)} has alternatives outside brackets; write an entry for each")
    if re.fullmatch(r"[a-z0-9_/-]+", expression):
        return expression
    return parse_pattern(f"/{expression}/").text


_MAY_MATCH_A_SLASH = re.compile(r"(?<!\\)\.|/|\[\^|\\[A-Z]")


def pattern_within(namespace: str, expression: str) -> str | None:
    """The expression of names within a namespace, from an expression of whole names; ``None`` where there is none.

    >>> pattern_within("team", "team/web-.*"), pattern_within("team", ".*/web"), pattern_within("team", ".*-rc")
    ('web-.*', '(?:.*/)?web', '.*-rc')

    :raises ConfigurationError: when it is not an expression.
    """
    if expression.startswith(f"{namespace}/"):
        return expression.removeprefix(f"{namespace}/")
    if not expression.startswith(".*"):
        return None
    end = expression.removeprefix(".*")
    if end.startswith("/"):
        return f"(?:.*/)?{end.removeprefix('/')}"
    middle = end.removesuffix(".*")
    if _MAY_MATCH_A_SLASH.search(middle):
        return None
    is_in_namespace = middle != end and parse_pattern(f"/.*(?:{middle}).*/").matches(namespace)
    return None if is_in_namespace else expression
