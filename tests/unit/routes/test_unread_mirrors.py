"""Pruning beside a mirror with a mistake: none at registries that it may write."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_sync.config.reading.file_text import read_mirrors_text
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import load_healthy_mirrors, load_mirrors, parse_mirrors
from tests.unit.routes.files import Write

REGISTRIES = """registries:
  quay: {host: quay.io}
  hub: {host: docker.io}
  acr: {host: acr.example}
  again: {host: ACR.example}
  other: {host: other.example}
"""
PRUNES = "  a: {source: quay, destinations: [acr], repositories: [team/app], prune: {tags: gone_at_source}}\n"
STOPPED = "nothing is pruned until mirrors.b is correct, because it may write the same repositories"


def text(broken: str, *, defaults: str = "", registries: str = REGISTRIES) -> str:
    return f"{registries}{defaults}mirrors:\n{PRUNES}  {broken}\n"


BROKEN = (
    "b: {source: hub, destinations: [acr], repositories: [{repository: lib/x, rename: team/app, tags: 5}]}",
    "b: {source: hub, destinations: [again], repositories: [lib/x], schedul: '@daily'}",
    "b: {source: hub, destinations: [other, acr], repositories: []}",
    "b: {source: nobody, destinations: [acr], repositories: [{repository: lib/x, rename: team/app}]}",
    "b: {source: hub, destinations: [nobody], repositories: [lib/x]}",
    "b: {source: hub, destinations: [other, other], repositories: [lib/x]}",
    "b: {source: other, destinations: [other], repositories: [lib/x]}",
    "b: {source: other, destinations: [other], repositories: [{namespace: lib}]}",
    "b: {source: hub, destinations: [acr], repositories: [lib/x, lib/x]}",
    "b: {source: hub, destinations: [acr], repositories: [lib/x], catchup: true}",
    "b: {source: hub, destinations: [acr], repositories: [{namespace: lib, rename: team/all}]}",
    "b: {source: hub, destinations: acr, repositories: [lib/x]}",
    "b: {source: hub, repositories: [lib/x]}",
    "b: [lib/x]",
    "b:",
    "b: {source: hub, destinations: [acr], destinations: [other], repositories: [lib/x]}",
    (
        "b: {source: hub, destinations: [other], repositories: [lib/x]}\n"
        "  b: {source: hub, destinations: [other], repositories: [lib/y]}"
    ),
)
"""Mistakes of every kind, in an entry that writes the registry or may write it."""


@pytest.mark.parametrize("broken", BROKEN)
def test_nothing_is_pruned_where_a_broken_mirror_may_write(write: Write, broken: str) -> None:
    """The healthy mirror goes on copying. A task that reads its mirror alone finds the same."""
    path = write(text(broken))
    file, problems = load_healthy_mirrors(path)
    assert list(file.mirrors) == ["a"]
    assert [rule.settings.prune for rule in file.mirrors["a"].rules] == [None]
    assert f"mirrors.yaml:8: mirrors.a: {STOPPED}" in problems
    alone, _ = parse_mirrors(path.read_text(), path, "a")
    assert alone.mirrors == file.mirrors


@pytest.mark.parametrize(
    "broken",
    [
        "b: {source: hub, destinations: [other], repositories: [lib/x], schedul: '@daily'}",
        "b: {source: nobody, destinations: [other], repositories: [lib/x]}",
        "b: {source: hub, repositories: [{repository: lib/x, tags: 5}]}",
    ],
)
def test_one_that_writes_elsewhere_stops_nothing(write: Write, broken: str) -> None:
    file, problems = load_healthy_mirrors(write(text(broken, defaults="defaults: {destinations: [other]}\n")))
    assert [rule.settings.deletes_tags for rule in file.mirrors["a"].rules] == [True]
    assert len(problems) == 1


def test_destinations_that_it_inherits_count(write: Write) -> None:
    broken = "b: {source: hub, repositories: [{repository: lib/x, tags: 5}]}"
    file, _ = load_healthy_mirrors(write(text(broken, defaults="defaults: {destinations: [acr]}\n")))
    assert [rule.settings.prune for rule in file.mirrors["a"].rules] == [None]


@pytest.mark.parametrize(
    "broken",
    [
        "b: {source: hub, destinatons: [acr], repositories: [lib/x]}",
        "b: {source: hub, Destinations: [acr], repositories: [lib/x]}",
        "b: {source: hub, to: [acr], repositories: [lib/x]}",
        "b: [{source: hub, destinations: [acr], repositories: [lib/x]}]",
        "b: hub",
    ],
)
def test_a_mirror_whose_destinations_are_misspelt_may_write_any_registry(write: Write, broken: str) -> None:
    """It does not inherit those of ``defaults:``, which it was meant to replace."""
    file, _ = load_healthy_mirrors(write(text(broken, defaults="defaults: {destinations: [other]}\n")))
    assert [rule.settings.prune for rule in file.mirrors["a"].rules] == [None]


def test_a_file_that_is_not_read_may_have_a_mirror_that_writes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{REGISTRIES}mirrors:\n{PRUNES}")
    (tmp_path / "b.yml").write_text("mirrors: {b: {source: hub, destinations: [acr], repositories: [lib/x]}}\n")
    file, problems = load_healthy_mirrors(tmp_path)
    assert [rule.settings.prune for rule in file.mirrors["a"].rules] == [None]
    name = f"{tmp_path.name}/b.yml"
    stopped = STOPPED.replace("mirrors.b is correct", f"{name} is renamed or removed")
    assert problems == (
        f"{tmp_path.name}/a.yaml:8: mirrors.a: {stopped}",
        f"{name}: this file is not read, because its name does not end with .yaml; rename or remove it",
    )
    alone, _ = parse_mirrors(read_mirrors_text(tmp_path), tmp_path, "a")
    assert alone.mirrors == file.mirrors


def test_a_registry_that_cannot_be_read_may_be_any(write: Write) -> None:
    registries = REGISTRIES.replace("ACR.example", "https://acr.example")
    broken = "b: {source: hub, destinations: [again], repositories: [lib/x]}"
    file, _ = load_healthy_mirrors(write(text(broken, registries=registries)))
    assert [rule.settings.prune for rule in file.mirrors["a"].rules] == [None]


def test_a_valid_file_is_read_as_it_is(write: Write) -> None:
    path = write(text("b: {source: hub, destinations: [acr], repositories: [lib/x]}"))
    assert all(rule.settings.deletes_tags for rule in load_mirrors(path).mirrors["a"].rules)
    alone, problems = parse_mirrors(path.read_text(), path, "a")
    assert (list(alone.mirrors), problems) == (["a"], ())


def test_a_mirror_that_meanwhile_conflicts_does_not_run(write: Write) -> None:
    """Its task reads a later text of the file than the DAG processor did."""
    rules = "[{repository: lib/x, rename: team/app}]"
    path = write(text(f"b: {{source: hub, destinations: [acr], repositories: {rules}}}"))
    alone, problems = parse_mirrors(path.read_text(), path, "a")
    assert not alone.mirrors
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(path)
    assert caught.value.problems == problems
