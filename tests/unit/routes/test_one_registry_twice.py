"""Mirrors that name one registry by two hosts: every check of a mirrors file takes them for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_sync.airflow.pushes.chain import downstream_mirrors
from registry_sync.oci.reference import Repository
from registry_sync.routes.graph import RouteMap
from registry_sync.routes.image_names import NameMap
from registry_sync.routes.load import load_healthy_mirrors, load_mirrors
from tests.unit.routes.files import Write, problems

A = "123456789012"

ECR, DUAL = f"{A}.dkr.ecr.eu-west-1.amazonaws.com", f"{A}.dkr-ecr.eu-west-1.on.aws"

HOSTS = [
    pytest.param(ECR, DUAL, id="ecr"),
    pytest.param("registry.cn-beijing.aliyuncs.com", "registry-vpc.cn-beijing.aliyuncs.com", id="aliyun"),
    pytest.param("gsoci.azurecr.io", "gsoci.westeurope.geo.azurecr.io", id="acr"),
]
both = pytest.mark.parametrize(("one", "other"), HOSTS)


def text(one: str, other: str, *mirrors: str) -> str:
    registries = f"registries:\n  quay: {{host: quay.io}}\n  one: {{host: {one}}}\n  other: {{host: {other}}}\n"
    return "\n".join([f"{registries}mirrors:", *(f"  {mirror}" for mirror in mirrors), ""])


@both
def test_two_rules_that_write_one_repository(write: Write, one: str, other: str) -> None:
    first = "a: {source: quay, destinations: [one], repositories: [{repository: one/app, rename: team/app}]}"
    second = "b: {source: quay, destinations: [other], repositories: [{repository: y/app, rename: team/app}]}"
    (problem,) = problems(write(text(one, other, first, second)))
    assert problem == (
        "mirrors.yaml:7: mirrors.b.repositories[0]: quay.io/one/app (mirrors.a.repositories[0]) is also mirrored to "
        f"{other}/team/app and would overwrite it; rename one, or list the tags of both in names: without a common one"
    )


@both
@pytest.mark.parametrize("rule", ["team/app", "{namespace: team}"])
def test_pruning_what_another_mirror_writes(write: Write, one: str, other: str, rule: str) -> None:
    first = f"a: {{source: quay, destinations: [one], repositories: [{rule}], prune: {{tags: gone_at_source}}}}"
    second = "b: {source: quay, destinations: [other], repositories: [{namespace: team, include: ['a*']}]}"
    (problem,) = problems(write(text(one, other, first, second)))
    assert problem.endswith(
        "is pruned here but also written by namespace 'team' of mirrors.b; give it a destination of its own, or set "
        "prune: {tags: none} for it"
    )


@both
def test_a_broken_mirror_that_may_write_it_stops_pruning(write: Write, one: str, other: str) -> None:
    first = "a: {source: quay, destinations: [one], repositories: [team/app], prune: {tags: gone_at_source}}"
    second = "b: {source: quay, destinations: [other], repositories: [{repository: team/app, tags: 5}]}"
    file, found = load_healthy_mirrors(write(text(one, other, first, second)))
    assert [rule.settings.prune for rule in file.mirrors["a"].rules] == [None]
    assert found[0] == (
        "mirrors.yaml:6: mirrors.a: nothing is pruned until mirrors.b is correct, because it may write the same "
        "repositories"
    )


@both
def test_a_cycle(write: Write, one: str, other: str) -> None:
    there = "a: {source: quay, destinations: [one], repositories: [team/app]}"
    back = "b: {source: other, destinations: [quay], repositories: [team/app]}"
    (problem,) = problems(write(text(one, other, there, back)))
    assert problem == (
        f"mirrors.yaml:6: mirrors.a.repositories[0]: these mirrors form a cycle: quay.io/team/app → {one}/team/app → "
        "quay.io/team/app; remove one of them"
    )


@both
def test_a_cycle_of_patterns_without_examples(write: Write, one: str, other: str) -> None:
    there = "a: {source: quay, destinations: [one], repositories: [{namespace: team, include: ['/(?i)a.*/']}]}"
    back = "b: {source: other, destinations: [quay], repositories: [{namespace: team, include: ['/(?i)a.*/']}]}"
    assert "form a cycle" in problems(write(text(one, other, there, back)))[0]


@both
def test_a_mirror_onto_itself(write: Write, one: str, other: str) -> None:
    onto = "a: {source: one, destinations: [other], repositories: [team/app, {namespace: y}]}"
    itself = "would be mirrored to itself; choose another destination"
    assert problems(write(text(one, other, onto))) == [
        f"mirrors.yaml:6: mirrors.a.repositories[0]: {one}/team/app {itself}, or rename it",
        f"mirrors.yaml:6: mirrors.a: namespace 'y' {itself}",
    ]


@both
def test_both_as_destinations(write: Write, one: str, other: str) -> None:
    twice = "a: {source: quay, destinations: [one, other], repositories: [team/app]}"
    assert problems(write(text(one, other, twice)))[0] == (
        f"mirrors.yaml:6: mirrors.a.destinations[1]: 'one' and 'other' are the same registry, {one} and {other}; keep "
        "one"
    )


def test_both_in_a_node_pool(write: Write) -> None:
    one, other = "gsoci.azurecr.io", "gsoci.westeurope.geo.azurecr.io"
    marked = text(one, other, "a: {source: quay, destinations: [one], repositories: [team/app]}").replace(
        "azurecr.io}", "azurecr.io, private: true}"
    )
    pools = "nodes:\n  p: {registry: quay, mirrors: [one, other]}\n  q: {registry: one, mirrors: [other]}\n"
    anyway = "which machines use after the mirrors anyway; remove it"
    assert problems(write(marked + pools)) == [
        f"mirrors.yaml:8: nodes.p.mirrors[1]: 'one' and 'other' are the same registry, {other}; keep one",
        f"mirrors.yaml:9: nodes.q.mirrors[0]: {other} is the registry of the pool, {anyway}",
    ]


@both
def test_images_are_found_by_either_host(write: Write, one: str, other: str) -> None:
    on = "b: {source: other, destinations: [quay], repositories: [{repository: team/app, rename: z/app}]}"
    copied = "a: {source: quay, destinations: [one], repositories: [team/app]}"
    file = load_mirrors(write(text(one, other, copied, on) + "nodes: {p: {registry: one}}\n"))
    image = NameMap(file, file.node_pools["p"]).find(Repository(other, "team/app"))
    assert image is not None
    assert (str(image.repository), image.routes) == (f"{one}/team/app", ())
    sources = [str(route.source_repository) for route in RouteMap.of(file).into(Repository(other, "team/app"))]
    assert sources == ["quay.io/team/app"]


@both
def test_a_mirror_that_reads_by_the_other_host_starts_after_the_first(write: Write, one: str, other: str) -> None:
    copied = "a: {source: quay, destinations: [one], repositories: [team/app]}"
    rule = "{repository: team/app, rename: z/app}"
    on = f"b: {{source: other, destinations: [quay], repositories: [{rule}], events: {{chain: true}}}}"
    file = load_mirrors(write(text(one, other, copied, on)))
    assert downstream_mirrors(file.mirrors["a"], file) == {"one": {"b": "other"}}


@both
def test_a_list_of_images_may_have_the_other_host(tmp_path: Path, one: str, other: str) -> None:
    (tmp_path / "images.txt").write_text(f"{other}/team/app:v1\n")
    path = tmp_path / "mirrors.yaml"
    path.write_text(text(one, other, "a: {source: one, destinations: [quay], repositories: {images_from: images.txt}}"))
    (rule,) = load_mirrors(path).mirrors["a"].rules
    assert getattr(rule, "repository", "") == "team/app"


@pytest.mark.parametrize("rule", ["project/app", "{namespace: project, include: ['a*']}"])
def test_pruning_an_image_of_gcr_io_that_another_mirror_writes_in_artifact_registry(write: Write, rule: str) -> None:
    first = f"a: {{source: quay, destinations: [one], repositories: [{rule}], prune: {{tags: gone_at_source}}}}"
    copied = "{repository: project/app, rename: project/gcr.io/app}"
    second = f"b: {{source: quay, destinations: [other], repositories: [{copied}]}}"
    found = problems(write(text("gcr.io", "us-docker.pkg.dev", first, second)))
    assert any("is pruned here but also written by mirrors.b.repositories[0]" in problem for problem in found)
