"""Pruning at registries that fold the case of tags, and at those that delete a tag alone, or claim to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from registry_sync.sync.report import RouteReport
from registry_sync.tags.rules import only_tags
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route
from testkit.small_registry import SmallRegistry

GONE = {"tags": "gone_at_source", "max_percent": 100, "dry_run": False}
AGAIN = "deleted when the next scheduled run plans it again"


@pytest.fixture
def folding() -> Iterator[SmallRegistry]:
    with SmallRegistry(folds_case=True) as registry:
        yield registry


def image(text: str) -> Image:
    return images.image([], labels={"tag": text})


def push_all(registry: RegistryProcess | SmallRegistry, name: str, *tags: str) -> None:
    for tag in tags:
        images.push(registry.url, name, tag, image(f"{name} {tag}"))


def scheduled_runs(count: int, *arguments: Any, **settings: Any) -> list[RouteReport]:
    """Full runs, each with the deletions that the one before it planned."""
    route = make_route(*arguments, **settings)
    reports: list[RouteReport] = []
    for _ in range(count):
        planned = reports[-1].planned_deletions if reports else None
        reports.append(run_route(route, planned=planned))
    return reports


class TestCase:
    @pytest.mark.parametrize("rules", [GONE, {**GONE, "tags": "not_selected"}])
    @pytest.mark.parametrize("written", ["RC2", "Rc2", "rC2"])
    def test_a_mirrored_tag_in_other_letters_is_never_deleted(
        self, source: RegistryProcess, folding: SmallRegistry, name: str, written: str, rules: dict[str, Any]
    ) -> None:
        """Gitea lists ``rc2`` for the mirrored ``RC2``. The run after the next one would have deleted it."""
        name = f"{name}-{written.encode().hex()}"  # the fixture's name is in lower case
        push_all(source, name, written, "v3", "v4")
        first, *others = scheduled_runs(4, source, folding, name, prune=rules)
        assert counted(first) == {"copied": 3}
        for report in others:
            assert counted(report) == {"unchanged": 3}
            assert report.notes == (
                (
                    "1 tags are not deleted: they differ from a tag of the source in case only, and a registry may "
                    f"store both as one tag: rc2 ({written})"
                ),
            )
        assert set(folding.tags(name)) == {"rc2", "v3", "v4"}
        assert "DELETE" not in {request.method for request in folding.requests()}

    def test_it_is_kept_where_case_is_not_folded_too(self, source: RegistryProcess, name: str) -> None:
        push_all(source, name, "RC2", "v3")
        with SmallRegistry() as exact:
            push_all(exact, name, "rc2", "v0")
            *_, last = scheduled_runs(2, source, exact, name, prune=GONE)
            assert counted(last) == {"unchanged": 2, "deleted": 1}
            assert set(exact.tags(name)) == {"RC2", "rc2", "v3"}


class TestTagsThatDifferInCaseOnly:
    def reason(self, registry: SmallRegistry) -> str:
        return f"V1 and v1 differ in case only, and {registry.host} stores them as one tag; exclude all of them but one"

    def test_they_fail_where_case_is_folded(self, folding: SmallRegistry, name: str) -> None:
        """Each run would overwrite one by the other. The first run finds that out after it published them."""
        with SmallRegistry() as source:
            push_all(source, name, "V1", "v1", "v2")
            first, second, third = scheduled_runs(3, source, folding, name)
        assert counted(first) == {"copied": 1, "failed": 2}
        assert counted(second) == counted(third) == {"unchanged": 1, "failed": 2}
        for report in (first, second, third):
            assert [(failed_tag.tag, failed_tag.reason) for failed_tag in report.failed_tags] == [
                ("V1", self.reason(folding)),
                ("v1", self.reason(folding)),
            ]
        assert [request.path.rpartition("/")[2] for request in folding.requests() if request.method == "PUT"].count(
            "v1"
        ) == 1

    def test_one_that_is_there_is_not_overwritten_by_the_other(self, folding: SmallRegistry, name: str) -> None:
        with SmallRegistry() as source:
            push_all(source, name, "V1")
            (first,) = scheduled_runs(1, source, folding, name)
            before = folding.tags(name)
            push_all(source, name, "v1")
            (second,) = scheduled_runs(1, source, folding, name)
        assert (counted(first), counted(second)) == ({"copied": 1}, {"failed": 2})
        assert folding.tags(name) == before

    def test_a_run_of_one_tag_does_not_overwrite_the_other(self, folding: SmallRegistry, name: str) -> None:
        with SmallRegistry() as source:
            push_all(source, name, "V1")
            scheduled_runs(1, source, folding, name)
            before = folding.tags(name)
            push_all(source, name, "v1")
            report = run_route(make_route(source, folding, name), only_tags=only_tags(("v1",)))
        assert [(failed_tag.tag, failed_tag.reason) for failed_tag in report.failed_tags] == [
            ("v1", self.reason(folding))
        ]
        assert folding.tags(name) == before

    def test_one_may_be_excluded(self, folding: SmallRegistry, name: str) -> None:
        with SmallRegistry() as source:
            push_all(source, name, "V1", "v1")
            first, second = scheduled_runs(2, source, folding, name, tags={"exclude": ("V1",)})
        assert (counted(first), counted(second)) == ({"copied": 1, "skipped": 1}, {"unchanged": 1, "skipped": 1})

    def test_the_one_that_is_left_is_not_pruned_as_the_excluded_one(self, folding: SmallRegistry, name: str) -> None:
        """The registry lists V1 as v1, which the rules exclude."""
        with SmallRegistry() as source:
            push_all(source, name, "V1", "v1", "v2", "v3")
            rules = {**GONE, "tags": "not_selected"}
            *_, last = scheduled_runs(4, source, folding, name, tags={"exclude": ("v1",)}, prune=rules)
        assert counted(last) == {"unchanged": 3, "skipped": 1}
        assert set(folding.tags(name)) == {"v1", "v2", "v3"}

    def test_both_are_mirrored_elsewhere(self, name: str) -> None:
        with SmallRegistry() as source, SmallRegistry() as exact:
            push_all(source, name, "V1", "v1", "v2")
            first, second = scheduled_runs(2, source, exact, name)
            assert (counted(first), counted(second)) == ({"copied": 3}, {"unchanged": 3})
            assert exact.tags(name) == source.tags(name)


class TestTagsAlone:
    def test_a_tag_of_a_shared_image_is_deleted_alone(self, source: RegistryProcess, name: str) -> None:
        """As at distribution 3, zot, olareg and Gitea. The image keeps its other tag."""
        push_all(source, name, "v1", "v2")
        with SmallRegistry(deletes="tags") as registry:
            for tag in ("v1", "v0"):
                images.push(registry.url, name, tag, image(f"{name} v1"))
            first, second, third = scheduled_runs(3, source, registry, name, prune=GONE)
            shared = "gone at the source, if this registry deletes a tag alone (v1 has the same image)"
            assert result_of(first, "v0").reason == f"{shared}; {AGAIN}"
            assert (counted(second), second.notes) == ({"unchanged": 2, "deleted": 1}, ())
            assert counted(third) == {"unchanged": 2}
            assert set(registry.tags(name)) == {"v1", "v2"}
            assert _deleted(registry) == ["v0"]

    def test_a_child_of_a_remaining_index_loses_its_tag_alone(self, source: RegistryProcess, name: str) -> None:
        whole = images.multi_arch(name)
        images.push(source.url, name, "v1", whole)
        with SmallRegistry(deletes="tags") as registry:
            images.push(registry.url, name, "v1", whole)
            images.push(registry.url, name, "v0", whole.children[0])
            _, second = scheduled_runs(2, source, registry, name, prune=GONE)
            assert counted(second) == {"unchanged": 1, "deleted": 1}
            assert images.pull_whole(registry.url, name, "v1") == {"linux/amd64", "linux/arm64"}

    @pytest.mark.parametrize("status", [400, 406, 451])
    def test_an_image_of_an_index_that_cannot_be_read_is_kept(
        self, source: RegistryProcess, name: str, status: int
    ) -> None:
        """The registry refuses to show the index, so that nobody knows which images it needs."""
        whole = images.multi_arch(name)
        images.push(source.url, name, "v1", whole)
        with SmallRegistry(deletes="images") as registry, Interceptor(registry.url) as wire:
            images.push(registry.url, name, "v1", whole)
            images.push(registry.url, name, "v0", whole.children[0])
            wire.answer("GET", f"/manifests/{whole.digest}$", status)
            _, second = scheduled_runs(2, source, wire, name, prune=GONE)
            assert counted(second) == {"unchanged": 1, "would_delete": 1}
            assert result_of(second, "v0").reason.startswith(
                "gone at the source; postponed: the images that a tag needs are not all known: GET "
            )
            assert images.pull_whole(registry.url, name, "v1") == {"linux/amd64", "linux/arm64"}

    def test_a_manifest_that_cannot_be_read_is_kept(self, source: RegistryProcess, name: str) -> None:
        """It may be a signature of an image that stays."""
        push_all(source, name, "v1")
        with SmallRegistry(deletes="tags") as registry, Interceptor(registry.url) as wire:
            push_all(registry, name, "v1", "v0")
            wire.answer("GET", f"/manifests/{image(f'{name} v0').digest}$", 451)
            _, second = scheduled_runs(2, source, wire, name, prune=GONE)
            assert counted(second) == {"unchanged": 1, "skipped": 1}
            (note,) = second.notes
            start = "v0 is not deleted: it may be attached to an image that stays, and cannot be read: GET "
            assert note.startswith(start)
            assert set(registry.tags(name)) == {"v0", "v1"}

    def test_a_refusal_is_remembered_for_the_run(self, source: RegistryProcess, name: str) -> None:
        push_all(source, name, "v1")
        with SmallRegistry(deletes="images") as registry:
            push_all(registry, name, "v1", "v0", "v00")
            images.push(registry.url, name, "own", image(f"{name} v1"))
            _, second = scheduled_runs(2, source, registry, name, prune={**GONE, "keep": ("v1",)})
            assert counted(second) == {"unchanged": 1, "deleted": 2, "skipped": 1}
            refused = f"DELETE {registry.url}/v2/{name}/manifests/own answered 400 UNSUPPORTED"
            assert second.notes == (
                (
                    "own is not deleted: v1 has the same image, and this registry deletes images only with all their "
                    f"tags ({refused})"
                ),
            )
            digests = [str(image(f"{name} {tag}").digest) for tag in ("v0", "v00")]
            assert _deleted(registry) == ["own", *digests]

    def test_a_registry_that_deletes_more_than_the_tag_is_stopped(self, source: RegistryProcess, name: str) -> None:
        push_all(source, name, "v1", "v2")
        with SmallRegistry(deletes="images by tag") as registry:
            push_all(registry, name, "v00")
            for tag in ("v1", "v0"):
                images.push(registry.url, name, tag, image(f"{name} v1"))
            _, second = scheduled_runs(2, source, registry, name, prune=GONE)
            deleted = f"the registry deleted the image {image(f'{name} v1').digest.short} with its other tag v1"
            assert result_of(second, "v0").reason == (
                f"not deleted: {deleted}, though only one tag was to be deleted; no more tags are deleted in this run, "
                "and the next one copies the image again if the "
                "source has it. Set prune: {tags: none} for this destination"
            )
            assert result_of(second, "v00").outcome == "would_delete"
            assert set(registry.tags(name)) == {"v00", "v2"}


def test_a_child_that_its_index_declares_wrongly_stays(source: RegistryProcess, name: str) -> None:
    """An index that another one declares as an image: its own children are needed all the same."""
    inner = images.multi_arch(name)
    entry = {"mediaType": images.image([]).media_type, "digest": str(inner.digest), "size": len(inner.content)}
    outer = images.index([inner])
    content = json.dumps({**json.loads(outer.content), "manifests": [entry]}).encode()
    wrong = Image(content=content, media_type=outer.media_type, children=(inner,))
    images.push(source.url, name, "v1", wrong)
    with SmallRegistry(deletes="images") as registry:
        images.push(registry.url, name, "v1", wrong)
        images.push(registry.url, name, "v0", inner.children[0])
        _, second = scheduled_runs(2, source, registry, name, prune=GONE)
        assert counted(second) == {"unchanged": 1, "skipped": 1}
        assert str(inner.children[0].digest) not in _deleted(registry)


def _deleted(registry: SmallRegistry) -> list[str]:
    return [request.path.rpartition("/")[2] for request in registry.requests() if request.method == "DELETE"]
