"""Templates that would take unbounded time or memory are refused when they are read, or end at a limit."""

from __future__ import annotations

import pytest

from registry_sync.config.renaming import check_rename
from registry_sync.errors import ConfigurationError
from registry_sync.tags.backup_names import parse_backup_tag
from registry_sync.tags.templates import compile_template
from registry_sync.text import quoted

INSTEAD = "write variables, texts, if, filters such as replace, and methods such as split"
METHODS = (
    "capitalize, count, endswith, find, isdigit, join, lower, lstrip, partition, removeprefix, removesuffix, replace, "
    "rfind, rpartition, rsplit, rstrip, split, startswith, strip, title, upper"
)
FILTERS = (
    "capitalize, count, d, default, first, int, join, last, length, list, lower, replace, reverse, sort, string, "
    "title, trim, truncate, unique, upper"
)
CALLS = f"of functions and methods, only those of texts are supported in templates: {METHODS}"


def unsupported(part: str) -> str:
    return f"{part} is not supported in templates; {INSTEAD}"


HOSTILE = [
    ("{{ 'a' * 10000000000 }}", unsupported("'*'")),
    ("{{ name * 10000000000 }}", unsupported("'*'")),
    ("{{ 9 ** 9 ** 9 ** 9 }}", unsupported("'**'")),
    ("{{ '%1000000000d' % 1 }}", unsupported("'%'")),
    ("{% for a in name %}{% for b in name %}x{% endfor %}{% endfor %}", unsupported("a loop")),
    ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", unsupported("a macro")),
    ("{% set a = name ~ name %}{% set a = a ~ a %}{{ a }}", unsupported("{% set %}")),
    ("{% include 'x' %}", unsupported("Include")),
    ("{{ range(1000000000) | list }}", CALLS),
    ("{{ lipsum(1000000) }}", CALLS),
    ("{{ name.center(10000000000) }}", CALLS),
    ("{{ name.ljust(10000000000) }}", CALLS),
    ("{{ name.zfill(10000000000) }}", CALLS),
    ("{{ '{:>10000000000}'.format(name) }}", CALLS),
    ("{{ name['center'](10000000000) }}", CALLS),
    ("{{ name | center(10000000000) }}", f"the filter 'center' is not supported in templates; there are {FILTERS}"),
    ("{{ '%1000000000d' | format(1) }}", f"the filter 'format' is not supported in templates; there are {FILTERS}"),
    ("{{ (name | attr('center'))(9999999999) }}", CALLS),
    ("{{ name | indent(10000000000) }}", f"the filter 'indent' is not supported in templates; there are {FILTERS}"),
]


@pytest.mark.parametrize(("text", "problem"), HOSTILE)
def test_templates_without_bounds_are_refused_when_they_are_read(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_rename(text)
    assert str(caught.value) == f"{quoted(text)}: {problem}"
    with pytest.raises(ConfigurationError) as caught:
        parse_backup_tag(text)
    assert str(caught.value) == f"{quoted(text)}: {problem}"


@pytest.mark.parametrize(
    "text",
    [
        "{{ name" + 9 * ".replace('a', 'aaaaaaaaaa')" + " }}",
        "{{ name" + 9 * "|replace('a', 'aaaaaaaaaa')" + " }}",
        "{{ (name" + 5 * "|list|join('aaaaaaaaaa')" + ") }}",
    ],
)
def test_values_that_grow_end_at_a_limit(text: str) -> None:
    template = compile_template(text)
    with pytest.raises(ValueError, match=r"^a value in it has more than 1000 characters or items$"):
        template.render({"name": 50 * "a"})


def test_long_templates_are_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_template(1001 * "a")
    assert str(caught.value) == f"the template '{40 * 'a'}'... has more than 1000 characters; shorten it"


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("copies/{{ name }}", "copies/app"),
        ("{{ repository.split('/')[1:] | join('-') }}", "team-app"),
        ("{{ repository.replace('/', '-') | lower }}", "acme-team-app"),
        ("{{ repository | replace('/', '-') | upper }}", "ACME-TEAM-APP"),
        ("{% if name.startswith('a') %}a/{% elif name == 'b' %}b/{% else %}c/{% endif %}{{ name }}", "a/app"),
        ("{{ 'x' if name is defined and name | length > 2 else 'y' }}", "x"),
        ("{{ [name, 'b'] | sort | first ~ '-' ~ name[:2] }}", "app-ap"),
        ("{{ name + '-' + name.removeprefix('a') }}", "app-pp"),
    ],
)
def test_ordinary_templates_are_rendered(text: str, rendered: str) -> None:
    assert compile_template(text).render({"name": "app", "repository": "acme/team/app"}) == rendered
