"""Jinja2 templates of a mirrors file, without what takes unbounded time or memory.

They run in Jinja2's sandbox (https://jinja.palletsprojects.com/en/stable/sandbox/), which limits what they reach, not
what they use: ``{{ 'a' * 10000000000 }}`` would take the memory of the DAG processor. So only expressions and ``if``
are supported, with filters and methods whose results grow at most with the text, and each result is limited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateRuntimeError, TemplateSyntaxError, meta, nodes
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from registry_sync.errors import ConfigurationError
from registry_sync.text import quoted

MAX_LENGTH = 1000
"""Most characters of a template, and of each value in it; most items of a list. Names have at most 255 characters."""

_SUPPORTED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.Name, nodes.Const),
    *(nodes.List, nodes.Tuple, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Call),
    *(nodes.Keyword, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Add, nodes.Sub),
    *(nodes.Div, nodes.FloorDiv, nodes.Neg, nodes.Pos),
)

_FILTERS = (
    *("capitalize", "count", "d", "default", "first", "int", "join", "last", "length", "list", "lower", "replace"),
    *("reverse", "sort", "string", "title", "trim", "truncate", "unique", "upper"),
)

_METHODS = (
    *("capitalize", "count", "endswith", "find", "isdigit", "join", "lower", "lstrip", "partition", "removeprefix"),
    *("removesuffix", "replace", "rfind", "rpartition", "rsplit", "rstrip", "split", "startswith", "strip", "title"),
    *("upper",),
)


@dataclass(frozen=True, slots=True)
class BoundedTemplate:
    """A compiled template. ``tree`` is its syntax, ``variables`` are the names that it uses."""

    tree: nodes.Template
    variables: frozenset[str]
    _compiled: Template

    def render(self, values: Mapping[str, str]) -> str:
        """:raises ValueError: when the template fails for ``values``."""
        try:
            return self._compiled.render(values)
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ValueError(str(error)) from error
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


def compile_template(text: str) -> BoundedTemplate:
    """Compile a template.

    :raises ConfigurationError: when it is not valid, or has a part that is not supported.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigurationError(
            f"the template {quoted(text[:40])}... has more than {MAX_LENGTH} characters; shorten it"
        )
    try:
        tree = _ENVIRONMENT.parse(text)
        if unsupported := next(_unsupported(tree), ""):
            raise ConfigurationError(f"{quoted(text)}: {unsupported}")
        compiled = _ENVIRONMENT.from_string(text)
    except TemplateSyntaxError as error:
        raise ConfigurationError(f"{quoted(text)} is not a Jinja2 template: {error.message}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{quoted(text)} is not a Jinja2 template: it is nested too deeply") from error
    return BoundedTemplate(tree, frozenset(meta.find_undeclared_variables(tree)), compiled)


def _unsupported(node: nodes.Node) -> Iterator[str]:
    """The parts of a template that are not supported, each with the remedy."""
    match node:
        case nodes.Filter(name=name) if name not in _FILTERS:
            yield f"the filter {quoted(name)} is not supported in templates; there are {', '.join(_FILTERS)}"
        case nodes.Call(node=nodes.Getattr(attr=method)) if method in _METHODS:
            pass
        case nodes.Call():
            yield f"of functions and methods, only those of texts are supported in templates: {', '.join(_METHODS)}"
        case _ if not isinstance(node, _SUPPORTED):
            kind = type(node).__name__
            yield (
                f"{_SHOWN.get(kind, kind)} is not supported in templates; write variables, texts, if, filters such as "
                "replace, and methods such as split"
            )
    for child in node.iter_child_nodes():
        yield from _unsupported(child)


_SHOWN = {
    "For": "a loop",
    "Mul": "'*'",
    "Pow": "'**'",
    "Mod": "'%'",
    "Macro": "a macro",
    "Assign": "{% set %}",
}
"""Parts of templates as they are written."""


def _bounded(value: Any) -> Any:
    """:raises TemplateRuntimeError: when a text or list is too long."""
    if isinstance(value, str | list | tuple) and len(value) > MAX_LENGTH:
        raise TemplateRuntimeError(f"a value in it has more than {MAX_LENGTH} characters or items")
    return value


def _bounded_filter(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)  # with the attributes by which Jinja2 knows what to pass
    def run(*args: Any, **kwargs: Any) -> Any:
        return _bounded(function(*args, **kwargs))

    return run


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, with a limit on the result of each call."""

    def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """:raises TemplateRuntimeError: when the result is too long."""
        return _bounded(super().call(context, called, *args, **kwargs))


_ENVIRONMENT = _Environment(undefined=StrictUndefined, autoescape=False)
_ENVIRONMENT.filters = {name: _bounded_filter(FILTERS[name]) for name in _FILTERS}
_ENVIRONMENT.globals.clear()
