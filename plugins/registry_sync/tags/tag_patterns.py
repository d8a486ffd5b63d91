"""Patterns of tags: those that can match no tag are refused, because they would silently include or exclude nothing."""

from __future__ import annotations

from string import ascii_letters, digits

from registry_sync.errors import ConfigurationError
from registry_sync.tags.name_forms import Form, forms_of, has_inner_anchor
from registry_sync.tags.patterns import Pattern, parse_pattern
from registry_sync.text import quoted

MAX_TAG_LENGTH = 128
"""https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests"""

_FIRST = frozenset(f"{ascii_letters}{digits}_")
_OTHERS = _FIRST | frozenset(".-")


def parse_tag_pattern(text: str) -> Pattern:
    """Compile a glob or an expression for tags.

    :raises ConfigurationError: when it is invalid, or its text shows that it can match no tag.
    """
    pattern = parse_pattern(text)
    if fault := no_tag_fault(pattern):
        raise ConfigurationError(f"{quoted(text)} {fault}")
    return pattern


def no_tag_fault(pattern: Pattern) -> str:
    """The reason that a pattern can match no tag, and the remedy; empty when it may match one."""
    if pattern.is_expression and not pattern.text.strip("/^$()"):
        return "matches no tag, because tags are not empty; remove it"
    faults = _faults(pattern)
    return f"matches no tag, because {faults[0]}; {_advice(pattern)}" if all(faults) else ""


def _faults(pattern: Pattern) -> list[str]:
    return [_fault(form, pattern) for form in forms_of(pattern, with_counts=True)]


def _has_foreign_part(form: Form) -> bool:
    """True if the form has a character that tags cannot have."""
    return any(part is not None and not part & _OTHERS for part in form)


def _fault(form: Form, pattern: Pattern) -> str:
    """The reason that no tag has a form; empty when one may have it."""
    parts = [part for part in form if part is not None]
    if has_inner_anchor(pattern) and not all(parts):
        return "it has text before ^ or after $"
    if _has_foreign_part(form):
        return "tags have only letters, digits, '.', '_' and '-'"
    if not form:
        return "tags are not empty"
    if form[0] is not None and not form[0] & _FIRST:
        return "tags begin with a letter, a digit or '_'"
    if len(parts) > MAX_TAG_LENGTH:
        return f"tags have at most {MAX_TAG_LENGTH} characters"
    if pattern.is_expression and not pattern.text.endswith("$/") and form[-1] in (frozenset("."), frozenset("-")):
        return f"it would have to end with {quoted(min(form[-1] or ()))}"
    return ""


def _advice(pattern: Pattern) -> str:
    if not pattern.is_expression:
        return "globs have *, ? and [a-z]; write a regular expression as /…/"
    wider = parse_pattern(found_within(pattern))
    if all(map(_has_foreign_part, forms_of(pattern))) or all(_faults(wider)):
        return "correct it, or remove it"
    return f"patterns match whole tags; write {quoted(wider.text)} for tags that contain it"


def found_within(pattern: Pattern) -> str:
    """The expression of tags that contain a match, which is how most other tools read an expression.

    >>> found_within(parse_pattern(r"/^14[.]/")), found_within(parse_pattern("/rc|beta/"))
    ('/^14[.].*/', '/.*(?:rc|beta).*/')
    """
    expression = pattern.text[1:-1]
    if "|" in expression:
        return f"/.*(?:{expression}).*/"
    before = "" if expression.startswith(("^", ".*")) else ".*"
    after = "" if expression.endswith(("$", ".*")) else ".*"
    return f"/{before}{expression}{after}/"
