"""The warning of ``check`` about mirrors that may give two repositories one name."""

from __future__ import annotations

import pytest

from registry_sync.checks.finding import Finding
from registry_sync.checks.shared_names import check_shared_names
from registry_sync.routes.load import load_mirrors
from tests.unit.routes.files import Write
from tests.unit.routes.test_load import many


def findings(write: Write, *rules: str, others_source: str = "hub") -> list[Finding]:
    sources = ["quay", *[others_source for _ in rules[1:]]]
    mirrors = [
        f"m{number}: {{source: {source}, destinations: [acr], repositories: [{{{rule}}}]}}"
        for number, (source, rule) in enumerate(zip(sources, rules, strict=True))
    ]
    return list(check_shared_names(load_mirrors(write(many(*mirrors)))))


WARNING = Finding(
    subject="mirror m0",
    check="names at acr",
    verdict="warning",
    text="namespace 'x' and namespace 'y' of mirrors.m1 may give different repositories the same name at the "
    "destination, and would overwrite each other's tags",
    remedy="give one of them a prefix or a rename of its own, or separate them by include and exclude",
)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("rename: 'all/{{ name }}', include: ['b*']", "rename: 'all/{{ name }}', include: ['*z']"),
        ("rename: 'all/{{ name }}'", "prefix: all/, strip_prefix: y/"),
        ("rename: 'all/{{ name }}', include: ['a-*']", "rename: 'all/{{ name }}', include: ['b-*']"),
        ("rename: 'all/{{ name }}', include: [a]", "rename: 'all/{{ name }}', exclude: [a]"),
    ],
    ids=["patterns meet", "all names", "nested names", "nested names and an exclude"],
)
def test_two_sources_of_one_name_are_a_warning(write: Write, ours: str, theirs: str) -> None:
    """``{{ name }}`` of ``y/sub/a-app`` is ``a-app``."""
    assert findings(write, f"namespace: x, {ours}", f"namespace: y, {theirs}") == [WARNING]


def test_further_mirrors_are_counted(write: Write) -> None:
    rules = [f"namespace: {name}, rename: 'all/{{{{ name }}}}'" for name in "xyz"]
    first, second = findings(write, *rules)
    assert (first.text.split(" may ")[0], second.subject) == (
        "namespace 'x' and namespace 'y' of mirrors.m1 (and 1 more)",
        "mirror m1",
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("namespace: x", "namespace: y"),
        ("namespace: x, include: ['a*']", "namespace: x, include: ['b*']"),
        ("namespace: x, rename: 'all/{{ name }}-x'", "namespace: y, rename: 'all/{{ name }}-y'"),
    ],
)
def test_names_that_are_apart_are_not(write: Write, ours: str, theirs: str) -> None:
    assert findings(write, ours, theirs) == []


def test_one_source_under_one_name_is_not(write: Write) -> None:
    """Both copy the same images."""
    assert findings(write, "namespace: x", "namespace: x", others_source="quay") == []
    assert len(findings(write, "namespace: x", "namespace: x", others_source="hub")) == 1
