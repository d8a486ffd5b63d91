"""Tags and repositories that a registry denies, blocks or hides: each is a failure of its own, or is pushed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry_sync.errors import DeniedError, RefusedError
from registry_sync.sync.reading.tag_states import SAMPLE
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route
from testkit.small_registry import SmallRegistry

pytestmark = pytest.mark.usefixtures("minimal_jitter")
HIDDEN = "missing at the destination, or denied to us"


def image(text: str) -> Image:
    return images.image([], labels={"tag": text})


def push_all(registry: RegistryProcess, name: str, *tags: str) -> None:
    for tag in tags:
        images.push(registry.url, name, tag, image(f"{name} {tag}"))


def deny(wire: Interceptor, path: str, status: int, **options: Any) -> None:
    """Answer ``status`` to HEAD and GET."""
    challenge = {"WWW-Authenticate": 'Basic realm="r"'} if status == 401 else {}
    for method in ("HEAD", "GET"):
        wire.answer(method, path, status, headers=challenge, **options)


def heads(wire: Interceptor) -> int:
    return sum(request.method == "HEAD" for request in wire.requests())


class TestAtTheSource:
    @pytest.mark.parametrize("status", [401, 403, 410, 412, 423, 451])
    def test_one_tag_fails_and_the_others_are_copied(
        self, source_wire: Interceptor, source: RegistryProcess, destination: RegistryProcess, name: str, status: int
    ) -> None:
        """Such as by a scanner (403), Harbor's "prevent vulnerable images" (412), or for legal reasons (451)."""
        push_all(source, name, "v1", "v2", "v3")
        deny(source_wire, "/manifests/v2$", status)
        report = run_route(make_route(source_wire, destination, name))
        assert counted(report) == {"copied": 2, "failed": 1}
        assert result_of(report, "v2").reason.startswith("cannot be read at the source: ")

    def test_one_image_whose_platforms_are_denied_fails_alone(
        self, source_wire: Interceptor, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        for tag in ("v1", "v2"):
            images.push(source.url, name, tag, images.multi_arch(f"{name} {tag}"))
        source_wire.answer("GET", f"/manifests/{images.multi_arch(f'{name} v2').digest}$", 403)
        report = run_route(make_route(source_wire, destination, name, platforms=("linux/amd64",)))
        assert counted(report) == {"copied": 1, "failed": 1}
        assert result_of(report, "v2").error_class == "denied"

    def test_a_route_whose_tags_are_all_denied_fails_with_one_message(
        self, source_wire: Interceptor, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        push_all(source, name, "v1", "v2")
        deny(source_wire, "/manifests/", 403)
        with pytest.raises(DeniedError) as caught:
            run_route(make_route(source_wire, destination, name))
        assert str(caught.value) == (
            f"none of 2 tags of {source_wire.host}/{name} can be read: GET {source_wire.url}/v2/{name}/manifests/v1 "
            "answered 403 (not permitted with these credentials, or it does not exist)"
        )

    @pytest.mark.parametrize(("status", "error"), [(403, DeniedError), (412, RefusedError), (451, RefusedError)])
    def test_thousands_of_denied_tags_are_not_all_tried(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str, status: int, error: type[Exception]
    ) -> None:
        tags = [f"v{number:04}" for number in range(3000)]
        source_wire.answer("GET", "/tags/list$", 200, json.dumps({"name": name, "tags": tags}).encode())
        deny(source_wire, "/manifests/", status)
        with pytest.raises(error, match=rf"^none of 3000 tags of {source_wire.host}/{name} can be read: "):
            run_route(make_route(source_wire, destination, name))
        assert heads(source_wire) == SAMPLE

    def test_old_tags_that_are_all_blocked_do_not_hide_the_new_ones(
        self, source_wire: Interceptor, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """A scanner blocks the oldest tags. The sample is spread over all names."""
        tags = [f"v{number:04}" for number in range(60)]
        source_wire.answer("GET", "/tags/list$", 200, json.dumps({"name": name, "tags": [*tags, "v9"]}).encode())
        push_all(source, name, "v9")
        deny(source_wire, "/manifests/v0", 403)
        report = run_route(make_route(source_wire, destination, name))
        assert counted(report) == {"copied": 1, "failed": 60}


class TestAtTheDestination:
    @pytest.mark.parametrize("status", [401, 403, 405, 412])
    def test_a_tag_that_is_hidden_until_it_exists_is_pushed(
        self, source: RegistryProcess, wire: Interceptor, destination: RegistryProcess, name: str, status: int
    ) -> None:
        """JFrog answers 403 for a tag that is not there yet, Quay 401 to a robot that may create the repository."""
        push_all(source, name, "v1", "v2")
        hide_missing(wire, name, status)
        first = run_route(make_route(source, wire, name))
        assert counted(first) == {"copied": 2}
        assert result_of(first, "v1").reason == HIDDEN
        (note,) = (note for note in first.notes if "denied" in note)
        assert note.startswith(f"2 tags are {HIDDEN}: ")
        wire.clear_rules()
        assert counted(run_route(make_route(source, wire, name))) == {"unchanged": 2}
        assert images.resolve(destination.url, name, "v1") == image(f"{name} v1").digest

    @pytest.mark.parametrize("status", [403, 405, 412])
    def test_the_first_push_to_a_registry_that_denies_what_is_missing(
        self, source: RegistryProcess, name: str, status: int
    ) -> None:
        """Manifests by digest and the listing are hidden, too."""
        for tag in ("v1", "v2"):
            images.push(source.url, name, tag, images.multi_arch(f"{name} {tag}"))
        with SmallRegistry(missing_status=status) as registry:
            assert counted(run_route(make_route(source, registry, name, signatures=False))) == {"copied": 2}
            assert counted(run_route(make_route(source, registry, name))) == {"unchanged": 2}
            assert set(registry.tags(name)) == {"v1", "v2"}

    def test_a_dry_run_says_missing_or_denied(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        push_all(source, name, "v1")
        hide_missing(wire, name, 403)
        report = run_route(make_route(source, wire, name), dry_run=True)
        assert (counted(report), result_of(report, "v1").reason) == ({"would_copy": 1}, HIDDEN)

    def test_a_refused_push_is_reported(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        push_all(source, name, "v1")
        for method in ("HEAD", "GET", "PUT", "POST"):
            wire.answer(method, f"/v2/{name}/", 403)
        report = run_route(make_route(source, wire, name))
        assert (counted(report), result_of(report, "v1").error_class) == ({"failed": 1}, "denied")

    def test_hidden_tags_are_asked_for_by_a_sample(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        for number in range(SAMPLE + 30):
            images.push(source.url, name, f"v{number:02}", image(name))
        deny(wire, f"/v2/{name}/manifests/", 403)
        report = run_route(make_route(source, wire, name), dry_run=True)
        assert counted(report) == {"would_copy": SAMPLE + 30}
        assert heads(wire) == SAMPLE

    @pytest.mark.parametrize("settings", [{"on_moved_tag": "fail"}, {"on_moved_tag": "keep"}, {"backup_tag": "was"}])
    def test_a_tag_that_must_not_be_overwritten_is_looked_for_in_the_listing(
        self,
        source: RegistryProcess,
        wire: Interceptor,
        destination: RegistryProcess,
        name: str,
        settings: dict[str, str],
    ) -> None:
        if "backup_tag" in settings:
            settings = {"backup_tag": "{{ tag }}-was-{{ digest_short }}"}
        name = f"{name}-{len(str(settings))}"
        push_all(source, name, "v1", "v2")
        images.push(destination.url, name, "v1", image(f"{name} another"))
        deny(wire, "/manifests/v1$", 403)
        deny(wire, "/manifests/v2$", 403, times=1)
        report = run_route(make_route(source, wire, name, **settings))
        assert counted(report) == {"copied": 1, "failed": 1}
        assert result_of(report, "v1").reason.startswith(
            "cannot be read at the destination, and is not overwritten unseen, because "
        )
        assert images.resolve(destination.url, name, "v1") == image(f"{name} another").digest

    def test_it_is_not_pushed_unseen_where_the_listing_is_denied_too(
        self, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        push_all(source, name, "v1")
        deny(wire, "/manifests/v1$", 403)
        wire.answer("GET", "/tags/list$", 403)
        report = run_route(make_route(source, wire, name, on_moved_tag="fail"))
        assert result_of(report, "v1").reason == (
            "cannot be read at the destination, and is not overwritten unseen, because on_moved_tag is fail: "
            f"GET {wire.url}/v2/{name}/manifests/v1 answered 403 (not permitted with these credentials, or it does "
            "not exist)"
        )


def hide_missing(wire: Interceptor, name: str, status: int) -> None:
    """Answer ``status`` to the first look at each manifest of the repository."""
    for tag in ("v1", "v2"):
        deny(wire, f"/v2/{name}/manifests/{tag}$", status, times=1)
    deny(wire, f"/v2/{name}/tags/list$", status)
